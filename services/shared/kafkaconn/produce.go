package kafkaconn

import (
	"context"
	"fmt"
	"slices"

	"github.com/segmentio/kafka-go"
)

// produceChunk is how many records one request has at most.
const produceChunk = 1000

// Produce writes records to the one partition of a topic and returns the position behind the last, when all in-sync replicas
// have them. After an error each may be there or not. An empty value is a tombstone.
func Produce(ctx context.Context, client *kafka.Client, topic string, messages []kafka.Message) (int64, error) {
	var position int64
	for chunk := range slices.Chunk(messages, produceChunk) {
		records := make([]kafka.Record, len(chunk))
		for i, m := range chunk {
			records[i] = kafka.Record{Time: m.Time, Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value)}
		}
		res, err := client.Produce(ctx, &kafka.ProduceRequest{Topic: topic, Partition: 0, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			return 0, fmt.Errorf("write to %s: %w", topic, err)
		}
		position = res.BaseOffset + int64(len(chunk))
	}
	return position, nil
}
