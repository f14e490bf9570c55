package replay

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// LetterCounts are numbers of dead letters, each record once.
type LetterCounts struct {
	// Letters there are; of these Undecodable are still no events, Settled have a row that does not say dead, Early are not
	// acknowledged by the consumers yet, Missing have no row, and Foreign have one that was made of another record. The rows of
	// the others say Dead; they are made anew, but for those that have Expired.
	Letters, Undecodable, Settled, Early, Missing, Foreign, Dead int64
	Counts
}

// DeadLetters makes the rows of records anew that were no events when they were stored, and are events for this binary. With
// dry it only counts.
func DeadLetters(ctx context.Context, deps Deps, dry bool) error {
	if dry {
		r := deps.run(store.ReplayDeadLetter)
		if err := r.readPositions(ctx); err != nil {
			return err
		}
		return r.letters(ctx, dry)
	}
	return deps.locked(ctx, store.ReplayDeadLetter, func(ctx context.Context, r *run) error { return r.letters(ctx, dry) })
}

// How many letters of a partition, and of about how many bytes, are stored together: the rows that say dead go in one step.
const (
	lettersAtOnce = 1000
	lettersBytes  = 8 << 20
)

// readable are letters that can be read now, of one partition.
type readable struct {
	records []kafka.Message
	bytes   int
}

func (r *run) letters(ctx context.Context, dry bool) error {
	counts := LetterCounts{Counts: Counts{Outcomes: map[string]int64{}}}
	waiting := map[int]*readable{}
	err := r.Letters(ctx, func(letter consume.DeadLetter) error {
		position, ok := r.positions[letter.ID]
		if !ok || position.Topic != letter.Topic {
			return nil
		}
		counts.Letters++
		switch {
		case !consume.Decodable(letter.Record):
			counts.Undecodable++
		case letter.Record.Offset >= position.First:
			counts.Early++
		default:
			some := waiting[letter.ID]
			if some == nil {
				some = &readable{}
				waiting[letter.ID] = some
			}
			some.records, some.bytes = append(some.records, letter.Record), some.bytes+len(letter.Record.Key)+len(letter.Record.Value)
			if len(some.records) < lettersAtOnce && some.bytes < lettersBytes {
				return nil
			}
			delete(waiting, letter.ID)
			return r.some(ctx, letter.Partition, some.records, dry, &counts)
		}
		return nil
	})
	for _, id := range slices.Sorted(maps.Keys(waiting)) {
		if err == nil {
			err = r.some(ctx, r.positions[id].Partition, waiting[id].records, dry, &counts)
		}
	}
	if err != nil {
		return err
	}
	r.sayUnknown(counts.Counts)
	r.Say("%s", counts)
	if counts.Missing > 0 {
		r.Say("records without a row: `consumer replay` stores them")
	}
	return nil
}

// String is a line for people.
func (c LetterCounts) String() string {
	return fmt.Sprintf("letters=%d undecodable=%d not_acknowledged=%d settled=%d missing=%d foreign=%d dead=%d stored=%d%s expired=%d",
		c.Letters, c.Undecodable, c.Early, c.Settled, c.Missing, c.Foreign, c.Dead, c.Stored, c.outcomes(), c.Expired)
}

// some makes the rows of some records of one partition anew.
func (r *run) some(ctx context.Context, p store.Partition, records []kafka.Message, dry bool, counts *LetterCounts) error {
	slices.SortFunc(records, func(a, b kafka.Message) int { return cmp.Compare(a.Offset, b.Offset) })
	records = slices.CompactFunc(records, func(a, b kafka.Message) bool { return a.Offset == b.Offset && a.Time.Equal(b.Time) })
	offsets := make([]int64, len(records))
	for i, record := range records {
		offsets[i] = record.Offset
	}
	dead, stored, err := r.Tables.Dead(ctx, p, offsets)
	if err != nil {
		return err
	}
	var blocks []block
	for _, record := range records {
		row, isDead := dead[record.Offset]
		switch {
		case !stored[record.Offset]:
			counts.Missing++
		case !isDead:
			counts.Settled++
		case row.RecordHash != consume.RecordHash(record):
			counts.Foreign++
		default:
			counts.Dead++
			blocks = grow(blocks, p, record, row.DeclaredAt)
		}
	}
	if dry {
		return nil
	}
	return r.storeLetters(ctx, blocks, &counts.Counts)
}

// storeLetters stores blocks of one partition beside their rows that say dead, which go last: an offset without a row would look like a loss.
func (r *run) storeLetters(ctx context.Context, blocks []block, counts *Counts) error {
	var entries []*store.Replay
	var days []time.Time
	for _, b := range blocks {
		b.enricher, b.rules, b.facts = r.Enricher, r.Rules.Hash(), store.FactsMade
		entry, err := r.store(ctx, b, counts)
		if err != nil {
			return err
		}
		if day := b.at.Truncate(24 * time.Hour); entry != nil && !slices.Contains(days, day) {
			days = append(days, day)
		}
		if entry != nil {
			entries = append(entries, entry)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	of := entries[0].Range()
	of.Last = entries[len(entries)-1].Last
	if err := r.Tables.RemoveDead(ctx, of, days); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := r.end(ctx, entry); err != nil {
			return err
		}
	}
	return nil
}

// grow adds the record to the last block when it follows it and was declared with it, else to a new one.
func grow(blocks []block, p store.Partition, record kafka.Message, at time.Time) []block {
	if n := len(blocks); n > 0 && blocks[n-1].Last+1 == record.Offset && blocks[n-1].at.Equal(at) {
		blocks[n-1].Last, blocks[n-1].records = record.Offset, append(blocks[n-1].records, record)
		return blocks
	}
	return append(blocks, block{Range: store.Range{Partition: p, First: record.Offset, Last: record.Offset}, records: []kafka.Message{record}, at: at})
}
