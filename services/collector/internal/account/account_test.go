package account_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/account"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kafkaOf is where accounts go: all are kept in told, also those that are refused in tried.
type kafkaOf struct {
	mu          sync.Mutex
	told, tried []*onepxv1.Event
	answer      reason.Reason
	spooled     int
}

func (k *kafkaOf) Publish(_ context.Context, event *onepxv1.Event) reason.Reason {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried = append(k.tried, event)
	switch k.answer {
	case reason.InSpool:
		k.spooled++
		fallthrough
	case "":
		k.told = append(k.told, event)
	}
	return k.answer
}

func (k *kafkaOf) Spooled() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spooled
}

func (k *kafkaOf) answers(word reason.Reason) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answer = word
}

// texts are the accounts that were told since the last call.
func (k *kafkaOf) texts() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []string
	for _, event := range k.told {
		a := event.GetAccount()
		text := fmt.Sprintf("%d<%d %s-%s", a.GetAcknowledged(), a.GetSequence(), clockOf(event.GetOccurredAtMs()), clockOf(event.GetReceivedAtMs()))
		for _, e := range a.GetEnded() {
			text += fmt.Sprintf(" %s/%s=%d", e.GetOutcome(), e.GetReason(), e.GetEvents())
		}
		for _, p := range a.GetPublished() {
			text += fmt.Sprintf(" %s@%d=%d[%d-%d]", clockOf(p.GetMinuteMs()), p.GetPartition(), p.GetRecords(), p.GetFirstOffset(), p.GetLastOffset())
		}
		if a.GetUnacknowledged() > 0 {
			text += fmt.Sprintf(" unacknowledged=%d", a.GetUnacknowledged())
		}
		if a.GetLast() {
			text += " last"
		}
		all = append(all, text)
	}
	k.told = nil
	return all
}

func clockOf(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04:05") }

// records are what Kafka has acknowledged or not: so many from the offset on.
func records(partition int, first int64, n int, at time.Time, headers ...kafka.Header) []kafka.Message {
	all := make([]kafka.Message, n)
	for i := range all {
		all[i] = kafka.Message{Partition: partition, Offset: first + int64(i), Time: at, Headers: headers}
	}
	return all
}

// fixture is a collector whose accounts are told; time is that of the bubble, which begins at midnight.
type fixture struct {
	*account.Counts
	*account.Teller
	to   *kafkaOf
	log  *bytes.Buffer
	stop func()
}

func follow(t *testing.T, now func() time.Time) fixture {
	t.Helper()
	f := fixture{Counts: account.NewCounts(), to: &kafkaOf{}, log: &bytes.Buffer{}}
	f.Teller = account.New(f.Counts, f.to, slog.New(slog.NewTextHandler(f.log, nil)), now)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Follow(ctx)
	}()
	f.stop = func() {
		cancel()
		<-ended
		f.Last(context.WithoutCancel(ctx))
	}
	return f
}

// pass lets the time pass until all that is to happen has.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestAnAccountIsToldAtTheEndOfEachMinuteInWhichSomethingHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass(20 * time.Second)
		f := follow(t, time.Now)
		f.Ended("")
		f.Ended("")
		f.Ended(reason.OptedOut)
		f.Ended(reason.SiteUnknown)
		f.Published(records(3, 100, 2, time.Now()))
		f.Published(records(3, 110, 1, time.Now()))
		f.Published(records(1, 7, 1, time.Now()))
		pass(40*time.Second - 1)
		require.Empty(t, f.to.texts())
		pass(1)
		require.Equal(t, []string{"0<0 00:00:20-00:01:00 stored/=2 suppressed/opted_out=1 rejected/site_unknown=1 00:00:00@1=1[7-7] 00:00:00@3=3[100-110]"}, f.to.texts())
		pass(10 * time.Minute)
		require.Empty(t, f.to.texts(), "nothing happened")
		f.Published(records(0, 5, 1, time.Now().Add(-time.Millisecond)))
		f.Published(records(0, 6, 1, time.Now()))
		f.Unacknowledged(records(0, 0, 3, time.Now()))
		pass(time.Minute)
		require.Equal(t, []string{"1<1 00:11:00-00:12:00 00:10:00@0=1[5-5] 00:11:00@0=1[6-6] unacknowledged=3"}, f.to.texts(),
			"by the minute of the record, which may be the one before")
		f.stop()
		require.Equal(t, []string{"2<2 00:12:00-00:12:00 last"}, f.to.texts())
		require.Empty(t, f.log.String())
	})
}

func TestACollectorThatStopsTellsItsPartOfTheMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, time.Now)
		f.Ended(reason.InSpool)
		pass(30 * time.Second)
		f.stop()
		require.Equal(t, []string{"0<0 00:00:00-00:00:30 spooled/spooled=1 last"}, f.to.texts())
		idle := follow(t, time.Now)
		pass(time.Hour)
		idle.stop()
		require.Empty(t, idle.to.texts(), "who never had anything to tell does not")
		require.NotEqual(t, f.Collector, idle.Collector)
	})
}

func TestAccountsAreNotCountedThemselves(t *testing.T) {
	f := follow(t, time.Now)
	f.Ended("")
	f.stop()
	message, err := eventlog.Encode(f.to.told[0], time.Now())
	require.NoError(t, err)
	next := follow(t, time.Now)
	next.Published(records(0, 0, 1, time.Now(), message.Headers...))
	next.Unacknowledged(records(0, 0, 1, time.Now(), message.Headers...))
	next.stop()
	require.Empty(t, next.to.texts())
}

func TestAnAccountSaysNothingButCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, time.Now)
		f.Ended("")
		f.stop()
		event := f.to.told[0]
		require.Len(t, event.GetEventId(), 16)
		event.EventId = nil
		want := &onepxv1.Event{
			Schema: eventlog.SchemaAccount, EventIdOrigin: onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR,
			ReceivedAtMs: time.Now().UnixMilli(), OccurredAtMs: time.Now().UnixMilli(),
			Account: &onepxv1.Account{Collector: f.Collector[:], Last: true, Ended: []*onepxv1.Ended{{Outcome: "stored", Events: 1}}},
		}
		require.Equal(t, want.String(), event.String())
	})
}

func TestAccountsWaitWhileKafkaIsAwayAndComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, time.Now)
		f.to.answers(reason.KafkaUnavailable)
		for range 3 {
			f.Ended(reason.KafkaUnavailable)
			pass(time.Minute)
		}
		require.Len(t, f.to.tried, 3)
		require.Same(t, f.to.tried[0], f.to.tried[2], "under its event id: Kafka may have it")
		f.to.answers("")
		pass(time.Minute)
		require.Equal(t, []string{
			"0<0 00:00:00-00:01:00 lost/kafka_unavailable=1", "0<1 00:01:00-00:02:00 lost/kafka_unavailable=1", "0<2 00:02:00-00:03:00 lost/kafka_unavailable=1",
		}, f.to.texts())
		f.Ended("")
		f.to.answers(reason.Overloaded)
		f.stop()
		require.Contains(t, f.log.String(), "accounts=1")
	})
}

func TestOfMoreThanADayOfWaitingAccountsTheOldestAreGivenUpAndMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, time.Now)
		f.to.answers(reason.KafkaUnavailable)
		for range 24*60 + 2 {
			f.Ended("")
			pass(time.Minute)
		}
		f.to.answers("")
		f.stop()
		told := f.to.texts()
		require.Len(t, told, 24*60)
		require.Equal(t, "0<3 00:03:00-00:04:00 stored/=1", told[0])
	})
}

func TestAccountsInTheSpoolAreAcknowledgedWhenItIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, time.Now)
		minute := func(answer reason.Reason) {
			f.to.answers(answer)
			f.Ended("")
			pass(time.Minute)
		}
		minute("")
		minute(reason.InSpool)
		minute("")
		minute("")
		f.to.spooled = 0
		minute("")
		minute(reason.EventTooLarge)
		minute("")
		var order []string
		for _, text := range f.to.texts() {
			order = append(order, text[:3])
		}
		require.Equal(t, []string{"0<0", "1<1", "1<2", "1<3", "4<4", "6<6"}, order, "what no topic takes is missing, and keeps nothing else waiting")
		f.stop()
	})
}

func TestAClockThatIsSetBackMakesNoAccountThatEndsBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Int64
		f := follow(t, func() time.Time { return time.Now().Add(-time.Duration(back.Load())) })
		pass(90 * time.Second)
		f.Ended("")
		back.Store(int64(time.Hour))
		pass(30 * time.Second)
		require.Equal(t, []string{"0<0 23:02:00-23:02:00 stored/=1"}, f.to.texts())
		f.Ended("")
		f.stop()
		require.Equal(t, []string{"1<1 23:02:00-23:02:00 stored/=1 last"}, f.to.texts())
	})
}
