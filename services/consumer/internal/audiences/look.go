package audiences

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/suppression"
)

// lookChunk is how many visitors are looked at together.
const lookChunk = 1000

// changesKept is how long a change can be sent again, as a record of Kafka can.
const changesKept = 29 * 24 * time.Hour

// candidate is a visitor of a site who may have entered or left a segment.
type candidate struct {
	id uuid.UUID
	// refusedOnly says that the visitor has done nothing but refuse: only members can have left by it.
	refusedOnly bool
	// asked says that it is not, or not only, a new event that makes it a candidate.
	asked bool
}

// look compares what is so with what was told of visitors of a site, and notes the changes.
func (s *Stream) look(ctx context.Context, site string, of rules, candidates []candidate) error {
	for chunk := range slices.Chunk(candidates, lookChunk) {
		if err := s.lookAt(ctx, site, of, chunk); err != nil {
			return err
		}
	}
	return nil
}

// view is what is known of some visitors of a site at a moment.
type view struct {
	site        string
	rules       rules
	at          time.Time
	states      map[uuid.UUID]map[string]store.State
	memberships map[uuid.UUID]map[string]store.Membership
}

func (s *Stream) lookAt(ctx context.Context, site string, of rules, candidates []candidate) error {
	states, err := s.Store.States(ctx, site, idsOf(candidates))
	if err != nil {
		return err
	}
	v := view{site: site, rules: of, at: s.moment(), states: map[uuid.UUID]map[string]store.State{}, memberships: map[uuid.UUID]map[string]store.Membership{}}
	for _, state := range states {
		put(v.states, state.VisitorID, state.Segment, state)
	}
	candidates = slices.DeleteFunc(once(candidates), func(c candidate) bool {
		return c.refusedOnly && !v.told(c.id) || s.List.Erased(suppression.Visitor, c.id[:], v.at)
	})
	if len(candidates) == 0 {
		return nil
	}
	ids := idsOf(candidates)
	memberships, err := s.Store.Memberships(ctx, site, ids, v.at)
	if err != nil {
		return err
	}
	for _, m := range memberships {
		if segment, streamed := of.segments[m.Segment]; streamed && !segment.Removed && !m.HeldOut {
			put(v.memberships, m.VisitorID, m.Segment, m)
		}
	}
	changes := s.compare(v, ids)
	if err := s.giveReasons(ctx, v, changes); err != nil {
		return err
	}
	if err := s.noteDues(ctx, v, candidates, changes); err != nil {
		return err
	}
	return s.append(ctx, changes)
}

func idsOf(candidates []candidate) []uuid.UUID {
	ids := make([]uuid.UUID, len(candidates))
	for i, c := range candidates {
		ids[i] = c.id
	}
	return ids
}

// once returns each visitor once, with all that makes it a candidate.
func once(candidates []candidate) []candidate {
	var all []candidate
	at := map[uuid.UUID]int{}
	for _, c := range candidates {
		if i, known := at[c.id]; known {
			all[i].asked, all[i].refusedOnly = all[i].asked || c.asked, all[i].refusedOnly && c.refusedOnly
			continue
		}
		at[c.id] = len(all)
		all = append(all, c)
	}
	return all
}

func put[T any](all map[uuid.UUID]map[string]T, id uuid.UUID, segment string, value T) {
	if all[id] == nil {
		all[id] = map[string]T{}
	}
	all[id][segment] = value
}

// told tells whether the visitor was told of as a member of anything.
func (v view) told(id uuid.UUID) bool {
	for _, state := range v.states[id] {
		if state.Member {
			return true
		}
	}
	return false
}

// compare returns the changes by visitor and segment; those of leaving have no reason yet.
func (s *Stream) compare(v view, ids []uuid.UUID) []store.Change {
	var changes []store.Change
	keep := s.Retention(v.site)
	for _, id := range ids {
		for segment := range v.rules.segments {
			state := v.states[id][segment]
			m, is := v.memberships[id][segment]
			if is == state.Member {
				continue
			}
			change := store.Change{
				Type: store.AudienceLeft, SiteID: v.site, Segment: segment, Version: state.Version, VisitorID: id, At: v.at,
				QualifiedAt: state.QualifiedAt, EndsAt: state.EndsAt, Products: []string{}, ExpiresAt: v.at.Add(changesKept),
			}
			if is {
				change.Type, change.Version, change.QualifiedAt, change.EndsAt, change.Products = store.AudienceEntered, m.Version, m.QualifiedAt, m.EndsAt, m.Products
			}
			change.ID = changeID(change, state.ChangeID)
			// Never before that of an older row of the state, which would come to life again.
			for _, until := range []time.Time{state.KeptUntil, v.at.Add(keep), change.EndsAt.Add(keep)} {
				if until.After(change.KeepUntil) {
					change.KeepUntil = until
				}
			}
			changes = append(changes, change)
		}
	}
	slices.SortFunc(changes, func(a, b store.Change) int {
		return cmp.Or(bytes.Compare(a.VisitorID[:], b.VisitorID[:]), cmp.Compare(a.Segment, b.Segment))
	})
	return changes
}

// changesSpace is the name space of the ids of changes.
var changesSpace = uuid.MustParse("2d0be7a4-6a53-4a0c-9d6c-7f6f0a4b1e52")

// changeID is that of a change which follows another one: UUID version 5 of what it is about. So a change that is found twice,
// since the process was killed before the first was stored, has the same one; and one that comes again later has another.
func changeID(c store.Change, before uuid.UUID) uuid.UUID {
	name := append([]byte(nil), before[:]...)
	name = append(name, c.VisitorID[:]...)
	for _, part := range []string{c.Type, c.SiteID, c.Segment, strconv.FormatInt(c.QualifiedAt.UnixMilli(), 10)} {
		name = append(append(name, part...), 0)
	}
	return uuid.NewSHA1(changesSpace, name)
}

// giveReasons says why visitors left. Membership is a matter of the view alone; this tells which of its causes is there.
func (s *Stream) giveReasons(ctx context.Context, v view, changes []store.Change) error {
	var ids []uuid.UUID
	for _, c := range changes {
		if c.Type == store.AudienceLeft && (len(ids) == 0 || ids[len(ids)-1] != c.VisitorID) {
			ids = append(ids, c.VisitorID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	leavings, err := s.Store.Leavings(ctx, v.site, ids, v.at)
	if err != nil {
		return err
	}
	causes := map[uuid.UUID]map[string]time.Time{}
	for _, l := range leavings {
		put(causes, l.VisitorID, l.Reason+l.Segment, l.At)
	}
	for i := range changes {
		if c := &changes[i]; c.Type == store.AudienceLeft {
			c.Reason = reasonOf(c, v, causes[c.VisitorID])
		}
	}
	return nil
}

// reasonOf returns the reason of a change of leaving, by the moments of what may be one.
func reasonOf(c *store.Change, v view, causes map[string]time.Time) string {
	// During a membership; one at its first moment ends it too.
	within := func(reason string) bool {
		at, known := causes[reason]
		return known && !at.Before(c.QualifiedAt) && !at.After(v.at)
	}
	_, suppressed := causes[store.ReasonSuppressed]
	rule := v.rules.segments[c.Segment]
	switch {
	case suppressed:
		return store.ReasonSuppressed
	case within(store.ReasonRefused):
		return store.ReasonRefused
	case rule.Removed:
		return store.ReasonChanged
	case within(store.ReasonLeft + c.Segment):
		return store.ReasonLeft
	case !c.EndsAt.After(v.at):
		return store.ReasonExpired
	case rule.ChangedAt.After(v.states[c.VisitorID][c.Segment].ChangedAt):
		return store.ReasonChanged
	}
	return store.ReasonLeft // it was too much, or an event was erased
}

// noteDues notes when each visitor must be looked at next although no event comes. Who has new events and has not changed by
// them needs that only when hits alone will change something: the end of a membership that goes on is noted already, or an
// earlier one is, which leads to it.
func (s *Stream) noteDues(ctx context.Context, v view, candidates []candidate, changes []store.Change) error {
	afters := map[string]int64{}
	for name, segment := range v.rules.segments {
		afters[name] = segment.AfterMs
	}
	due, asked := map[uuid.UUID]time.Time{}, map[uuid.UUID]bool{}
	for _, c := range candidates {
		asked[c.id] = c.asked
	}
	for _, c := range changes {
		asked[c.VisitorID] = true
	}
	nexts, err := s.Store.Nexts(ctx, v.site, idsOf(candidates), afters, v.at)
	if err != nil {
		return err
	}
	for _, n := range nexts {
		due[n.VisitorID] = n.Due
	}
	for id, segments := range v.memberships {
		for _, m := range segments {
			if at, known := due[id]; asked[id] && (!known || m.EndsAt.Before(at)) {
				due[id] = m.EndsAt
			}
		}
	}
	dues := make([]store.Due, 0, len(due))
	for id, at := range due {
		dues = append(dues, store.Due{Due: at, SiteID: v.site, VisitorID: id, ExpiresAt: at.Add(s.Retention(v.site))})
	}
	if len(dues) == 0 {
		return nil
	}
	if err := s.Store.AddDues(ctx, dues); err != nil {
		return err
	}
	return s.Saved("dues")
}

// append puts changes into the outbox, and makes the states that follow.
func (s *Stream) append(ctx context.Context, changes []store.Change) error {
	if len(changes) == 0 {
		return nil
	}
	before := s.sequence
	// A number is taken before it is used, so that an insert of which nothing was heard, and that comes late, has one of its own.
	s.sequence += uint64(len(changes))
	err := s.save(ctx, place{name: sequencePlace}, int64(s.sequence), "", s.moved(place{name: appliedPlace}, int64(before), "")) //nolint:gosec // they count changes
	if err != nil {
		return err
	}
	for i := range changes {
		changes[i].Sequence = before + 1 + uint64(i)
		s.Metrics.changed(changes[i].Type, 1)
	}
	if err := s.Store.AppendChanges(ctx, changes); err != nil {
		return err
	}
	if err := s.Saved("changes"); err != nil {
		return err
	}
	if err := s.Store.ApplyChanges(ctx, before, s.sequence); err != nil {
		return err
	}
	return s.Saved("states")
}
