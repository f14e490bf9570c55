package consume

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// everything is a window that never forgets.
type everything map[store.EventKey][]time.Time

func (e everything) add(key store.EventKey, at time.Time) { e[key] = append(e[key], at) }

// within tells whether a record of the event makes one at the given time a repeat by the short horizon.
func (e everything) within(key store.EventKey, at time.Time) bool {
	return slices.ContainsFunc(e[key], func(earlier time.Time) bool { return at.Sub(earlier) <= shortHorizon })
}

// agree compares what a window claims with a window that never forgets. A window may say "ask", never a wrong answer.
func agree(t *testing.T, seed uint64, w *window, all everything, key store.EventKey, at time.Time) (asked bool) {
	t.Helper()
	latest, known := w.latest(key)
	found := known && at.Sub(latest) <= shortHorizon
	if found {
		require.True(t, all.within(key, at), "seed %d: found what was never recorded", seed)
		require.Contains(t, all[key], latest, "seed %d", seed)
		return false
	}
	if w.covers(at) {
		require.False(t, all.within(key, at), "seed %d: %v at %v was seen and the window claims it was not", seed, key, at)
		return false
	}
	return true
}

// TestWindowNeverForgetsSilently runs random streams of records, out of order by up to 15 minutes, through small and large
// windows.
func TestWindowNeverForgetsSilently(t *testing.T) {
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 1))
		now := noon
		limit := []int{1, 2, 7, 50, 10_000}[random.IntN(5)]
		step := []time.Duration{time.Second, 10 * time.Second, 2 * time.Minute}[random.IntN(3)]
		jumps := random.IntN(2) == 0
		w, all := newWindow(limit, now.Add(-rebuildHorizon)), everything{}
		asked := 0
		for range 800 {
			now = now.Add(time.Duration(random.Int64N(int64(step))))
			if jumps && random.IntN(200) == 0 {
				now = now.Add(time.Duration(random.IntN(120)) * time.Minute)
			}
			at := now.Add(-time.Duration(random.Int64N(int64(shortHorizon))))
			key := keyOf([]string{"shop", "blog"}[random.IntN(2)], random.IntN(60))
			if agree(t, seed, w, all, key, at) {
				asked++
			}
			w.add(key, at)
			all.add(key, at)
			require.LessOrEqual(t, len(w.current.nanos), limit, "seed %d", seed)
			require.LessOrEqual(t, len(w.previous.nanos), limit, "seed %d", seed)
		}
		if limit == 10_000 {
			require.Zero(t, asked, "seed %d: a window with room knows all within the disorder that it is made for", seed)
		}
	}
}

// TestWindowFilledInAnyOrderNeverForgetsSilently fills a window as the store gives its rows, which is in no order.
func TestWindowFilledInAnyOrderNeverForgetsSilently(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 2))
		span := time.Duration(1+random.IntN(240)) * time.Minute
		since := noon.Add(-span)
		w, all := newWindow([]int{1, 5, 40, 10_000}[random.IntN(4)], since), everything{}
		for range 300 {
			key, at := keyOf("shop", random.IntN(80)), since.Add(time.Duration(random.Int64N(int64(span))))
			w.add(key, at)
			all.add(key, at)
		}
		for range 300 {
			agree(t, seed, w, all, keyOf("shop", random.IntN(80)), noon.Add(-time.Duration(random.Int64N(int64(span)))))
		}
	}
}

// TestWindowSurvivesAClockThatIsFarAhead: the record of one collector with a wrong clock costs questions, not truth.
func TestWindowSurvivesAClockThatIsFarAhead(t *testing.T) {
	w, all := newWindow(100, noon.Add(-rebuildHorizon)), everything{}
	add := func(key store.EventKey, at time.Time) { w.add(key, at); all.add(key, at) }
	add(keyOf("shop", 1), noon)
	add(keyOf("shop", 2), noon.AddDate(70, 0, 0))
	for i := range 500 {
		at := noon.Add(time.Duration(i) * 10 * time.Second)
		agree(t, 0, w, all, keyOf("shop", i%50), at)
		add(keyOf("shop", i%50), at)
	}
	require.LessOrEqual(t, len(w.current.nanos)+len(w.previous.nanos), 200)
}

func TestWindowCoversOnlyAfterItsStart(t *testing.T) {
	w := newWindow(10, noon)
	require.False(t, w.covers(noon.Add(shortHorizon)), "a record at the very start of the window may have a twin before it")
	require.True(t, w.covers(noon.Add(shortHorizon+time.Millisecond)))
	_, known := w.latest(keyOf("shop", 1))
	require.False(t, known)
}
