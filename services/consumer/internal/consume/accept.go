package consume

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// Moved is a partition whose committed position was moved by somebody else.
type Moved struct {
	store.Partition
	// Committed is the committed offset, Stored the highest stored one (-1: none), Next where the partition is to go on.
	Committed, Stored, Next int64

	last       store.Last
	first, end int64
}

// MovedOffsets finds the partitions that would stop with offsets_moved. They are to go on after the last stored row, or
// at the committed offset when that is later: the offsets in between then have no row.
func MovedOffsets(ctx context.Context, client *kafka.Client, group, topic string, events Store) ([]Moved, error) {
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, fmt.Errorf("kafka metadata: %w", err)
	}
	var moved []Moved
	for _, t := range meta.Topics {
		if t.Error != nil {
			return nil, fmt.Errorf("kafka metadata of %s: %w", topic, t.Error)
		}
		for _, info := range t.Partitions {
			p := store.Partition{Topic: topic, ID: info.ID}
			committed, err := fetchPosition(ctx, client, group, p)
			if err != nil {
				return nil, err
			}
			if committed.Offset < 0 {
				continue
			}
			last, err := events.LastRow(ctx, p)
			if err != nil {
				return nil, err
			}
			end := committed.Offset - 1
			declared, err := parseDeclaration(p, committed.Offset, committed.Metadata)
			if declared != nil {
				end = declared.Last
			}
			if err != nil || last.Offset > end {
				m := Moved{Partition: p, Committed: committed.Offset, Stored: last.Offset, Next: max(committed.Offset, last.Offset+1), last: last}
				if m.first, m.end, err = (partitionLog{Kafka{Client: client}, p}).Bounds(ctx); err != nil {
					return nil, err
				}
				moved = append(moved, m)
			}
		}
	}
	return moved, nil
}

// AcceptOffsets commits where the partitions go on, and lists for rebuild what the views may lack: the batch that was
// declared before is not recovered any more. It needs an empty group: Kafka refuses it while a consumer runs.
func AcceptOffsets(ctx context.Context, client *kafka.Client, group string, events Store, moved []Moved) error {
	for _, m := range moved {
		if err := listUnsure(ctx, events, m.Partition, m.last, m.first, m.end); err != nil {
			return err
		}
		err := commitPosition(ctx, client, m.Partition, Committed{Offset: m.Next, Metadata: idle}, kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1})
		if errors.Is(err, ErrGenerationOver) {
			return fmt.Errorf("partition %d: the group has members; stop all consumers first: %w", m.ID, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
