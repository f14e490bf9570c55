package tally_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/tally"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// publisher keeps what it is given unless it has an answer.
type publisher struct {
	mu              sync.Mutex
	events, refused []*onepxv1.Event

	answer reason.Reason
}

func (p *publisher) Publish(_ context.Context, event *onepxv1.Event) reason.Reason {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answer == "" || p.answer == reason.InSpool {
		p.events = append(p.events, event)
	} else {
		p.refused = append(p.refused, event)
	}
	return p.answer
}

// taken are the hits that have been published by site, since the last call.
func (p *publisher) taken() map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	hits := map[string]uint64{}
	for _, event := range p.events {
		hits[event.GetSiteId()] += event.GetTally().GetHits()
	}
	p.events = nil
	return hits
}

var refusal = tally.Key{
	Site: "shop", Kind: onepxv1.EventKind_EVENT_KIND_ORDER, Reason: reason.OptedOut, Signal: onepxv1.ConsentSignal_CONSENT_SIGNAL_OPT_OUT_COOKIE,
}

func TestCountsArePublishedEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &publisher{}
		counter := tally.New(to, time.Now)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			counter.Follow(ctx)
		}()
		counter.Add(refusal)
		counter.Add(refusal)
		other := refusal
		other.Site = "blog"
		counter.Add(other)
		<-time.After(tally.Every - time.Second)
		synctest.Wait()
		require.Empty(t, to.taken())
		<-time.After(time.Second)
		synctest.Wait()
		require.Equal(t, map[string]uint64{"shop": 2, "blog": 1}, to.taken())
		<-time.After(tally.Every)
		synctest.Wait()
		require.Empty(t, to.taken(), "nothing has been counted since")
		counter.Add(refusal)
		stop()
		<-ended
		require.Equal(t, map[string]uint64{"shop": 1}, to.taken(), "a collector that stops says what it has counted")
	})
}

func TestATallySaysNothingOfVisitors(t *testing.T) {
	to := &publisher{}
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	counter := tally.New(to, func() time.Time { return at })
	counter.Add(refusal)
	counter.Publish(t.Context())
	event := to.events[0]
	require.Len(t, event.GetEventId(), 16)
	event.EventId = nil
	want := &onepxv1.Event{
		Schema: eventlog.SchemaTally, EventIdOrigin: onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR, SiteId: "shop", Kind: onepxv1.EventKind_EVENT_KIND_ORDER,
		ReceivedAtMs: at.UnixMilli(), OccurredAtMs: at.UnixMilli(),
		Consent: &onepxv1.Consent{DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_OPT_OUT_COOKIE}, Tally: &onepxv1.Tally{Reason: "opted_out", Hits: 1},
	}
	require.Equal(t, want.String(), event.String())
}

func TestWhatMayBeInKafkaIsRepeatedUnderItsEventID(t *testing.T) {
	to := &publisher{answer: reason.KafkaUnavailable}
	counter := tally.New(to, time.Now)
	counter.Add(refusal)
	counter.Publish(t.Context())
	first := to.refused[0]
	counter.Add(refusal)
	to.answer = reason.InSpool
	counter.Publish(t.Context())
	require.Same(t, first, to.events[0])
	require.Equal(t, map[string]uint64{"shop": 2}, to.taken(), "and what was counted meanwhile: there may be no other time")
	counter.Publish(t.Context())
	require.Empty(t, to.events, "what lies in the spool is published from there")
}
