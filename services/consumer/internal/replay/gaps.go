package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
		r := deps.run(store.ReplayGap)
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
	holes, err := r.Tables.Gaps(ctx, in)
	if err != nil {
		return counts, err
	}
	for _, hole := range holes {
		counts.Missing += hole.Last - hole.First + 1
	}
	h := &healer{run: r, log: log, holes: holes, counts: &counts, dry: request.DryRun}
	h.gone(first)
	for _, hole := range h.holes {
		r.Say("partition %d: offsets %d to %d are missing", in.ID, hole.First, hole.Last)
	}
	for len(h.holes) > 0 {
		if err := h.window(ctx); err != nil {
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
