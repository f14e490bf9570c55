package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// Position is how far the group has come in a partition, as the committed offset says.
type Position struct {
	store.Partition
	// First and Last are the declared range, which may not be stored yet; everything before First is. With no declared range
	// Last is First - 1.
	First, Last int64
	// Suppression is the position of the suppression list with which the declared range was made, and from which on no batch
	// of the partition is made with an older list.
	Suppression int64
	// Committed is false when the group has no position: First is then behind the last stored row.
	Committed bool
}

// GroupPositions reads the positions of all partitions of the topic, in the order of the partitions. A position that is not
// onepx's own is an error, beside which those of the other partitions are returned. A group without any is an error too: its
// name is wrong, or no consumer has ever run.
func GroupPositions(ctx context.Context, client *kafka.Client, group, topic string, events Store) ([]Position, error) {
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, fmt.Errorf("kafka metadata: %w", err)
	}
	var ids []int
	for _, t := range meta.Topics {
		if t.Error != nil {
			return nil, fmt.Errorf("kafka metadata of %s: %w", topic, t.Error)
		}
		for _, info := range t.Partitions {
			ids = append(ids, info.ID)
		}
	}
	slices.Sort(ids)
	res, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: ids}})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return nil, fmt.Errorf("fetch positions of group %s: %w", group, err)
	}
	var all []Position
	var foreign []error
	for _, answer := range res.Topics[topic] {
		p := store.Partition{Topic: topic, ID: answer.Partition}
		if answer.Error != nil {
			return nil, fmt.Errorf("fetch position of partition %d: %w", p.ID, answer.Error)
		}
		position, err := positionOf(ctx, p, Committed{Offset: answer.CommittedOffset, Metadata: answer.Metadata}, events)
		switch {
		case errors.Is(err, errForeign):
			foreign = append(foreign, err)
		case err != nil:
			return nil, err
		default:
			all = append(all, position)
		}
	}
	if n := len(all) + len(foreign); n != len(ids) {
		return nil, fmt.Errorf("fetch positions of group %s: %d answers for %d partitions", group, n, len(ids))
	}
	if len(foreign) == 0 && !slices.ContainsFunc(all, func(p Position) bool { return p.Committed }) {
		return nil, fmt.Errorf("group %s has no position in %s: start a consumer, or name the group of those that run", group, topic)
	}
	slices.SortFunc(all, func(a, b Position) int { return a.ID - b.ID })
	return all, errors.Join(foreign...)
}

func positionOf(ctx context.Context, p store.Partition, committed Committed, events Store) (Position, error) {
	if committed.Offset < 0 {
		last, err := events.LastRow(ctx, p)
		return Position{Partition: p, First: last.Offset + 1, Last: last.Offset}, err
	}
	declared, err := parseDeclaration(p, committed.Offset, committed.Metadata)
	if err != nil {
		return Position{}, fmt.Errorf("partition %d: the committed offset %d was not written by onepx; see offsets_moved in docs/operations.md: %w", p.ID, committed.Offset, err)
	}
	position := Position{Partition: p, First: committed.Offset, Last: committed.Offset - 1, Committed: true, Suppression: suppressionOf(declared, committed.Metadata)}
	if declared != nil {
		position.Last = declared.Last
	}
	return position, nil
}

// Behind is how many offsets Kafka has given out in each partition from the group's position on, by partition.
func Behind(ctx context.Context, client *kafka.Client, positions []Position) (map[int]int64, error) {
	ends := map[string][]kafka.OffsetRequest{}
	for _, p := range positions {
		ends[p.Topic] = append(ends[p.Topic], kafka.LastOffsetOf(p.ID))
	}
	res, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: ends})
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	behind := map[int]int64{}
	for _, p := range positions {
		at := slices.IndexFunc(res.Topics[p.Topic], func(o kafka.PartitionOffsets) bool { return o.Partition == p.ID })
		if at < 0 {
			return nil, fmt.Errorf("list offsets: no answer for partition %d", p.ID)
		}
		answer := res.Topics[p.Topic][at]
		if answer.Error != nil {
			return nil, fmt.Errorf("list offsets of partition %d: %w", p.ID, answer.Error)
		}
		behind[p.ID] = max(0, answer.LastOffset-p.First)
	}
	return behind, nil
}
