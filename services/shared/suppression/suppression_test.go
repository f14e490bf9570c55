package suppression_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/suppression"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	anna, bert = []byte("annaannaannaanna"), []byte("bertbertbertbert")
	now        = time.UnixMilli(1_795_608_000_123)
)

func suppress(offset int64, kind suppression.Kind, id []byte) kafka.Message {
	return kafka.Message{Offset: offset, Key: suppression.Key(kind, id), Value: suppression.Always}
}

func lift(offset int64, kind suppression.Kind, id []byte) kafka.Message {
	return kafka.Message{Offset: offset, Key: suppression.Key(kind, id)}
}

func TestAnEntryHoldsUntilItIsLifted(t *testing.T) {
	list := suppression.New()
	require.False(t, list.Contains(suppression.Visitor, anna, now))
	list.Apply(suppress(0, suppression.Visitor, anna))
	require.True(t, list.Contains(suppression.Visitor, anna, now))
	list.Apply(lift(1, suppression.Visitor, anna))
	require.False(t, list.Contains(suppression.Visitor, anna, now))
	list.Apply(suppress(2, suppression.Visitor, anna))
	require.True(t, list.Contains(suppression.Visitor, anna, now))
}

func TestAnEntryNamesOneIDOfOneKind(t *testing.T) {
	list := suppression.New()
	list.Apply(suppress(0, suppression.Visitor, anna))
	require.False(t, list.Contains(suppression.User, anna, now))
	require.False(t, list.Contains(suppression.Visitor, bert, now))
}

func TestAnErasureHoldsForWhatWasReceivedUpToItsMoment(t *testing.T) {
	list := suppression.New()
	list.Apply(kafka.Message{Key: suppression.Key(suppression.Visitor.Erased(), anna), Value: suppression.Until(now)})
	require.True(t, list.Contains(suppression.Visitor, anna, now.Add(-time.Hour)))
	require.True(t, list.Contains(suppression.Visitor, anna, now))
	require.False(t, list.Contains(suppression.Visitor, anna, now.Add(time.Millisecond)), "a later visit is a new matter")
	require.False(t, list.Contains(suppression.User, anna, now))
}

func TestAnErasureAndAWishHoldSideBySide(t *testing.T) {
	list := suppression.New()
	list.Apply(suppress(0, suppression.Visitor, anna))
	list.Apply(kafka.Message{Offset: 1, Key: suppression.Key(suppression.Visitor.Erased(), anna), Value: suppression.Until(now)})
	require.True(t, list.Contains(suppression.Visitor, anna, now.Add(time.Hour)), "the wish holds")
	list.Apply(lift(2, suppression.Visitor, anna))
	require.False(t, list.Contains(suppression.Visitor, anna, now.Add(time.Hour)))
	require.True(t, list.Contains(suppression.Visitor, anna, now), "the erasure does not end with the wish")
}

func FuzzApply(f *testing.F) {
	for _, value := range []string{"", "1", "until=1795608000123", "until=-1", "until=", "until=x", "until=99999999999999999999"} {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		list := suppression.New()
		list.Apply(kafka.Message{Key: suppression.Key(suppression.Visitor, anna), Value: value})
		held := list.Contains(suppression.Visitor, anna, now)
		later := list.Contains(suppression.Visitor, anna, now.AddDate(9000, 0, 0))
		require.True(t, held || !later, "what holds later holds now")
		if len(value) == 0 {
			require.False(t, held, "an empty value lifts")
		} else if !strings.HasPrefix(string(value), "until=") {
			require.True(t, later, "what cannot be read suppresses all")
		}
	})
}

func TestAnEmptyIDIsNeverOnTheList(t *testing.T) {
	list := suppression.New()
	list.Apply(suppress(0, suppression.Visitor, nil))
	require.False(t, list.Contains(suppression.Visitor, nil, now))
}

func TestASnapshotDoesNotChange(t *testing.T) {
	list := suppression.New()
	list.Apply(suppress(5, suppression.Visitor, anna))
	before := list.Now()
	list.Apply(lift(6, suppression.Visitor, anna))
	list.Apply(suppress(7, suppression.Visitor, bert))
	require.EqualValues(t, 6, before.Position)
	require.True(t, before.Contains(suppression.Visitor, anna, now))
	require.False(t, before.Contains(suppression.Visitor, bert, now))
	require.False(t, list.Now().Contains(suppression.Visitor, anna, now))
}

// follow lets a list follow the topic of a broker until the test ends.
func follow(t *testing.T, broker *kafkatest.Broker) *suppression.List {
	t.Helper()
	return followWith(t, broker, func(*suppression.List, suppression.Kind, []byte, int64) {})
}

func followWith(t *testing.T, broker *kafkatest.Broker, wished func(*suppression.List, suppression.Kind, []byte, int64)) *suppression.List {
	t.Helper()
	settings := kafkaconn.Settings{Brokers: []string{broker.Addr()}}
	client, err := settings.Client()
	require.NoError(t, err)
	dialer, err := settings.Dialer()
	require.NoError(t, err)
	list := suppression.New()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- list.Follow(ctx, suppression.Source{Brokers: settings.Brokers, Dialer: dialer, Client: client, Log: slog.New(slog.DiscardHandler), Wished: func(kind suppression.Kind, id []byte, offset int64) { wished(list, kind, id, offset) }})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		kafkaconn.Close(client)
	})
	return list
}

func write(t *testing.T, broker *kafkatest.Broker, messages ...kafka.Message) {
	t.Helper()
	transport := &kafka.Transport{}
	writer := &kafka.Writer{Addr: kafka.TCP(broker.Addr()), Topic: eventlog.TopicSuppressions, Transport: transport, RequiredAcks: kafka.RequireAll, BatchTimeout: time.Millisecond}
	require.NoError(t, writer.WriteMessages(t.Context(), messages...))
	require.NoError(t, writer.Close())
	transport.CloseIdleConnections()
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 10*time.Millisecond)
}

func TestAListIsReadyOnlyWhenItHasReadWhatStoodInTheTopic(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1})
	write(t, broker, suppress(0, suppression.Visitor, anna), suppress(0, suppression.User, bert), lift(0, suppression.Visitor, anna))
	list := follow(t, broker)
	eventually(t, func() bool {
		ready, read := list.Ready(), list.Contains(suppression.User, bert, now)
		require.True(t, read || !ready)
		return ready
	})
	require.False(t, list.Contains(suppression.Visitor, anna, now))

	write(t, broker, suppress(0, suppression.Recipient, anna))
	eventually(t, func() bool { return list.Contains(suppression.Recipient, anna, now) })
}

func TestAnEmptyTopicIsReadAtOnce(t *testing.T) {
	list := follow(t, kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1}))
	eventually(t, list.Ready)
}

func TestAListIsNotReadyWhileKafkaIsAway(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1})
	write(t, broker, suppress(0, suppression.Visitor, anna))
	broker.Stop()
	list := follow(t, broker)
	require.Never(t, list.Ready, 2*time.Second, 50*time.Millisecond)
	require.ErrorContains(t, list.NotReady(), "the suppression list is not read yet")
	broker.Resume()
	eventually(t, func() bool { return list.Ready() && list.Contains(suppression.Visitor, anna, now) })
}

func TestAListWithoutATopicSaysSo(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicEvents: 1})
	list := follow(t, broker)
	eventually(t, func() bool {
		return strings.Contains(list.NotReady().Error(), "not read yet: topic onepx.suppressions: ")
	})
}

func TestAWishIsToldFromAnErasure(t *testing.T) {
	list := suppression.New()
	list.Apply(kafka.Message{Offset: 0, Key: suppression.Key(suppression.Visitor.Erased(), anna), Value: suppression.Until(time.Now().Add(time.Hour))})
	require.True(t, list.Contains(suppression.Visitor, anna, time.Now()))
	require.False(t, list.Wished(suppression.Visitor, anna))
	list.Apply(suppress(1, suppression.Visitor, anna))
	require.True(t, list.Wished(suppression.Visitor, anna))
	list.Apply(lift(2, suppression.Visitor, anna))
	require.False(t, list.Wished(suppression.Visitor, anna))
}

func TestAnErasureIsToldFromAWish(t *testing.T) {
	list := suppression.New()
	list.Apply(suppress(0, suppression.Visitor, anna))
	require.False(t, list.Erased(suppression.Visitor, anna, now))
	list.Apply(kafka.Message{Offset: 1, Key: suppression.Key(suppression.Visitor.Erased(), anna), Value: suppression.Until(now)})
	require.True(t, list.Erased(suppression.Visitor, anna, now))
	require.False(t, list.Erased(suppression.Visitor, anna, now.Add(time.Millisecond)), "a later visit is a new matter")
	require.False(t, list.Erased(suppression.User, anna, now))
}

func TestWhoFollowsTheTopicIsToldOfEachWishAfterTheList(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1})
	write(t, broker, suppress(0, suppression.Visitor, anna), lift(0, suppression.Visitor, anna), suppress(0, suppression.User.Erased(), bert), suppress(0, suppression.User, bert))
	var mu sync.Mutex
	var told []string
	list := followWith(t, broker, func(list *suppression.List, kind suppression.Kind, id []byte, offset int64) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf("%s %s %d of %d", kind, id, offset, list.Now().Position))
	})
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) == 3
	})
	require.Equal(t, []string{"visitor annaannaannaanna 0 of 1", "visitor annaannaannaanna 1 of 2", "user bertbertbertbert 3 of 4"}, told)
	wishes := map[string]string{}
	list.EachWish(func(kind suppression.Kind, id []byte, offset int64, wished bool) {
		wishes[fmt.Sprintf("%s %s", kind, id)] = fmt.Sprint(offset, wished)
	})
	require.Equal(t, map[string]string{"visitor annaannaannaanna": "1 false", "user bertbertbertbert": "3 true"}, wishes)
}
