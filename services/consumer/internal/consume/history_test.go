package consume

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestHistoryNeverForgetsAnEventWithinTheLongHorizonAndRarelyTakesANewOneForKnown(t *testing.T) {
	const events = filterEvents + filterEvents/2
	past := &history{}
	for i := range events {
		past.add(numbered(i), noon.Add(time.Duration(i)*time.Millisecond))
	}
	mistakes := 0
	for i := range events {
		if i%97 == 0 {
			require.True(t, past.mayKnow(numbered(i), noon, longHorizon), i)
		}
		if i%11 == 0 && past.mayKnow(numbered(i+events), noon, longHorizon) {
			mistakes += 11
		}
	}
	require.Less(t, mistakes, events/1000)
}

func TestHistoryDropsWhatIsOlderThanTheLongHorizon(t *testing.T) {
	past := &history{}
	for i := range filterEvents {
		past.add(numbered(i), noon)
	}
	at := noon.Add(longHorizon)
	past.add(numbered(-1), at)
	require.True(t, past.mayKnow(numbered(7), at, shortHorizon))
	at = at.Add(2 * rebuildHorizon)
	past.add(numbered(-2), at)
	require.False(t, past.mayKnow(numbered(7), at, shortHorizon))
	require.Len(t, past.filters, 1)
	require.True(t, past.mayKnow(numbered(7), at, 2*longHorizon), "of the time before, nothing is certain any more")
}

func TestHistoryTellsSitesApart(t *testing.T) {
	past := &history{}
	key := numbered(1)
	past.add(key, noon)
	key.SiteID = "other"
	require.False(t, past.mayKnow(key, noon, longHorizon))
}

func numbered(n int) store.EventKey {
	id := uuid.UUID{6: 0x80, 8: 0x80}
	for i := range 4 {
		id[i] = byte(n >> (8 * i))
	}
	return store.EventKey{SiteID: "shop", EventID: id}
}

func TestHistoryTakesTwoAndAHalfBytesAnEventWhenItsFiltersAreFull(t *testing.T) {
	const filters = 8
	past, events := &history{}, filterEventsFirst*(1<<filters-1)
	require.Zero(t, past.bytes())
	for i := range events {
		past.add(numbered(i), noon)
	}
	require.Len(t, past.filters, filters)
	require.InDelta(t, 2.5, float64(past.bytes())/float64(events), 0.2)
}
