package consume

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/suppression"
)

// tell prints the story of a run that has failed.
func (w *world) tell(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, line := range w.trace[max(0, len(w.trace)-400):] {
		t.Log(line)
	}
	t.Logf("replay it with ONEPX_SIM_SEED=%d", w.seed)
}

// check holds the rows, the views, the dead letters and the position against the log.
func (w *world) check(t *testing.T) {
	rows := slices.Clone(w.house.events.rows)
	slices.SortFunc(rows, func(a, b store.Row) int { return int(a.KafkaOffset - b.KafkaOffset) })
	_, end := w.log.bounds()
	first := end - int64(len(rows))
	for i, row := range rows {
		require.Equal(t, first+int64(i), row.KafkaOffset, "every offset is one row")
	}
	require.LessOrEqual(t, first, w.mayBegin(), "every offset is a row")
	w.checkBatches(t, rows)
	w.checkOutcomes(t, rows)
	w.checkSuppressed(t, rows)
	w.checkViews(t, rows)
	if !w.rare {
		require.Empty(t, w.house.rebuild, "nothing was wrong enough for a rebuild")
	}
}

// mayBegin is the highest offset that may be the first with a row: a new group begins where Kafka's log does.
func (w *world) mayBegin() int64 {
	first, _ := w.log.bounds()
	return first
}

// checkBatches: ranges follow each other, and all rows of one were made alike.
func (w *world) checkBatches(t *testing.T, rows []store.Row) {
	currencies := map[string]string{}
	for _, set := range []ruleSet{euroRules, dollarRules, newerRules} {
		currencies[set.rules.Hash()] = set.rules.Sites["shop"].Currency
	}
	for i, row := range rows {
		require.LessOrEqual(t, row.BatchFirst, row.KafkaOffset)
		require.GreaterOrEqual(t, row.BatchLast, row.KafkaOffset)
		require.Equal(t, row.DeclaredAt.Truncate(24*time.Hour), row.BatchDay)
		if row.Outcome == store.OutcomeEvent || row.Outcome == store.OutcomeDuplicate {
			require.Equal(t, currencies[row.Rules], row.Currency, "offset %d was made by the rules that it names", row.KafkaOffset)
		}
		if i == 0 {
			continue
		}
		if before := rows[i-1]; before.BatchFirst != row.BatchFirst {
			require.Equal(t, before.BatchLast+1, row.BatchFirst)
		} else {
			require.Equal(t, before.BatchLast, row.BatchLast)
			require.Equal(t, before.Rules, row.Rules)
			require.Equal(t, before.DeclaredAt, row.DeclaredAt)
		}
	}
}

// checkOutcomes: what each row is follows from the log and from the rows before it.
func (w *world) checkOutcomes(t *testing.T, rows []store.Row) {
	seen := everything{}
	for _, row := range rows {
		record := w.log.records[row.KafkaOffset]
		letter, hasLetter := w.letters[row.KafkaOffset]
		switch {
		case row.Outcome == store.OutcomeMissing:
			require.True(t, record == nil || row.KafkaOffset < w.log.first, "offset %d is there", row.KafkaOffset)
			require.Zero(t, row.RecordHash)
			continue
		case record == nil:
			require.Fail(t, "a row of nothing", "%+v", row)
		}
		require.Equal(t, hashOf(*record), row.RecordHash)
		d := decode(*record)
		if d.err != nil {
			require.Equal(t, store.OutcomeDead, row.Outcome)
			require.True(t, hasLetter, "offset %d has no dead letter", row.KafkaOffset)
			require.Equal(t, row.Reason, string(letter))
			continue
		}
		if row.Outcome == store.OutcomeSuppressed {
			continue
		}
		require.Equal(t, d.key, store.EventKey{SiteID: row.SiteID, EventID: row.EventID})
		want := store.OutcomeEvent
		if slices.ContainsFunc(seen[d.key], func(at time.Time) bool { return d.at.Sub(at) <= d.horizon }) {
			want = store.OutcomeDuplicate
		}
		require.Equal(t, want, row.Outcome, "offset %d", row.KafkaOffset)
		seen.add(d.key, d.at)
	}
}

// checkSuppressed: each batch was made with one state of the suppression list, a state of the time when it was made.
func (w *world) checkSuppressed(t *testing.T, rows []store.Row) {
	list := suppression.New()
	for _, m := range w.wishes {
		list.Apply(m)
	}
	batches := map[int64][]store.Row{}
	for _, row := range rows {
		if row.Outcome != store.OutcomeMissing && row.Outcome != store.OutcomeDead {
			batches[row.BatchFirst] = append(batches[row.BatchFirst], row)
		}
	}
	for first, batch := range batches {
		require.True(t, slices.ContainsFunc(w.spans(batch[0]), func(s listSpan) bool {
			for position := s.low; position <= s.high; position++ {
				if w.madeAt(list, position, batch) {
					return true
				}
			}
			return false
		}), "the batch at %d was made with no state of the list that it could know", first)
	}
}

// spans are the states of the list under which a row's block may have been made.
func (w *world) spans(row store.Row) []listSpan {
	var spans []listSpan
	for token, s := range w.inserts {
		if strings.HasPrefix(token, fmt.Sprintf("%s/%d/%d-%d/", partition.Topic, partition.ID, row.BatchFirst, row.BatchLast)) {
			spans = append(spans, s...)
		}
	}
	return spans
}

// madeAt tells whether the rows are suppressed exactly where the list says so at the position.
func (w *world) madeAt(list *suppression.List, position int64, rows []store.Row) bool {
	snapshot := list.Now()
	snapshot.Position = position
	m := rowMaker{suppressed: snapshot}
	return !slices.ContainsFunc(rows, func(row store.Row) bool {
		return m.isSuppressed(decode(*w.log.records[row.KafkaOffset]).event) != (row.Outcome == store.OutcomeSuppressed)
	})
}

// checkViews: each view is what it would be if it were made from the table now, except where a rebuild is due.
func (w *world) checkViews(t *testing.T, rows []store.Row) {
	for i := range w.house.views {
		want, have := map[int64]int{}, map[int64]int{}
		for _, row := range viewOf(i, rows) {
			want[row.KafkaOffset]++
		}
		for _, row := range w.house.views[i].rows {
			have[row.KafkaOffset]++
		}
		for _, row := range rows {
			due := slices.ContainsFunc(w.house.rebuild, func(l listed) bool { return l.First <= row.KafkaOffset && row.KafkaOffset <= l.Last })
			if !due {
				require.Equal(t, want[row.KafkaOffset], have[row.KafkaOffset], "view %d at offset %d", i, row.KafkaOffset)
			}
		}
	}
}
