package audiences

import (
	"context"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// place names a position.
type place struct {
	name      string
	partition int32
}

// The names of positions; store.StreamPosition says what each is.
const (
	eventsPlace    = "events/" // and the topic
	sweepPlace     = "sweep/"  // and the site
	duesPlace      = "dues"
	wishesPlace    = "suppressions"
	sequencePlace  = "sequence"
	appliedPlace   = "applied"
	publishedPlace = "published"
)

// load reads all positions, and where the outbox ends.
func (s *Stream) load(ctx context.Context) error {
	all, err := s.Store.Positions(ctx)
	if err != nil {
		return err
	}
	last, err := s.Store.LastSequence(ctx)
	if err != nil {
		return err
	}
	s.positions = map[place]store.StreamPosition{}
	for _, p := range all {
		s.positions[place{p.Name, p.Partition}] = p
		s.revision = max(s.revision, p.Revision)
	}
	// Rows at the end may have been erased: the number of none is used again.
	s.sequence = max(last, uint64(s.position(place{name: sequencePlace}).Position)) //nolint:gosec // never negative
	return nil
}

// position is what stands under a place; one of nothing done when there is none.
func (s *Stream) position(at place) store.StreamPosition {
	if p, ok := s.positions[at]; ok {
		return p
	}
	return store.StreamPosition{Name: at.name, Partition: at.partition}
}

// moved is a position that is to be saved.
func (s *Stream) moved(at place, position int64, cursor string) store.StreamPosition {
	s.revision++
	return store.StreamPosition{Name: at.name, Partition: at.partition, Position: position, Cursor: cursor, SavedAt: s.Now().UTC(), Revision: s.revision}
}

// save keeps a position, and perhaps others together with it.
func (s *Stream) save(ctx context.Context, at place, position int64, cursor string, others ...store.StreamPosition) error {
	all := append([]store.StreamPosition{s.moved(at, position, cursor)}, others...)
	if err := s.Store.SavePositions(ctx, all); err != nil {
		return err
	}
	for _, p := range all {
		s.positions[place{p.Name, p.Partition}] = p
	}
	return s.Saved("position " + at.name)
}

// moment is now, and never before an earlier one.
func (s *Stream) moment() time.Time {
	if now := s.Now().UTC().Truncate(time.Millisecond); now.After(s.at) {
		s.at = now
	}
	return s.at
}
