package replay

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// healer heals the holes of one partition.
type healer struct {
	*run
	log consume.Log
	// holes are the ranges of offsets without a row that are left, in order.
	holes  []store.Range
	counts *Counts
	// dry tells that nothing is stored.
	dry bool
	// last stands for the last offset that was healed: the next hole may go on from there.
	last *store.Neighbour
}

// hole is a range of offsets without a row, of which all is known that its rows depend on.
type hole struct {
	store.Range
	records []kafka.Message
	// before and after are the rows on the two sides, nil where there is none.
	before, after *store.Neighbour
	// at is when the rows count as declared.
	at time.Time
}

// gone leaves out what is missing before the first offset that Kafka holds.
func (h *healer) gone(first int64) {
	for len(h.holes) > 0 && h.holes[0].First < first {
		lost := &h.holes[0]
		end := min(lost.Last, first-1)
		h.counts.Gone += end - lost.First + 1
		h.Say("partition %d: offsets %d to %d are missing, and Kafka does not hold them any more: it begins at %d", lost.ID, lost.First, end, first)
		if lost.First = end + 1; lost.First > lost.Last {
			h.holes = h.holes[1:]
		}
	}
}

// window heals the holes within the next blockOffsets offsets, of which the records are read once, or fewer where these are large.
func (h *healer) window(ctx context.Context) error {
	read, records, err := consume.ReadSome(ctx, h.log, reach(h.holes), blockBytes, h.InsertDeadline)
	if err != nil {
		return err
	}
	h.gone(read.First)
	now, later := take(h.holes, read.Last)
	h.holes = later
	holes, err := h.describe(ctx, now, records)
	if err != nil || len(holes) == 0 {
		return err
	}
	filled, err := h.filled(ctx, holes)
	if err != nil {
		return err
	}
	for _, hole := range holes {
		if err := h.heal(ctx, hole, filled); err != nil {
			return err
		}
	}
	return nil
}

// reach is the range of the first blockOffsets offsets from the first hole on, up to the last hole in it.
func reach(holes []store.Range) store.Range {
	of := holes[0]
	end := of.First + blockOffsets - 1
	n := sort.Search(len(holes), func(i int) bool { return holes[i].First > end })
	of.Last = min(end, holes[n-1].Last)
	return of
}

// take returns the holes up to an offset, and the others: one that goes on behind it is cut.
func take(holes []store.Range, last int64) (now, later []store.Range) {
	n := sort.Search(len(holes), func(i int) bool { return holes[i].First > last })
	now, later = slices.Clone(holes[:n]), holes[n:]
	if n > 0 && now[n-1].Last > last {
		later = holes[n-1:]
		later[0].First, now[n-1].Last = last+1, last
	}
	return now, later
}

// describe finds out what the rows of holes depend on.
func (h *healer) describe(ctx context.Context, ranges []store.Range, records []kafka.Message) (holes []hole, err error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	of := ranges[0]
	of.First, of.Last = of.First-1, ranges[len(ranges)-1].Last+1
	rows, err := h.Tables.Within(ctx, of)
	if err != nil {
		return nil, err
	}
	for _, r := range ranges {
		hole := hole{Range: r, before: rows[r.First-1], after: rows[r.Last+1]}
		if h.last != nil && h.last.Offset == r.First-1 {
			hole.before = h.last
		}
		if hole.before == nil {
			if hole.before, err = h.Tables.Before(ctx, r.Partition, r.First); err != nil {
				return nil, err
			}
		}
		if hole.after == nil {
			if hole.after, err = h.Tables.After(ctx, r.Partition, r.Last); err != nil {
				return nil, err
			}
		}
		for ; len(records) > 0 && records[0].Offset <= r.Last; records = records[1:] {
			if records[0].Offset >= r.First {
				hole.records = append(hole.records, records[0])
			}
		}
		hole.at = declaredAt(hole.before, hole.after, hole.records, h.now())
		holes = append(holes, hole)
	}
	return holes, nil
}

// filled returns of which offsets of the holes the views were filled.
func (h *healer) filled(ctx context.Context, holes []hole) (map[int64]bool, error) {
	if !slices.ContainsFunc(holes, func(of hole) bool { return store.KeepsFacts(of.at, h.Now()) }) {
		return nil, nil //nolint:nilnil // nothing tells
	}
	of := holes[0].Range
	of.Last = holes[len(holes)-1].Last + withheldRun
	return h.Tables.Filled(ctx, of)
}

// heal stores the rows of a hole.
func (h *healer) heal(ctx context.Context, of hole, filled map[int64]bool) error {
	h.last = &store.Neighbour{Offset: of.Last, DeclaredAt: of.at, Rules: h.Rules.Hash(), BatchLast: of.Last}
	blocks, err := h.split(ctx, of, filled)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if err := h.chooseRules(ctx, &b, of.before, of.after); err != nil {
			return err
		}
		h.last.Rules = b.rules
		if b.facts == store.FactsKept {
			h.last.BatchLast = b.Last + 1 // it may go on
		}
		if expired := h.expired(b); h.dry || expired == b.Last-b.First+1 {
			h.counts.Expired += expired
			continue
		}
		entry, err := h.store(ctx, b, h.counts)
		if err == nil && entry != nil {
			err = h.end(ctx, entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// expired is how many rows of the block would have been removed by now for their age.
func (r *run) expired(b block) (n int64) {
	over := func(days int) bool { return !b.at.AddDate(0, 0, days).After(r.Now()) }
	if over(consume.RetentionWithoutRecord) {
		n = b.Last - b.First + 1 - int64(len(b.records))
	}
	remake := r.remake(b)
	for _, record := range b.records {
		if over(remake.RetentionDays(record)) {
			n++
		}
	}
	return n
}

// declaredAt is when rows of the records would have been declared: not before they were published, and in the order of the
// offsets, as declarations are. They must age like the rows beside them, and whoever looks for the end of a partition goes by
// the days.
func declaredAt(before, after *store.Neighbour, records []kafka.Message, now time.Time) time.Time {
	at := now
	if len(records) > 0 && records[0].Time.Before(at) {
		at = records[0].Time.UTC().Truncate(time.Millisecond)
	}
	if before != nil && (at.Before(before.DeclaredAt) || len(records) == 0) {
		at = before.DeclaredAt
	}
	if after != nil && at.After(after.DeclaredAt) {
		at = after.DeclaredAt
	}
	return at.UTC()
}

// chooseRules decides by which rules the rows are made: those of rows that were lost by the rules of the rows beside them, as
// the facts that are kept were; all others by the rules of now.
func (r *run) chooseRules(ctx context.Context, b *block, before, after *store.Neighbour) (err error) {
	b.enricher, b.rules = r.Enricher, r.Rules.Hash()
	beside := before
	if beside == nil {
		beside = after
	}
	if b.facts == store.FactsMade || beside == nil {
		return nil
	}
	b.enricher, b.rules, err = r.enricherOf(ctx, beside.Rules)
	return err
}

// split cuts a hole into blocks by what the tables that views fill have of it.
func (r *run) split(ctx context.Context, of hole, filled map[int64]bool) ([]block, error) {
	if !store.KeepsFacts(of.at, r.Now()) {
		return []block{{Range: of.Range, records: of.records, facts: store.FactsUnknown, at: of.at}}, nil
	}
	identified := map[int64]bool{}
	remake := r.remake(block{Range: of.Range, at: of.at, enricher: r.Enricher, rules: r.Rules.Hash()})
	for _, record := range of.records {
		identified[record.Offset] = remake.Identified(record)
	}
	withheld, err := r.butDead(ctx, of, withheld(of, filled, identified))
	if err != nil {
		return nil, err
	}
	blocks := cut(of.Range, func(offset int64) string {
		switch {
		case filled[offset], withheld[offset]:
			return store.FactsKept
		case identified[offset]:
			return store.FactsMade
		}
		return ""
	})
	records := of.records
	for i := range blocks {
		b := &blocks[i]
		b.at, b.withheld = of.at, withheld
		for len(records) > 0 && records[0].Offset <= b.Last {
			b.records, records = append(b.records, records[0]), records[1:]
		}
	}
	return blocks, nil
}

// cut cuts a range where the answer changes. Offsets of which nothing tells go with those before them, or after them.
func cut(read store.Range, facts func(offset int64) string) []block {
	blocks := []block{{Range: read}}
	for offset := read.First; offset <= read.Last; offset++ {
		last, now := &blocks[len(blocks)-1], facts(offset)
		switch {
		case now == "" || now == last.facts:
		case last.facts == "":
			last.facts = now
		default:
			last.Last = offset - 1
			blocks = append(blocks, block{Range: store.Range{Partition: read.Partition, First: offset, Last: read.Last}, facts: now})
		}
	}
	if blocks[0].facts == "" {
		blocks[0].facts = store.FactsUnknown
	}
	return blocks
}
