package lookup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/suppression"
)

// partnersKnow lets the partner know visitor n by the id n, and all of them allow sharing.
func (w *world) partnersKnow(n int) {
	w.source.mu.Lock()
	defer w.source.mu.Unlock()
	w.whose = map[string]uuid.UUID{}
	for i := range n {
		w.whose[fmt.Sprint(i)] = visitor(i)
	}
	w.facts.Share = true
}

// audienceOf is the audience of the visitor that the partner knows by the id: source names it like the visitor.
func (w *world) audienceOf(id string) string {
	w.t.Helper()
	facts, err := w.OfPartner(w.t.Context(), shop, "adnet", id)
	require.NoError(w.t, err)
	if len(facts.Memberships) == 0 {
		require.Equal(w.t, Facts{}, facts, "as an unknown one")
		return ""
	}
	return facts.Memberships[0].Segment
}

func TestLookupsByPartnersIDsOfOneMomentAreOneQueryOfEachKind(t *testing.T) {
	in(t, nil, func(w *world) {
		w.partnersKnow(40)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				want := ""
				if i < 40 {
					want = visitor(i).String()
				}
				require.Equal(t, want, w.audienceOf(fmt.Sprint(i)))
			})
		}
		all.Wait()
		require.Len(t, w.asked, 1)
		require.Len(t, w.asked[0], 50)
		require.Equal(t, []int{40}, w.sizes())
		require.Equal(t, visitor(1).String(), w.audienceOf("1"))
		require.Empty(t, w.audienceOf("45"))
		require.Len(t, w.asked, 1, "both are kept")
		<-time.After(3 * time.Second)
		w.partnersKnow(1)
		require.Empty(t, w.audienceOf("1"), "taken back")
		require.Len(t, w.asked, 2)
	})
}

func TestNothingIsToldAPartnerOfWhoDoesNotAllowSharing(t *testing.T) {
	in(t, nil, func(w *world) {
		w.partnersKnow(1)
		w.facts = Facts{Views: map[string]uint64{"autumn": 1}}
		require.Empty(t, w.audienceOf("0"))
		facts, err := w.Of(w.t.Context(), shop, visitor(0))
		require.NoError(t, err)
		require.NotEmpty(t, facts.Memberships, "the site itself may know")
	})
}

func TestNothingIsToldAPartnerOfWhoIsSuppressed(t *testing.T) {
	in(t, nil, func(w *world) {
		w.partnersKnow(2)
		require.NotEmpty(t, w.audienceOf("0"))
		w.suppress(suppression.Visitor, visitor(0), suppression.Always)
		w.suppress(suppression.Profiling, visitor(1), suppression.Always)
		require.Empty(t, w.audienceOf("0"), "whatever is kept")
		require.Empty(t, w.audienceOf("1"))
	})
}

func TestAPartnersLookupThatGetsNoAnswer(t *testing.T) {
	in(t, func(c *Config) { c.Timeout = 7 * time.Millisecond; c.Keep = 0 }, func(w *world) {
		w.partnersKnow(1)
		start := time.Now()
		_, err := w.OfPartner(w.t.Context(), shop, "adnet", "0")
		require.ErrorIs(t, err, context.DeadlineExceeded, "two queries of 5 ms")
		require.Equal(t, 7*time.Millisecond, time.Since(start))
		w.source.mu.Lock()
		w.takes, w.err = 0, errors.New("away")
		w.source.mu.Unlock()
		_, err = w.OfPartner(w.t.Context(), shop, "adnet", "0")
		require.EqualError(t, err, "away")
	})
	in(t, func(c *Config) { c.Waiting = 1 }, func(w *world) {
		first := make(chan error, 1)
		go func() { _, err := w.OfPartner(w.t.Context(), shop, "adnet", "0"); first <- err }()
		<-time.After(time.Millisecond)
		_, err := w.OfPartner(w.t.Context(), shop, "adnet", "1")
		require.ErrorIs(t, err, ErrBusy)
		require.NoError(t, <-first)
	})
}
