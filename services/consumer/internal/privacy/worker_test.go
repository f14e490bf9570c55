package privacy_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/consumer/internal/privacy"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// topic is a Reader of some records.
type topic struct {
	records   []kafka.Message
	committed []int64
}

func (r *topic) FetchMessage(ctx context.Context) (kafka.Message, error) {
	if len(r.records) == 0 {
		<-ctx.Done()
		return kafka.Message{}, ctx.Err()
	}
	next := r.records[0]
	r.records = r.records[1:]
	return next, nil
}

func (r *topic) CommitMessages(_ context.Context, messages ...kafka.Message) error {
	for _, m := range messages {
		r.committed = append(r.committed, m.Offset)
	}
	return nil
}

func record(t *testing.T, offset int64) kafka.Message {
	t.Helper()
	job := jobs.Job{ID: uuid.New(), Kind: jobs.Erase, AskedBy: "ticket", AskedAt: time.Unix(1, 0), People: jobs.People{Visitors: []uuid.UUID{uuid.New()}}}
	message, err := job.Message()
	require.NoError(t, err)
	message.Offset = offset
	return message
}

func worker(t *testing.T, r *topic, erase func(context.Context, jobs.Job) error) *privacy.Worker {
	t.Helper()
	metrics, err := privacy.NewMetrics(noop.Meter{})
	require.NoError(t, err)
	return &privacy.Worker{Reader: r, Tasks: map[jobs.Kind]func(context.Context, jobs.Job) error{jobs.Erase: erase}, Metrics: metrics, Logger: slog.New(slog.DiscardHandler)}
}

func TestAJobOfAKindThatNobodyDoesIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := jobs.Job{ID: uuid.New(), Kind: jobs.Access, AskedBy: "key shop/dpo", AskedAt: time.Unix(1, 0), People: jobs.People{Visitors: []uuid.UUID{uuid.New()}}}
		message, err := job.Message()
		require.NoError(t, err)
		r := &topic{records: []kafka.Message{message}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		worker(t, r, func(context.Context, jobs.Job) error { return errors.New("another kind") }).Run(ctx)
		require.Equal(t, []int64{0}, r.committed)
	})
}

func TestAJobIsTriedUntilItIsDoneAndOneThatIsNoneIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &topic{records: []kafka.Message{{Offset: 0, Value: []byte("{}")}, record(t, 1), record(t, 2)}}
		ctx, cancel := context.WithCancel(t.Context())
		attempts := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			worker(t, r, func(context.Context, jobs.Job) error {
				if attempts++; attempts < 4 {
					return errors.New("away")
				}
				return nil
			}).Run(ctx)
		}()
		<-time.After(time.Hour)
		synctest.Wait()
		cancel()
		<-done
		require.Equal(t, 5, attempts, "four for the first, one for the second")
		require.Equal(t, []int64{0, 1, 2}, r.committed)
	})
}

func TestAJobIsDoneByWhoDoesItsKind(t *testing.T) {
	export := jobs.Job{ID: uuid.New(), Kind: jobs.Export, Site: "shop", AskedBy: "ticket", AskedAt: time.Unix(1, 0), List: &jobs.List{Segment: "s", Format: jobs.CSV}}
	message, err := export.Message()
	require.NoError(t, err)
	message.Offset = 1
	r := &topic{records: []kafka.Message{record(t, 0), message, record(t, 2)}}
	ctx, cancel := context.WithCancel(t.Context())
	erased := 0
	worker(t, r, func(context.Context, jobs.Job) error {
		if erased++; erased == 2 {
			cancel()
		}
		return nil
	}).Run(ctx)
	require.Equal(t, 2, erased)
	require.Equal(t, []int64{0, 1}, r.committed, "the export is left out, as nobody does it, and nothing is erased for it")
}

func TestAJobThatWasCutOffIsNotCommitted(t *testing.T) {
	r := &topic{records: []kafka.Message{record(t, 0)}}
	ctx, cancel := context.WithCancel(t.Context())
	worker(t, r, func(ctx context.Context, _ jobs.Job) error {
		cancel()
		return ctx.Err()
	}).Run(ctx)
	require.Empty(t, r.committed)
}

func TestThePositionIsThatBehindTheLastRecord(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1, eventlog.TopicEvents: 1, eventlog.TopicDeadLetter: 1, eventlog.TopicJobs: 1, eventlog.TopicAudiences: 1, eventlog.TopicUnsubscribes: 1})
	client, err := kafkaconn.Settings{Brokers: []string{broker.Addr()}}.Client()
	require.NoError(t, err)
	t.Cleanup(func() { kafkaconn.Close(client) })
	many := make([]kafka.Message, 2500)
	for i := range many {
		many[i] = kafka.Message{Key: []byte{byte(i), byte(i >> 8)}, Value: []byte("1"), Time: time.Unix(1, 0)}
	}
	for _, want := range []int64{2500, 5000} {
		position, err := kafkaconn.Produce(t.Context(), client, eventlog.TopicSuppressions, many)
		require.NoError(t, err)
		require.Equal(t, want, position)
	}
	until := time.Unix(1_000_000, 0)
	expires, err := privacy.Expiry(t.Context(), client, until)
	require.NoError(t, err)
	require.Greater(t, expires.Sub(until), 7*24*time.Hour, "Kafka's default, and a segment more")
}
