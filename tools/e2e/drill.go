package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// drillLoad is how long there is load before rows are damaged, so that there are parts of one batch.
const drillLoad = 3 * time.Second

// damage is a range of offsets of a partition.
type damage struct {
	Difference             string
	Partition, First, Last int64
}

func (d damage) String() string {
	return fmt.Sprintf("offsets %d to %d of partition %d", d.First, d.Last, d.Partition)
}

// drill damages what is stored, while the consumers run: a part of events is deleted, which ledger_gaps must show and replay
// must heal, and then rows are inserted once more, which ledger_gaps must show. The verdict is that after the healing; the
// doubled rows stay. number is that of the round that it would be.
func (w *world) drill(ctx context.Context, number int) (verdict, error) {
	begun := time.Now()
	if err := w.sql().Query(ctx, "SYSTEM STOP MERGES onepx.events", nil); err != nil {
		return verdict{}, err
	}
	loading, stopLoad := context.WithTimeout(ctx, drillLoad)
	w.load(loading, number, kind{})
	stopLoad()
	if _, err := w.settle(ctx); err != nil {
		return verdict{}, err
	}
	part, lost, err := w.deletePart(ctx)
	if err != nil {
		return verdict{}, err
	}
	if err := w.found(ctx, lost); err != nil {
		return verdict{}, err
	}
	said, err := w.pipeline.Consumer(ctx, "replay")
	if err != nil {
		return verdict{}, fmt.Errorf("consumer replay: %w\n%s", err, said)
	}
	v, err := w.settle(ctx)
	if err != nil {
		return v, fmt.Errorf("after replay of %s: %w\n%s", lost, err, said)
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	fmt.Printf("drill: part %s deleted, %s: ledger_gaps shows them, replay heals them (%s)\n", part, lost, lines[len(lines)-1])
	doubled := damage{"double", lost.Partition, lost.First, (lost.First + lost.Last) / 2}
	err = w.sql().Query(ctx, fmt.Sprintf("INSERT INTO onepx.events SELECT * REPLACE (now64(3, 'UTC') + toIntervalMinute(5) AS insert_until) FROM onepx.events "+
		"WHERE kafka_partition = %d AND kafka_offset BETWEEN %d AND %d SETTINGS insert_deduplicate = 0", doubled.Partition, doubled.First, doubled.Last), nil)
	if err == nil {
		err = w.found(ctx, doubled)
	}
	if err == nil {
		fmt.Printf("drill: %s inserted twice: ledger_gaps shows them (drill: %s)\n", doubled, time.Since(begun).Round(time.Second))
	}
	return v, err
}

// deletePart drops a part that holds one range of offsets, between others of its partition.
func (w *world) deletePart(ctx context.Context) (string, damage, error) {
	var found struct {
		Name string
		damage
	}
	err := w.sql().One(ctx, "SELECT Name, 'missing' AS Difference, Partition, First, Last FROM "+
		"(SELECT _part AS Name, min(kafka_partition) AS Partition, max(kafka_partition) AS Other, min(kafka_offset) AS First, max(kafka_offset) AS Last, count() AS Rows FROM onepx.events GROUP BY Name) AS parts "+
		"INNER JOIN (SELECT kafka_partition AS Of, min(kafka_offset) AS Begin, max(kafka_offset) AS End FROM onepx.events GROUP BY Of) AS ends ON Of = Partition "+
		"WHERE Partition = Other AND Rows = Last - First + 1 AND First > Begin AND Last < End ORDER BY Rows DESC LIMIT 1", &found)
	if err != nil {
		return "", damage{}, fmt.Errorf("choose a part: %w", err)
	}
	return found.Name, found.damage, w.sql().Query(ctx, "ALTER TABLE onepx.events DROP PART '"+found.Name+"'", nil)
}

// found tells whether ledger_gaps shows the damage and nothing else; that a collector was killed is none.
func (w *world) found(ctx context.Context, expected damage) error {
	var shown []damage
	err := w.sql().Query(ctx, "SELECT difference AS Difference, kafka_partition AS Partition, first_offset AS First, last_offset AS Last "+
		"FROM onepx.ledger_gaps(from = today() - 1, to = today() + 1) WHERE difference != 'unknown'", func(row json.RawMessage) error {
		var d damage
		err := json.Unmarshal(row, &d)
		shown = append(shown, d)
		return err
	})
	return errors.Join(err, want(slices.Equal(shown, []damage{expected}), "ledger_gaps shows %v instead of %s %s", shown, expected.Difference, expected))
}
