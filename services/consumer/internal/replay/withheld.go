package replay

import (
	"context"

	"github.com/onepx/onepx/services/consumer/internal/consume"
)

// withheldRun is how many offsets one behind the other may have been suppressed between others that were not. More of them are
// rather batches that were never stored.
const withheldRun = 100

// withheld returns the offsets of a hole whose rows had no event id, though they would keep one now. A batch is stored whole: what
// lies between offsets of which the views were filled, without the border of a batch that is known, was stored with them, as suppressed.
func withheld(of hole, filled, identified map[int64]bool) map[int64]bool {
	found := map[int64]bool{}
	var row []int64
	settle := func() {
		for _, offset := range row {
			if len(row) <= withheldRun {
				found[offset] = true
			}
		}
		row = nil
	}
	inBatch := of.before != nil && of.before.Offset == of.First-1 && of.before.BatchLast >= of.First
	for offset := of.First; offset <= of.Last; offset++ {
		switch {
		case filled[offset]:
			settle()
			inBatch = true
		case identified[offset] && inBatch:
			row = append(row, offset)
		}
	}
	if goesOn(of, filled) {
		settle()
	}
	return found
}

// goesOn tells whether the batch of the last offsets of a hole goes on behind it: with a row, or with an offset that is lost too.
func goesOn(of hole, filled map[int64]bool) bool {
	for offset := of.Last + 1; offset <= of.Last+withheldRun; offset++ {
		if of.after != nil && of.after.Offset == offset {
			return of.after.BatchFirst <= of.Last
		}
		if filled[offset] {
			return true
		}
	}
	return false
}

// letterID names a dead letter.
type letterID struct {
	partition int
	offset    int64
	hash      uint64
}

// butDead leaves out the offsets of a hole whose rows said dead: they had no event id for that.
func (r *run) butDead(ctx context.Context, of hole, offsets map[int64]bool) (map[int64]bool, error) {
	if len(offsets) == 0 {
		return nil, nil //nolint:nilnil // none
	}
	if r.dead == nil {
		r.dead = map[letterID]bool{}
		err := r.Letters(ctx, func(letter consume.DeadLetter) error {
			r.dead[letterID{letter.ID, letter.Record.Offset, consume.RecordHash(letter.Record)}] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, record := range of.records {
		if r.dead[letterID{of.ID, record.Offset, consume.RecordHash(record)}] {
			delete(offsets, record.Offset)
		}
	}
	return offsets, nil
}
