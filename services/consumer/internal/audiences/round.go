package audiences

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// What a round takes of each source at most: memory is bounded by it, and no source waits long for another.
const (
	// offsetChunk is in stored offsets of a partition.
	offsetChunk = 20_000
	// visitorChunk is in visitors.
	visitorChunk = 2_000
)

// sweepEvery is how often everybody is looked at: whatever was missed is told by then.
const sweepEvery = 24 * time.Hour

// rules are the streamed segments of a site.
type rules struct {
	segments map[string]store.StreamedSegment
	// changed is when any of them was changed last.
	changed time.Time
}

// Round takes the next visitors of each source and publishes what has changed. It tells whether there is more to do at once.
// After an error Begin comes first.
func (s *Stream) Round(ctx context.Context) (more bool, err error) {
	bySite, err := s.rules(ctx)
	if err != nil {
		return false, err
	}
	for _, source := range []func(context.Context, map[string]rules) (bool, error){s.wished, s.due, s.seen, s.sweep} {
		again, err := source(ctx, bySite)
		if err != nil {
			return false, err
		}
		more = more || again
	}
	if err := s.publish(ctx); err != nil {
		return false, err
	}
	s.Metrics.rounds.Add(ctx, 1)
	return more, nil
}

func (s *Stream) rules(ctx context.Context) (map[string]rules, error) {
	all, err := s.Store.Segments(ctx)
	if err != nil {
		return nil, err
	}
	bySite := map[string]rules{}
	for _, segment := range all {
		of := bySite[segment.SiteID]
		if of.segments == nil {
			of.segments = map[string]store.StreamedSegment{}
		}
		of.segments[segment.Segment] = segment
		if segment.ChangedAt.After(of.changed) {
			of.changed = segment.ChangedAt
		}
		bySite[segment.SiteID] = of
	}
	return bySite, nil
}

// wished looks at visitors whose wish has changed, on all sites.
func (s *Stream) wished(ctx context.Context, bySite map[string]rules) (bool, error) {
	ids, offset, more := s.wishes.take(visitorChunk)
	if offset < 0 {
		return false, nil
	}
	candidates := make([]candidate, len(ids))
	for i, id := range ids {
		candidates[i] = candidate{id: id, asked: true}
	}
	for site, of := range bySite {
		if err := s.look(ctx, site, of, candidates); err != nil {
			return false, err
		}
	}
	if err := s.save(ctx, place{name: wishesPlace}, offset+1, ""); err != nil {
		return false, err
	}
	s.wishes.done(offset)
	return more, nil
}

// due looks at visitors of whom something is due.
func (s *Stream) due(ctx context.Context, bySite map[string]rules) (bool, error) {
	at := place{name: duesPlace}
	from := s.position(at)
	// All up to the position is done; with a cursor, what lies up to it in its millisecond.
	behind := store.Due{Due: time.UnixMilli(from.Position + 1)}
	if site, id, ok := strings.Cut(from.Cursor, " "); ok {
		visitor, err := uuid.Parse(id)
		if err != nil {
			return false, fmt.Errorf("position of what is due: %w", err)
		}
		behind = store.Due{Due: time.UnixMilli(from.Position), SiteID: site, VisitorID: visitor}
	}
	until := s.moment() // whatever is added from now on is due later
	dues, err := s.Store.Dues(ctx, behind, until, visitorChunk)
	if err != nil || len(dues) == 0 {
		return false, err
	}
	candidates := map[string][]candidate{}
	for _, d := range dues {
		candidates[d.SiteID] = append(candidates[d.SiteID], candidate{id: d.VisitorID, asked: true})
	}
	if err := s.lookAtAll(ctx, bySite, candidates); err != nil {
		return false, err
	}
	if len(dues) < visitorChunk {
		return false, s.save(ctx, at, until.UnixMilli(), "")
	}
	last := dues[len(dues)-1]
	return true, s.save(ctx, at, last.Due.UnixMilli(), last.SiteID+" "+last.VisitorID.String())
}

// seen looks at visitors of new stored events.
func (s *Stream) seen(ctx context.Context, bySite map[string]rules) (more bool, err error) {
	stored, err := s.Stored(ctx)
	if err != nil {
		// Kafka is away, a partition has stopped, or no consumer has ever run: the other partitions and sources go on.
		s.outage.Failed(err)
	} else {
		s.outage.Recovered()
	}
	behind := int64(0)
	for _, p := range stored {
		again, left, err := s.seenIn(ctx, bySite, p)
		if err != nil {
			return false, err
		}
		more, behind = more || again, behind+left
	}
	if err == nil {
		s.Metrics.behind.Record(ctx, behind)
	}
	return more, nil
}

// forgotten is the position of events while nothing is streamed.
const forgotten = -2

// seenIn does the next offsets of a partition, up to the first one that may not be stored, and tells how many are left.
func (s *Stream) seenIn(ctx context.Context, bySite map[string]rules, p consume.Position) (more bool, left int64, err error) {
	at := place{eventsPlace + p.Topic, int32(p.ID)} //nolint:gosec // Kafka's are 32 bits
	from, known := s.positions[at]
	known = known && from.Position != forgotten
	end := p.First - 1
	switch {
	case len(bySite) == 0 && known:
		return false, 0, s.save(ctx, at, forgotten, "")
	case len(bySite) == 0 || known && from.Position >= end:
		return false, 0, nil
	case !known: // what is stored already is found when everybody is looked at
		return false, 0, s.save(ctx, at, end, "", s.begun(bySite)...)
	}
	to := min(end, from.Position+offsetChunk)
	day, err := time.Parse(time.DateOnly, from.Cursor)
	if err != nil {
		day = time.Unix(0, 0).UTC()
	}
	sites := make([]string, 0, len(bySite))
	for site := range bySite {
		sites = append(sites, site)
	}
	seen, day, err := s.Store.SeenIn(ctx, store.Range{Partition: p.Partition, First: from.Position + 1, Last: to}, day, sites)
	if err != nil {
		return false, 0, err
	}
	candidates := map[string][]candidate{}
	for _, v := range seen {
		candidates[v.SiteID] = append(candidates[v.SiteID], candidate{id: v.VisitorID, refusedOnly: !v.Hit})
	}
	if err := s.lookAtAll(ctx, bySite, candidates); err != nil {
		return false, 0, err
	}
	// Clocks of consumers may differ: the day before is still looked at.
	return to < end, end - to, s.save(ctx, at, to, day.AddDate(0, 0, -1).Format(time.DateOnly))
}

// begun are the positions of sweeps that have begun, each so that the sweep begins anew: a partition that could not be read
// till now may have events of visitors whom they have passed.
func (s *Stream) begun(bySite map[string]rules) (anew []store.StreamPosition) {
	for site := range bySite {
		at := place{name: sweepPlace + site}
		if s.position(at).Cursor != "" {
			anew = append(anew, s.moved(at, 0, ""))
		}
	}
	return anew
}

// sweep looks at the next visitors of each site of whom everybody must be looked at.
func (s *Stream) sweep(ctx context.Context, bySite map[string]rules) (more bool, err error) {
	for site, of := range bySite {
		again, err := s.sweepSite(ctx, site, of)
		if err != nil {
			return false, err
		}
		more = more || again
	}
	return more, nil
}

// sweepSite does one page. The cursor has when the rules were changed that the sweep began with, and the last visitor; none
// when it is done. Whoever has events meanwhile is seen as always.
func (s *Stream) sweepSite(ctx context.Context, site string, of rules) (more bool, err error) {
	at := place{name: sweepPlace + site}
	from, known := s.positions[at]
	changed, last, running := strings.Cut(from.Cursor, " ")
	begun, now := from.Position, s.moment()
	if !running {
		ofRules := fmt.Sprint(of.changed.UnixMilli())
		if known && changed == ofRules && now.Sub(time.UnixMilli(begun)) < sweepEvery {
			return false, nil
		}
		changed, begun, last = ofRules, now.UnixMilli(), uuid.Nil.String()
	}
	behind, err := uuid.Parse(last)
	if err != nil {
		return false, fmt.Errorf("position of the sweep of %s: %w", site, err)
	}
	segments := make([]string, 0, len(of.segments))
	for segment := range of.segments {
		segments = append(segments, segment)
	}
	ids, err := s.Store.VisitorsBehind(ctx, site, segments, behind, visitorChunk)
	if err != nil {
		return false, err
	}
	candidates := make([]candidate, len(ids))
	for i, id := range ids {
		candidates[i] = candidate{id: id, asked: true}
	}
	if err := s.look(ctx, site, of, candidates); err != nil {
		return false, err
	}
	if len(ids) < visitorChunk {
		return false, s.save(ctx, at, begun, changed)
	}
	return true, s.save(ctx, at, begun, changed+" "+ids[len(ids)-1].String())
}

// lookAtAll looks at the candidates of each site; those of sites without streamed segments are left out.
func (s *Stream) lookAtAll(ctx context.Context, bySite map[string]rules, candidates map[string][]candidate) error {
	for site, some := range candidates {
		of, streamed := bySite[site]
		if !streamed {
			continue
		}
		if err := s.look(ctx, site, of, some); err != nil {
			return err
		}
	}
	return nil
}
