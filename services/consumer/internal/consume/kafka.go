package consume

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Kafka is the connection to the brokers, from which the parts of workers are made.
type Kafka struct {
	Brokers []string
	Dialer  *kafka.Dialer
	Client  *kafka.Client
	Group   string
	Outage  *telemetry.OutageLog
}

// Log reads one partition.
func (k Kafka) Log(p store.Partition) Log { return partitionLog{k, p} }

// partitionLog reads one partition; it implements Log.
type partitionLog struct {
	Kafka
	partition store.Partition
}

func (l partitionLog) Bounds(ctx context.Context) (first, end int64, err error) {
	res, err := l.Client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		l.partition.Topic: {kafka.FirstOffsetOf(l.partition.ID), kafka.LastOffsetOf(l.partition.ID)},
	}})
	if err != nil {
		return 0, 0, fmt.Errorf("list offsets: %w", err)
	}
	for _, p := range res.Topics[l.partition.Topic] {
		if p.Partition == l.partition.ID {
			return p.FirstOffset, p.LastOffset, p.Error
		}
	}
	return 0, 0, fmt.Errorf("list offsets: no answer for partition %d", l.partition.ID)
}

func (l partitionLog) Open(offset int64) (Cursor, error) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: l.Brokers, Dialer: l.Dialer, Topic: l.partition.Topic, Partition: l.partition.ID,
		MinBytes: 1, MaxBytes: 4 << 20, MaxWait: 250 * time.Millisecond, QueueCapacity: 100,
		ReadBackoffMin: 50 * time.Millisecond, ReadBackoffMax: time.Second,
	})
	if err := reader.SetOffset(offset); err != nil {
		_ = reader.Close()
		return nil, fmt.Errorf("open partition %d at %d: %w", l.partition.ID, offset, err)
	}
	return &cursor{reader: reader, outage: l.Outage}, nil
}

// cursor implements Cursor. kafka-go's Reader jumps silently over offsets that have expired: whoever reads compares
// offsets.
type cursor struct {
	reader *kafka.Reader
	outage *telemetry.OutageLog
}

// retryRead is the pause after an error that the Reader has not waited out by itself.
const retryRead = time.Second

func (c *cursor) Next(ctx context.Context) (kafka.Message, error) {
	for {
		message, err := c.reader.FetchMessage(ctx)
		if err == nil {
			c.outage.Recovered()
			return message, nil
		}
		if ctx.Err() != nil {
			return kafka.Message{}, ctx.Err()
		}
		c.outage.Failed(err)
		_ = pause.For(ctx, retryRead)
	}
}

func (c *cursor) Close() error { return c.reader.Close() }

// groupPositions are the committed positions under one generation; it implements Positions.
type groupPositions struct {
	Kafka
	partition  store.Partition
	generation int32
	member     string
}

// commitTimeout bounds a commit; after it the outcome is unknown and the generation is given up.
const commitTimeout = 5 * time.Second

func (g groupPositions) Fetch(ctx context.Context) (Committed, error) {
	return fetchPosition(ctx, g.Client, g.Group, g.partition)
}

func fetchPosition(ctx context.Context, client *kafka.Client, group string, p store.Partition) (Committed, error) {
	res, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{p.Topic: {p.ID}}})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return Committed{}, fmt.Errorf("fetch position: %w", err)
	}
	for _, answer := range res.Topics[p.Topic] {
		if answer.Partition == p.ID && answer.Error == nil {
			return Committed{Offset: answer.CommittedOffset, Metadata: answer.Metadata}, nil
		} else if answer.Partition == p.ID {
			return Committed{}, fmt.Errorf("fetch position: %w", answer.Error)
		}
	}
	return Committed{}, fmt.Errorf("fetch position: no answer for partition %d", p.ID)
}

func (g groupPositions) Commit(ctx context.Context, c Committed) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	return commitPosition(ctx, g.Client, g.partition, c, kafka.OffsetCommitRequest{
		GroupID: g.Group, GenerationID: int(g.generation), MemberID: g.member,
	})
}

func commitPosition(ctx context.Context, client *kafka.Client, p store.Partition, c Committed, req kafka.OffsetCommitRequest) error {
	req.Topics = map[string][]kafka.OffsetCommit{p.Topic: {{Partition: p.ID, Offset: c.Offset, Metadata: c.Metadata}}}
	res, err := client.OffsetCommit(ctx, &req)
	if err != nil {
		return fmt.Errorf("commit position: %w", err)
	}
	for _, answer := range res.Topics[p.Topic] {
		if answer.Partition == p.ID {
			return refusal(answer.Error)
		}
	}
	return fmt.Errorf("commit position: no answer for partition %d", p.ID)
}

// refusal tells apart the answers after which a commit certainly has not happened and will not.
func refusal(err error) error {
	for _, known := range []kafka.Error{kafka.IllegalGeneration, kafka.UnknownMemberId, kafka.RebalanceInProgress, kafka.FencedInstanceID} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %w", ErrGenerationOver, err)
		}
	}
	return err
}

// DeadLetterTopic publishes to onepx.deadletter; it implements DeadLetters. The key of a letter is the place of its
// record, topic/partition/offset, which is also its identity: a letter may come twice.
type DeadLetterTopic struct {
	Writer *kafka.Writer
}

// lettersAtOnce is how many bytes are published in one call, or one letter: only one that is larger itself needs a topic that takes
// larger ones.
const lettersAtOnce = 1 << 19

// Publish implements DeadLetters.
func (t DeadLetterTopic) Publish(ctx context.Context, letters []DeadLetter) error {
	var messages []kafka.Message
	size := 0
	write := func() error {
		if err := t.Writer.WriteMessages(ctx, messages...); err != nil {
			return fmt.Errorf("publish to %s: %w", eventlog.TopicDeadLetter, err)
		}
		messages, size = nil, 0
		return nil
	}
	for _, letter := range letters {
		if size += len(letter.Record.Key) + len(letter.Record.Value); size > lettersAtOnce && len(messages) > 0 {
			if err := write(); err != nil {
				return err
			}
			size = len(letter.Record.Key) + len(letter.Record.Value)
		}
		messages = append(messages, kafka.Message{
			Key:   fmt.Appendf(nil, "%s/%d/%d", letter.Topic, letter.ID, letter.Record.Offset),
			Value: letter.Record.Value,
			Headers: append([]kafka.Header{
				{Key: HeaderReason, Value: []byte(letter.Reason)},
				{Key: HeaderKey, Value: letter.Record.Key},
				{Key: HeaderTime, Value: []byte(letter.Record.Time.UTC().Format(time.RFC3339Nano))},
			}, letter.Record.Headers...),
		})
	}
	return write()
}

// ReadDeadLetter reads what Publish has written: the record as it was. It returns false for anything else.
func ReadDeadLetter(m kafka.Message) (DeadLetter, bool) {
	rest, offset, ok1 := cutLast(string(m.Key))
	topic, id, ok2 := cutLast(rest)
	letter := DeadLetter{Partition: store.Partition{Topic: topic}, Record: kafka.Message{Topic: topic, Value: m.Value}}
	var err1, err2, err3 error
	letter.ID, err1 = strconv.Atoi(id)
	letter.Record.Offset, err2 = strconv.ParseInt(offset, 10, 64)
	letter.Record.Partition = letter.ID
	seen := map[string]bool{}
	for _, h := range m.Headers {
		own := ownHeaders[h.Key] && !seen[h.Key]
		seen[h.Key] = true
		switch {
		case !own:
			letter.Record.Headers = append(letter.Record.Headers, h)
		case h.Key == HeaderReason:
			letter.Reason = reason.Reason(h.Value)
		case h.Key == HeaderKey:
			letter.Record.Key = h.Value
		case h.Key == HeaderTime:
			letter.Record.Time, err3 = time.Parse(time.RFC3339Nano, string(h.Value))
		}
	}
	ok := ok1 && ok2 && topic != "" && letter.ID >= 0 && letter.Record.Offset >= 0 && seen[HeaderReason] && seen[HeaderTime]
	return letter, ok && errors.Join(err1, err2, err3) == nil
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// Headers of a dead letter; the headers of the record follow them.
const (
	HeaderReason = "onepx-reason"
	HeaderKey    = "onepx-key"
	HeaderTime   = "onepx-record-time"
)

var ownHeaders = map[string]bool{HeaderReason: true, HeaderKey: true, HeaderTime: true}
