package lookup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var shop = &siteconfig.Site{ID: "shop", Timezone: time.UTC}

func visitor(n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)) }

// source knows every visitor; how long it takes and what goes wrong is up to the test.
type source struct {
	mu      sync.Mutex
	takes   time.Duration
	err     error
	queries [][]uuid.UUID
	groups  []string
	running int
	most    int
	facts   Facts
	// whose has who has which id at the partner, asked the ids of each query.
	whose map[string]uuid.UUID
	asked [][]string
}

func (s *source) VisitorsOfPartner(ctx context.Context, site, partner string, ids []string) (map[string]uuid.UUID, error) {
	s.mu.Lock()
	s.asked, s.groups = append(s.asked, slices.Sorted(slices.Values(ids))), append(s.groups, site+" "+partner)
	takes, err, whose := s.takes, s.err, maps.Clone(s.whose)
	s.mu.Unlock()
	select {
	case <-time.After(takes):
		return whose, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *source) VisitorFacts(ctx context.Context, site, day string, visitors []uuid.UUID) (map[uuid.UUID]Facts, error) {
	s.mu.Lock()
	s.queries, s.groups = append(s.queries, slices.Clone(visitors)), append(s.groups, site+" "+day)
	s.running++
	s.most = max(s.most, s.running)
	takes, err, facts := s.takes, s.err, s.facts
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.running--; s.mu.Unlock() }()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	all := map[uuid.UUID]Facts{}
	for _, v := range visitors {
		f := facts
		if f.Memberships == nil {
			f.Memberships = []Membership{{Segment: v.String(), EndsAt: time.Now().Add(time.Hour)}}
		}
		all[v] = f
	}
	return all, nil
}

// sizes are those of the queries so far.
func (s *source) sizes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sizes []int
	for _, q := range s.queries {
		sizes = append(sizes, len(q))
	}
	return sizes
}

// world is a Lookup in made-up time.
type world struct {
	*source
	*Lookup
	t    *testing.T
	list *suppression.List
}

func in(t *testing.T, change func(*Config), test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{source: &source{takes: 5 * time.Millisecond}, t: t, list: suppression.New()}
		cfg := Config{
			Source: w.source, Suppressions: w.list, Window: 2 * time.Millisecond, Timeout: time.Second,
			Queries: 2, Waiting: 1000, Keep: 3 * time.Second, Kept: 1000, Meter: noop.Meter{}, Now: time.Now,
		}
		if change != nil {
			change(&cfg)
		}
		var err error
		w.Lookup, err = New(cfg)
		require.NoError(t, err)
		defer w.Close()
		test(w)
	})
}

// many looks visitors up at once and returns the errors.
func (w *world) many(visitors ...uuid.UUID) []error {
	errs := make([]error, len(visitors))
	var all sync.WaitGroup
	for i, v := range visitors {
		all.Go(func() {
			facts, err := w.Of(w.t.Context(), shop, v)
			errs[i] = err
			if err == nil && (len(facts.Memberships) != 1 || facts.Memberships[0].Segment != v.String()) {
				errs[i] = fmt.Errorf("%s got what is known of %v", v, facts)
			}
		})
	}
	all.Wait()
	return errs
}

func crowd(n int) []uuid.UUID {
	all := make([]uuid.UUID, n)
	for i := range all {
		all[i] = visitor(i)
	}
	return all
}

func (w *world) suppress(kind suppression.Kind, v uuid.UUID, value []byte) {
	w.list.Apply(kafka.Message{Key: suppression.Key(kind, v[:]), Value: value, Offset: w.list.Now().Position})
}

func (w *world) requireNothing(v uuid.UUID) {
	w.t.Helper()
	facts, err := w.Of(w.t.Context(), shop, v)
	require.NoError(w.t, err)
	require.Empty(w.t, facts)
}

func TestLookupsOfOneMomentAreOneQuery(t *testing.T) {
	in(t, nil, func(w *world) {
		require.Equal(t, make([]error, 30), w.many(append(crowd(20), crowd(10)...)...))
		require.Equal(t, []int{20}, w.sizes(), "each visitor once")
	})
}

func TestALookupWaitsNoLongerThanTheWindow(t *testing.T) {
	in(t, nil, func(w *world) {
		begin := time.Now()
		require.Equal(t, []error{nil}, w.many(visitor(1)))
		require.Equal(t, 7*time.Millisecond, time.Since(begin))
	})
}

func TestAQueryHasAtMost64VisitorsAndAsManyRunAsMay(t *testing.T) {
	in(t, nil, func(w *world) {
		require.Equal(t, make([]error, 200), w.many(crowd(200)...))
		sizes := w.sizes()
		slices.Sort(sizes)
		require.Equal(t, []int{8, 64, 64, 64}, sizes)
		require.Equal(t, 2, w.most)
	})
}

func TestQueriesGrowWhileOthersRun(t *testing.T) {
	in(t, func(cfg *Config) { cfg.Queries = 1 }, func(w *world) {
		w.takes = 50 * time.Millisecond
		var all sync.WaitGroup
		for _, v := range crowd(40) {
			all.Go(func() { require.Equal(t, []error{nil}, w.many(v)) })
			<-time.After(time.Millisecond)
		}
		all.Wait()
		require.Len(t, w.sizes(), 2)
	})
}

func TestSitesAndDaysAreAskedForApart(t *testing.T) {
	in(t, nil, func(w *world) {
		tokyo, err := time.LoadLocation("Asia/Tokyo")
		require.NoError(t, err)
		blog := &siteconfig.Site{ID: "blog", Timezone: tokyo}
		<-time.After(20 * time.Hour) // from midnight UTC on, 2000-01-01
		for _, site := range []*siteconfig.Site{shop, blog} {
			_, err := w.Of(w.t.Context(), site, visitor(1))
			require.NoError(t, err)
		}
		require.Equal(t, []string{"shop 2000-01-01", "blog 2000-01-02"}, w.groups)
	})
}

func TestAnAnswerIsKeptForSeconds(t *testing.T) {
	in(t, nil, func(w *world) {
		for range 3 {
			require.Equal(t, []error{nil}, w.many(visitor(1)))
			<-time.After(time.Second)
		}
		require.Len(t, w.sizes(), 1)
		<-time.After(time.Second)
		require.Equal(t, []error{nil}, w.many(visitor(1)))
		require.Len(t, w.sizes(), 2)
	})
	in(t, func(cfg *Config) { cfg.Keep = 0 }, func(w *world) {
		require.Equal(t, []error{nil}, w.many(visitor(1)))
		require.Equal(t, []error{nil}, w.many(visitor(1)))
		require.Len(t, w.sizes(), 2, "nothing is kept")
	})
	in(t, func(cfg *Config) { cfg.Kept = 10 }, func(w *world) {
		w.many(crowd(20)...)
		require.Equal(t, 10, w.kept.Len(), "memory is bounded")
	})
}

func TestAWishHoldsAtOnceWhateverIsKept(t *testing.T) {
	in(t, nil, func(w *world) {
		require.Equal(t, []error{nil}, w.many(visitor(1)))
		w.suppress(suppression.Visitor, visitor(1), suppression.Always)
		w.requireNothing(visitor(1))
		require.Len(t, w.sizes(), 1, "the database is not asked about them")
		w.suppress(suppression.Visitor, visitor(1), nil)
		require.Equal(t, []error{nil}, w.many(visitor(1)), "and is over at once")
		w.suppress(suppression.Profiling, visitor(1), suppression.Always)
		w.requireNothing(visitor(1))
	})
}

func TestAWishThatComesWhileTheDatabaseIsAskedHolds(t *testing.T) {
	in(t, nil, func(w *world) {
		w.takes = 100 * time.Millisecond
		go func() {
			<-time.After(50 * time.Millisecond)
			w.suppress(suppression.Visitor, visitor(1), suppression.Always)
		}()
		w.requireNothing(visitor(1))
	})
}

func TestWhatWasReadBeforeAnErasureIsNotAnsweredAfterIt(t *testing.T) {
	in(t, nil, func(w *world) {
		require.Equal(t, []error{nil}, w.many(visitor(1)))
		w.suppress(suppression.Visitor.Erased(), visitor(1), suppression.Always)
		w.requireNothing(visitor(1))
		<-time.After(time.Second)
		w.suppress(suppression.Visitor.Erased(), visitor(1), suppression.Until(time.Now()))
		<-time.After(time.Millisecond)
		require.Equal(t, []error{nil}, w.many(visitor(1)), "who comes again is a new matter")
		require.Len(t, w.sizes(), 2, "read again")
	})
}

func TestAnAudienceThatHasEndedAndOneHeldOutAreNotShown(t *testing.T) {
	in(t, nil, func(w *world) {
		w.facts = Facts{Share: true, Views: map[string]uint64{"autumn": 2}, Memberships: []Membership{
			{Segment: "ends", EndsAt: time.Now().Add(time.Second)}, {Segment: "held", EndsAt: time.Now().Add(time.Hour), HeldOut: true}, {Segment: "lasts", EndsAt: time.Now().Add(time.Hour)},
		}}
		shown := func() string {
			facts, err := w.Of(w.t.Context(), shop, visitor(1))
			require.NoError(t, err)
			require.True(t, facts.Share)
			require.Equal(t, map[string]uint64{"autumn": 2}, facts.Views)
			var names []string
			for _, m := range facts.Memberships {
				names = append(names, m.Segment)
			}
			return strings.Join(names, " ")
		}
		require.Equal(t, "ends lasts", shown())
		<-time.After(time.Second)
		require.Equal(t, "lasts", shown(), "although the answer is kept")
		require.Len(t, w.sizes(), 1)
	})
}

func TestADatabaseThatIsTooSlowOrAwayIsAnErrorInTime(t *testing.T) {
	in(t, nil, func(w *world) {
		w.takes = time.Hour
		begin := time.Now()
		for _, err := range w.many(crowd(300)...) { // more than run at once
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Equal(t, time.Second, time.Since(begin))
		synctest.Wait()
		w.source.mu.Lock()
		w.takes, w.err = time.Millisecond, errors.New("away")
		w.source.mu.Unlock()
		for _, err := range w.many(crowd(3)...) {
			require.EqualError(t, err, "away")
		}
		w.source.mu.Lock()
		w.err = nil
		w.source.mu.Unlock()
		require.Equal(t, make([]error, 3), w.many(crowd(3)...), "an error is not kept")
	})
}

func TestNoMoreRequestsWaitThanMay(t *testing.T) {
	in(t, func(cfg *Config) { cfg.Waiting = 100 }, func(w *world) {
		count := map[error]int{}
		for _, err := range w.many(crowd(250)...) {
			count[err]++
		}
		require.Equal(t, map[error]int{nil: 100, ErrBusy: 150}, count)
		require.Equal(t, make([]error, 100), w.many(crowd(100)...), "and places are given back")
	})
}

func TestARequestThatGoesAwayDoesNotEndTheQueryOfOthers(t *testing.T) {
	in(t, nil, func(w *world) {
		w.takes = 100 * time.Millisecond
		ctx, cancel := context.WithCancel(w.t.Context())
		gone := make(chan error, 1)
		go func() { _, err := w.Of(ctx, shop, visitor(1)); gone <- err }()
		go func() { <-time.After(10 * time.Millisecond); cancel() }()
		require.Equal(t, []error{nil}, w.many(visitor(2)))
		require.ErrorIs(t, <-gone, context.Canceled)
		require.Equal(t, []int{2}, w.sizes())
	})
}

func TestCloseEndsQueries(t *testing.T) {
	in(t, nil, func(w *world) {
		w.takes = time.Hour
		failed := make(chan error, 1)
		go func() { _, err := w.Of(w.t.Context(), shop, visitor(1)); failed <- err }()
		<-time.After(10 * time.Millisecond)
		w.Close()
		require.ErrorIs(t, <-failed, context.Canceled)
		require.Empty(t, slices.Collect(maps.Keys(w.visitors.open)))
	})
}
