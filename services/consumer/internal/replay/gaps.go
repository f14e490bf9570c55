package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// Request says where to look for offsets without a row.
type Request struct {
	// Partition is -1 for all.
	Partition int
	// From and To are the first and the last offset, both included; -1: what Kafka holds and the consumers have passed.
	From, To int64
	// DryRun shows what would be stored.
	DryRun bool
}

// Counts are numbers of offsets.
type Counts struct {
	// Missing have no row; of these Gone are not in Kafka any more, Expired would have been removed by now for their age, and
	// Stored have a row now, by its outcome. New are those of Stored that never had a row before which kept an event id.
	Missing, Gone, Expired, Stored, New int64
	Outcomes                            map[string]int64
}

// add adds those of a partition.
func (c *Counts) add(other Counts) {
	c.Missing, c.Gone, c.Expired = c.Missing+other.Missing, c.Gone+other.Gone, c.Expired+other.Expired
	c.Stored, c.New = c.Stored+other.Stored, c.New+other.New
}

// ErrGone says that Kafka does not hold records any more of which there is no row.
var ErrGone = errors.New("their records are not in Kafka any more; restore the rows from a backup")

// Gaps stores a row for each offset that has none. The error wraps ErrGone when all was done that can be, and offsets are left
// that nothing here can bring back.
func Gaps(ctx context.Context, deps Deps, request Request) error {
	if request.DryRun {
		r := &run{Deps: deps, what: store.ReplayGap}
		if err := r.readPositions(ctx); err != nil {
			return err
		}
		return r.gaps(ctx, request)
	}
	return deps.locked(ctx, store.ReplayGap, func(ctx context.Context, r *run) error { return r.gaps(ctx, request) })
}

func (r *run) gaps(ctx context.Context, request Request) error {
	var total Counts
	ids := slices.Sorted(maps.Keys(r.positions))
	if request.Partition >= 0 {
		if _, ok := r.positions[request.Partition]; !ok {
			return fmt.Errorf("the topic has no partition %d", request.Partition)
		}
		ids = []int{request.Partition}
	}
	for _, id := range ids {
		counts, err := r.partition(ctx, r.positions[id], request)
		total.add(counts)
		if err != nil {
			return fmt.Errorf("partition %d: %w", id, err)
		}
	}
	r.sayUnknown(total)
	r.Say("total: missing=%d stored=%d expired=%d gone=%d", total.Missing, total.Stored, total.Expired, total.Gone)
	if total.Gone > 0 {
		return fmt.Errorf("%d offsets stay without a row: %w", total.Gone, ErrGone)
	}
	return nil
}

// sayUnknown says what consumers do not know that have begun before: which events a client may still repeat.
func (r *run) sayUnknown(c Counts) {
	if c.New > 0 {
		r.Say("%d of the rows are new: restart the consumers, which count repeats of these events that come from now on until then", c.New)
	}
}

// partition heals the gaps of one partition.
func (r *run) partition(ctx context.Context, position consume.Position, request Request) (Counts, error) {
	counts := Counts{Outcomes: map[string]int64{}}
	log := r.Log(position.Partition)
	first, _, err := log.Bounds(ctx)
	if err != nil {
		return counts, err
	}
	in := store.Range{Partition: position.Partition, First: first, Last: position.First - 1}
	if request.From >= 0 {
		in.First = request.From
	}
	if request.To > in.Last {
		return counts, fmt.Errorf("offset %d is not acknowledged: the consumers store what comes from offset %d on, and --to can be %d at most", request.To, position.First, in.Last)
	}
	if request.To >= 0 {
		in.Last = request.To
	}
	if err := consume.CheckTopic(ctx, log, r.Events, position.Partition, r.InsertDeadline); err != nil {
		return counts, err
	}
	gaps, err := r.Tables.Gaps(ctx, in)
	if err != nil {
		return counts, err
	}
	for _, gap := range gaps {
		if err := r.gap(ctx, log, gap, first, request.DryRun, &counts); err != nil {
			return counts, err
		}
	}
	if request.From < 0 && first > 0 {
		r.Say("partition %d: Kafka begins at offset %d; ledger_gaps shows what is missing before it", in.ID, first)
	}
	r.Say("partition %d: %s", in.ID, counts)
	return counts, nil
}

// String is a line for people.
func (c Counts) String() string {
	return fmt.Sprintf("missing=%d stored=%d%s expired=%d gone=%d", c.Missing, c.Stored, c.outcomes(), c.Expired, c.Gone)
}

// outcomes are the numbers of Stored by outcome, in parentheses.
func (c Counts) outcomes() string {
	var words []string
	for _, outcome := range slices.Sorted(maps.Keys(c.Outcomes)) {
		words = append(words, fmt.Sprintf("%s=%d", outcome, c.Outcomes[outcome]))
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, " ") + ")"
}

// gap heals one gap as far as Kafka holds it, which begins at the offset first.
func (r *run) gap(ctx context.Context, log consume.Log, gap store.Range, first int64, dry bool, counts *Counts) error {
	counts.Missing += gap.Last - gap.First + 1
	if gap.First < first {
		gone := store.Range{Partition: gap.Partition, First: gap.First, Last: min(gap.Last, first-1)}
		counts.Gone += gone.Last - gone.First + 1
		r.Say("partition %d: offsets %d to %d are missing, and Kafka does not hold them any more: it begins at %d", gap.ID, gone.First, gone.Last, first)
		gap.First = first
	}
	if gap.First > gap.Last {
		return nil
	}
	r.Say("partition %d: offsets %d to %d are missing", gap.ID, gap.First, gap.Last)
	if dry {
		return nil
	}
	before, after, err := r.Tables.Around(ctx, gap)
	if err != nil {
		return err
	}
	for gap.First <= gap.Last {
		read, records, err := consume.ReadSome(ctx, log, gap, blockOffsets, blockBytes, r.InsertDeadline)
		if err != nil {
			return err
		}
		at := declaredAt(before, after, records, r.now())
		blocks, err := r.split(ctx, read, records, at)
		if err != nil {
			return err
		}
		for _, b := range blocks {
			if err := r.chooseRules(ctx, &b, before, after); err != nil {
				return err
			}
			if err := r.store(ctx, b, counts); err != nil {
				return err
			}
		}
		before = &store.Neighbour{DeclaredAt: at, Rules: r.Rules.Hash()}
		if len(blocks) > 0 {
			before.Rules = blocks[len(blocks)-1].rules
		}
		gap.First = read.Last + 1
	}
	return nil
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

// split cuts what was read into blocks by what the tables that views fill have of it.
func (r *run) split(ctx context.Context, read store.Range, records []kafka.Message, at time.Time) ([]block, error) {
	filled, told, err := r.Tables.Filled(ctx, read, at.Truncate(24*time.Hour), r.Now().UTC().Truncate(24*time.Hour))
	if err != nil {
		return nil, err
	}
	if !told {
		return []block{{Range: read, records: records, facts: store.FactsUnknown, at: at}}, nil
	}
	identified := map[int64]bool{}
	remake := r.remake(block{Range: read, at: at, enricher: r.Enricher, rules: r.Rules.Hash()})
	for _, record := range records {
		identified[record.Offset] = remake.Identified(record)
	}
	blocks := cut(read, func(offset int64) string {
		switch {
		case filled[offset]:
			return store.FactsKept
		case identified[offset]:
			return store.FactsMade
		}
		return ""
	})
	for i := range blocks {
		b := &blocks[i]
		b.at = at
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
