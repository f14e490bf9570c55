//go:build integration

package rebuild_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/rebuild"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// errKilled ends a run as a crash would.
var errKilled = errors.New("killed")

func onlyShop(r *rebuild.Request) { r.Site = "shop" }
func restart(r *rebuild.Request)  { r.Restart = true }

func TestHitsOfOtherSitesAndDaysStay(t *testing.T) {
	w := newWorld(t)
	w.insert(0, 8)
	w.idle(9)
	w.saved = func(step store.Step) error {
		if step == store.StepFed {
			_, _, err := w.tables.Lock(t.Context())
			require.ErrorIs(t, err, store.ErrRebuilding, "one rebuild runs at a time")
		}
		return nil
	}
	require.NoError(t, w.rebuild(newGoals, onlyShop))
	w.saved = func(store.Step) error { return nil }
	require.Equal(t, map[string][]int64{"blog purchase": {2, 5, 8}, "shop thanks": {0, 1, 3, 4, 6, 7}}, w.hits())
	require.Contains(t, w.lines, "  shop purchase: 6 before, 0 now")
	require.Contains(t, w.lines, "  shop thanks: 0 before, 6 now")
	require.Equal(t, []string{"conversion_hits", "conversion_hits_view"}, w.tablesLike())

	require.NoError(t, w.rebuild(oldGoals, func(r *rebuild.Request) { r.From, r.To = day.AddDate(0, 0, 1), day.AddDate(0, 0, 9) }))
	require.Equal(t, []int64{0, 1, 3, 4, 6, 7}, w.hits()["shop thanks"], "they are of a day before")

	w.insert(9, 9)
	require.Equal(t, []int64{9}, w.hits()["shop purchase"], "new events go on having the goals that they were stored by")
}

func TestHitsMadeAnewByTheSameGoalsAreTheSameInEveryColumn(t *testing.T) {
	w := newWorld(t)
	w.insert(0, 8)
	w.idle(9)
	w.exec("CREATE TABLE %s.before ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM %s.conversion_hits")
	differences := func() (n uint64) {
		require.NoError(t, w.conn.QueryRow(t.Context(), "SELECT count() FROM (SELECT * FROM "+w.database+".before EXCEPT SELECT * FROM "+w.database+".conversion_hits)").Scan(&n))
		return n
	}
	require.NoError(t, w.rebuild(oldGoals))
	require.Zero(t, differences())

	// As in a database whose rows are older than the goals.
	w.exec("TRUNCATE TABLE %s.conversion_hits")
	w.exec("ALTER TABLE %s.events UPDATE `goals.id` = [], `goals.once_per` = [], `goals.value` = [], `goals.value_micros` = [], `goals.currency` = [], " +
		"`goals.click_window_days` = [], `goals.view_window_days` = [], site_currency = '' WHERE site_id = 'shop' SETTINGS mutations_sync = 2")
	require.NoError(t, w.rebuild(oldGoals))
	require.Zero(t, differences())
}

func TestABatchThatIsDeclaredBeforeThereIsTheViewIsNotMissed(t *testing.T) {
	w := newWorld(t)
	w.insert(0, 2)
	w.idle(3)
	looks := 0
	w.asked = func() {
		switch looks++; looks {
		case 2: // after the first view was made: its insert may have come before
			w.declared(3, 5)
		case 6: // it is waited for
			w.insert(3, 5)
			w.declared(6, 8)
			w.insert(6, 8)
		case 7:
			w.idle(9)
		}
	}
	require.NoError(t, w.rebuild(newGoals, onlyShop))
	require.Equal(t, map[string][]int64{"blog purchase": {2, 5, 8}, "shop thanks": {0, 1, 3, 4}, "shop purchase": {6, 7}}, w.hits(),
		"0 to 5 are judged anew, 6 to 8 were stored meanwhile")
}

func TestWhatIsStoredAroundTheExchangeIsNeitherLostNorDoubled(t *testing.T) {
	for name, insertion := range map[string]struct{ before, after func(*world) }{
		"before it, and repeated after it, as the answer was lost": {before: func(w *world) { w.insert(3, 5) }, after: func(w *world) { w.insert(3, 5) }},
		"before it into the old table only": {before: func(w *world) {
			w.insert(3, 5)
			w.exec("ALTER TABLE %s." + w.tablesLike()[1] + " DELETE WHERE kafka_offset = 4 SETTINGS mutations_sync = 2")
		}, after: func(*world) {}},
		"after it": {before: func(*world) {}, after: func(w *world) { w.insert(3, 5) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.insert(0, 2)
			w.idle(3)
			w.saved = func(step store.Step) error {
				switch step {
				case store.StepSwitching:
					w.declared(3, 5)
					insertion.before(w)
				case store.StepSwitched:
					looks := 0
					w.asked = func() {
						if looks++; looks == 3 { // acknowledged by a batch that has its hits already
							insertion.after(w)
							w.declared(6, 8)
							w.insert(6, 8)
						}
					}
				}
				return nil
			}
			require.NoError(t, w.rebuild(oldGoals))
			require.Equal(t, map[string][]int64{"blog purchase": {2, 5, 8}, "shop purchase": {0, 1, 3, 4, 6, 7}}, w.hits())
		})
	}
}

func TestARunThatWasCutOffAfterAStepIsFinishedByTheNext(t *testing.T) {
	w := newWorld(t)
	w.insert(0, 2)
	w.idle(3)
	next := int64(3)
	for _, kill := range []struct {
		after store.Step
		// unsaved is the next step, taken and not kept.
		unsaved string
	}{
		{store.StepPlanned, ""}, {store.StepFed, ""}, {store.StepPassed, ""},
		{store.StepStaged, ""}, {store.StepAdded, ""}, {store.StepStaged, "ALTER TABLE %s.conversion_hits_staged MOVE PARTITION ID '202611' TO TABLE %s.NEXT"}, {store.StepFilled, ""},
		{store.StepSwitching, "EXCHANGE TABLES %s.conversion_hits AND %s.NEXT"}, {store.StepSwitched, ""}, {store.StepChecked, "DROP TABLE %s.NEXT"},
	} {
		w.saved = func(step store.Step) error {
			if step != kill.after {
				return nil
			}
			// Events go on arriving.
			w.insert(next, next+2)
			w.idle(next + 3)
			next += 3
			if kill.unsaved != "" {
				w.exec(strings.ReplaceAll(kill.unsaved, "NEXT", w.tablesLike()[1]))
			}
			return errKilled
		}
		require.ErrorIs(t, w.rebuild(newGoals, onlyShop), errKilled, kill.after)
	}
	w.saved = func(store.Step) error { return nil }
	require.NoError(t, w.rebuild(newGoals, onlyShop))
	require.Contains(t, w.lines, "going on after step checked")
	hits := w.hits()
	// What was there when the view was made is judged anew; that is all but the events of the steps from fed on.
	require.Equal(t, []int64{0, 1, 3, 4}, hits["shop thanks"])
	require.Equal(t, []int64{6, 7, 9, 10, 12, 13, 15, 16, 18, 19, 21, 22, 24, 25, 27, 28, 30, 31}, hits["shop purchase"])
	require.Equal(t, []int64{2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32}, hits["blog purchase"])
	require.Equal(t, []string{"conversion_hits", "conversion_hits_view"}, w.tablesLike())
}

func TestAnUnfinishedRebuildIsNamedAndCanBeGivenUp(t *testing.T) {
	w := newWorld(t)
	w.insert(0, 2)
	w.idle(3)
	stopAfter := func(last store.Step) {
		w.saved = func(step store.Step) error {
			if step == last {
				return errKilled
			}
			return nil
		}
	}
	stopAfter(store.StepFilled)
	require.ErrorIs(t, w.rebuild(newGoals, onlyShop), errKilled)

	err := w.rebuild(newGoals)
	require.ErrorIs(t, err, rebuild.ErrUnfinished)
	require.ErrorContains(t, err, "consumer rebuild goals --from 2026-11-24 --to 2026-11-24 --site shop. Run it to its end")
	err = w.rebuild(oldGoals, onlyShop)
	require.ErrorIs(t, err, rebuild.ErrUnfinished)
	require.ErrorContains(t, err, "was begun with other goals")
	require.Equal(t, map[string][]int64{"blog purchase": {2}, "shop purchase": {0, 1}}, w.hits())

	stopAfter(store.StepSwitched)
	require.ErrorIs(t, w.rebuild(newGoals, restart), errKilled)
	require.Equal(t, "gave up consumer rebuild goals --from 2026-11-24 --to 2026-11-24 --site shop", w.lines[0])
	require.Equal(t, map[string][]int64{"blog purchase": {2}, "shop thanks": {0, 1}}, w.hits())

	stopAfter("")
	require.NoError(t, w.rebuild(oldGoals, restart), "what reports see already is finished first")
	require.Contains(t, w.lines, "  shop thanks: 0 before, 2 now")
	require.Equal(t, map[string][]int64{"blog purchase": {2}, "shop purchase": {0, 1}}, w.hits())
	require.Equal(t, []string{"conversion_hits", "conversion_hits_view"}, w.tablesLike())
}

func TestHitsThatGotLostOnTheWayAreNoticedBeforeReportsSeeIt(t *testing.T) {
	w := newWorld(t)
	w.insert(0, 8)
	w.idle(9)
	w.saved = func(step store.Step) error {
		if step == store.StepStaged {
			w.exec("ALTER TABLE %s.conversion_hits_staged DELETE WHERE kafka_offset = 4 SETTINGS mutations_sync = 2")
		}
		return nil
	}
	require.ErrorContains(t, w.rebuild(newGoals), "the new table holds 8 hits, but 9 were put into it")
	require.Len(t, w.hits()["shop purchase"], 6)
}

func TestEventsThatAreStoredByOtherGoalsAreWarnedOf(t *testing.T) {
	w := newWorld(t)
	w.insert(0, 2)
	w.idle(3)
	w.saved = func(step store.Step) error {
		if step == store.StepFed {
			w.insert(3, 5)
			w.idle(6)
		}
		return nil
	}
	require.NoError(t, w.rebuild(newGoals, onlyShop))
	require.Contains(t, w.lines, "warning: an event of shop, of 2026-11-24 10:00:00, was stored by other goals than these meanwhile: "+
		"restart the consumers with this configuration, then rebuild once more from that day on")
}
