package replay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// Why a range is listed for rebuild.
const (
	whyUnknown     = "replayed"
	whyInterrupted = "replay_interrupted"
)

// block is a range of offsets whose rows are stored at once.
type block struct {
	store.Range
	records []kafka.Message
	facts   string
	// withheld are offsets whose rows were suppressed.
	withheld map[int64]bool
	// at is when the rows count as declared, which is when they begin to age.
	at time.Time
	// rules is the hash of the rules they are made by.
	rules    string
	enricher *enrich.Enricher
}

// remake is how the rows are made.
func (r *run) remake(b block) consume.Remake {
	day := b.at.Truncate(24 * time.Hour)
	return consume.Remake{
		Declaration: consume.Declaration{Range: b.Range, At: b.at, Day: day, Rules: b.rules, Suppression: r.list.Position},
		Enricher:    b.enricher, Suppressed: r.list, Withheld: b.withheld, Store: r.Tables,
		Above: func(ctx context.Context, short, long time.Duration, keys []store.EventKey) (map[store.EventKey]time.Time, error) {
			return r.Tables.CountedAbove(ctx, b.Partition, b.Last, day, short, long, keys)
		},
	}
}

// store makes the rows of the block and stores those that would not have been removed by now for their age. What it returns is
// to be ended; nil when there was nothing to store.
func (r *run) store(ctx context.Context, b block, counts *Counts) (*store.Replay, error) {
	made, dead, err := r.remake(b).Rows(ctx, b.records)
	if err != nil {
		return nil, err
	}
	rows := slices.DeleteFunc(made, func(row store.Row) bool {
		return !b.at.AddDate(0, 0, int(row.RetentionDays)).After(r.Now())
	})
	counts.Expired += int64(len(made) - len(rows))
	if len(rows) == 0 {
		return nil, nil //nolint:nilnil // nothing to end
	}
	if b.facts == store.FactsUnknown && !slices.ContainsFunc(rows, hasFacts) {
		b.facts = store.FactsKept // nothing follows from them
	}
	if len(dead) > 0 {
		if err := r.deadline(ctx, func(ctx context.Context) error { return r.DeadLetters.Publish(ctx, dead) }); err != nil {
			return nil, err
		}
	}
	entry, err := r.storeRows(ctx, b, rows)
	if err != nil {
		return nil, fmt.Errorf("store offsets %d to %d of partition %d: %w", b.First, b.Last, b.ID, err)
	}
	for i := range rows {
		counts.Outcomes[rows[i].Outcome]++
		if b.facts == store.FactsMade && rows[i].EventID != uuid.Nil {
			counts.New++
		}
	}
	counts.Stored += int64(len(rows))
	return entry, nil
}

func hasFacts(row store.Row) bool {
	return row.Outcome != store.OutcomeMissing && row.Outcome != store.OutcomeDead
}

func (r *run) storeRows(ctx context.Context, b block, rows []store.Row) (*store.Replay, error) {
	entry, err := r.begin(ctx, b, len(rows))
	if err != nil {
		return nil, err
	}
	switch b.facts {
	case store.FactsMade:
		err = r.deadline(ctx, func(ctx context.Context) error { return r.Tables.Insert(ctx, entry, rows) })
	case store.FactsUnknown:
		if err = r.Events.ListForRebuild(ctx, b.Range, whyUnknown); err == nil {
			err = r.Tables.Attach(ctx, entry, rows)
		}
	default:
		err = r.Tables.Attach(ctx, entry, rows)
	}
	if err == nil {
		err = r.Saved(StepStored)
	}
	return entry, err
}

// deadline bounds what is done, so that an insert which is cut off cannot come late.
func (r *run) deadline(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.InsertDeadline)
	defer cancel()
	return do(ctx)
}

// begin keeps that the block is about to be stored: under the token of an interrupted run that has begun with it, as some view
// may have it already.
func (r *run) begin(ctx context.Context, b block, rows int) (*store.Replay, error) {
	entry := &store.Replay{
		ID: uuid.New(), What: r.what, Topic: b.Topic, PartitionID: int32(b.ID), First: b.First, Last: b.Last, Facts: b.facts, //nolint:gosec // a partition number
		Rows: uint64(rows), Rules: b.rules, Suppression: r.list.Position, SavedAt: r.now(), //nolint:gosec // a length
	}
	if i := slices.IndexFunc(r.open, func(o store.Replay) bool { return o.Range() == b.Range && o.Facts == b.facts }); i >= 0 {
		former := r.open[i]
		if former.Rules != entry.Rules || former.Suppression != entry.Suppression || r.now().Sub(former.SavedAt) > r.TokenLife {
			if err := r.Events.ListForRebuild(ctx, b.Range, whyInterrupted); err != nil {
				return nil, err
			}
		}
		entry.ID = former.ID
		r.open = slices.Delete(r.open, i, i+1)
	}
	if err := r.Tables.SaveReplay(ctx, entry); err != nil {
		return nil, err
	}
	return entry, r.Saved(StepBegun)
}

// end keeps that nothing is left to do of a block.
func (r *run) end(ctx context.Context, entry *store.Replay) error {
	entry.Done, entry.SavedAt = 1, r.now()
	if err := r.Tables.SaveReplay(ctx, entry); err != nil {
		return err
	}
	return r.Saved(StepDone)
}

func (r *run) now() time.Time { return r.Now().UTC().Truncate(time.Millisecond) }

// finish ends the blocks that an interrupted run has left and of which events has the rows; the others stay open.
func (r *run) finish(ctx context.Context) error {
	open, err := r.Tables.Open(ctx)
	if err != nil {
		return err
	}
	for i := range open {
		entry := &open[i]
		if entry.What != r.what {
			return fmt.Errorf("an interrupted `%s` must be run to its end first", entry.Command())
		}
		stored, err := r.Tables.CountReplayed(ctx, entry)
		if err != nil {
			return err
		}
		switch {
		case entry.Facts != store.FactsMade:
			// What was attached is whole, and what was not is a gap still.
			err = r.Tables.DropStaged(ctx)
		case stored == 0:
			r.open = append(r.open, *entry)
			continue
		case r.now().Sub(entry.SavedAt) > r.TokenLife:
			if err = r.Events.ListForRebuild(ctx, entry.Range(), whyInterrupted); err == nil {
				err = r.Events.FillEventIDs(ctx, entry.Range())
			}
		default:
			err = r.deadline(ctx, func(ctx context.Context) error { return r.Tables.Complete(ctx, entry) })
		}
		if err == nil && entry.What == store.ReplayDeadLetter {
			err = r.Tables.RemoveDead(ctx, entry.Range(), nil)
		}
		if err != nil {
			return err
		}
		if err := r.end(ctx, entry); err != nil {
			return err
		}
		r.Say("partition %d: offsets %d to %d of an interrupted run are finished", entry.PartitionID, entry.First, entry.Last)
	}
	return nil
}

// giveUpOpen ends the blocks that are still open and were not begun again: some view may have them.
func (r *run) giveUpOpen(ctx context.Context) error {
	for i := range r.open {
		if err := r.Events.ListForRebuild(ctx, r.open[i].Range(), whyInterrupted); err != nil {
			return err
		}
		r.open[i].Done, r.open[i].SavedAt = 1, r.now()
		if err := r.Tables.SaveReplay(ctx, &r.open[i]); err != nil {
			return err
		}
	}
	return nil
}
