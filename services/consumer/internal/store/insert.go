package store

import (
	"context"
	"fmt"
	"iter"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// exactlyOnce are the settings under which a repeated insert adds nothing, neither to events nor to its views.
func exactlyOnce(ctx context.Context, token string) context.Context {
	settings := clickhouse.Settings{
		"insert_deduplicate":         1,
		"insert_deduplication_token": token,
		"async_insert":               0,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		// One block must stay one block: nothing is cut or joined on the way to the part.
		"max_insert_block_size":      1 << 20,
		"max_insert_threads":         1,
		"min_insert_block_size_rows": 1 << 20,
	}
	if deadline, ok := ctx.Deadline(); ok {
		settings["max_execution_time"] = int(math.Ceil(max(time.Until(deadline), time.Second).Seconds()))
	}
	return clickhouse.Context(ctx, clickhouse.WithSettings(settings))
}

// Insert stores the rows as one block under the token. After nil, events and all its views hold the rows once. After an
// error the rows may be stored, in whole or (a view) in part: the same call repeats or completes it. The error wraps
// ErrRefused when ClickHouse has judged the block; everything else is worth trying again.
//
// Each row goes into the block before the next one is asked for, so that they may all be the same Row, filled anew.
func (s *Store) Insert(ctx context.Context, token string, rows iter.Seq[*Row]) error {
	batch, err := s.shard.PrepareBatch(exactlyOnce(ctx, token), s.insert)
	if err != nil {
		return classify(fmt.Errorf("insert %s: %w", token, err))
	}
	defer func() { _ = batch.Close() }()
	// The batch is bound to its connection, which ends with the server: if that starts anew from here on, nothing is stored.
	if err := s.checkStarted(ctx); err != nil {
		return fmt.Errorf("insert %s: %w", token, err)
	}
	until := insertUntil(ctx)
	args := newArguments(batch.Columns())
	for row := range rows {
		args.row = *row
		args.row.InsertUntil = until
		if err := batch.Append(args.next()...); err != nil {
			return fmt.Errorf("%w: insert %s: offset %d: %w", ErrRefused, token, row.KafkaOffset, err)
		}
	}
	if err := batch.Send(); err != nil {
		return classify(fmt.Errorf("insert %s: %w", token, err))
	}
	return nil
}

// arguments is one Row as the driver's Append takes it, once for each row of a block: pointers to the fields, made once,
// so that a row costs no reflection and next to no garbage.
type arguments struct {
	row    Row
	values []any
	// renewed are the arguments of columns that take values only.
	renewed []func()
}

// newArguments binds a row to the columns of a block, which stand in the order of Row.
func newArguments(columns []column.Interface) *arguments {
	a := &arguments{values: make([]any, len(columns))}
	fields := reflect.ValueOf(&a.row).Elem()
	for i, c := range columns {
		a.values[i] = fields.Field(i).Addr().Interface()
		switch field := a.values[i].(type) {
		case *string:
			if strings.HasPrefix(string(c.Type()), "LowCardinality(") {
				a.renewed = append(a.renewed, a.word(i, field))
			}
		case *[]string:
			a.renewed = append(a.renewed, func() { a.values[i] = *field })
		case *[]uint16:
			a.renewed = append(a.renewed, func() { a.values[i] = *field })
		case *[]uint8:
			a.renewed = append(a.renewed, func() { a.values[i] = *field })
		case *[]int64:
			a.renewed = append(a.renewed, func() { a.values[i] = *field })
		case *[]*int64:
			a.renewed = append(a.renewed, func() { a.values[i] = *field })
		}
	}
	return a
}

// word renews the argument of a LowCardinality column, for which the driver keeps a dictionary by value. Rows often have
// the word of the row before.
func (a *arguments) word(i int, field *string) func() {
	last := ""
	a.values[i] = last
	return func() {
		if *field != last {
			last = *field
			a.values[i] = last
		}
	}
}

// next are the arguments for the row as it is now.
func (a *arguments) next() []any {
	for _, renew := range a.renewed {
		renew()
	}
	return a.values
}
