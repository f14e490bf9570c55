package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// A ClickHouse without Keeper that is killed while it inserts may remember a token in a table that never got the rows: it notes the
// token a moment before the part gets its name. An insert fills events first and then one view after the other, so that a table which
// lacks the rows is events itself, and no view has anything, or one view. What is here finds out and mends it.

// ErrRestarted says that nothing was stored, as the server has started later than it may have.
var ErrRestarted = errors.New("clickhouse has started anew")

type startedBefore struct{}

// StartedBefore is a context in which Insert and CompleteViews store nothing and return ErrRestarted if the server that they write to
// has started later than at, by its own clock, also when it starts while they are on their way.
func StartedBefore(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, startedBefore{}, at)
}

// MustHaveStartedBefore is the time of StartedBefore, false for other contexts.
func MustHaveStartedBefore(ctx context.Context) (at time.Time, limited bool) {
	at, limited = ctx.Value(startedBefore{}).(time.Time)
	return at, limited
}

// checkStarted returns ErrRestarted if the server has started later than the context allows.
func (s *Store) checkStarted(ctx context.Context) error {
	at, limited := MustHaveStartedBefore(ctx)
	if !limited {
		return nil
	}
	started, err := s.Started(ctx)
	if err == nil && started.After(at) {
		err = ErrRestarted
	}
	return err
}

// startedAt is when a server started, in whole seconds of its uptime: up to a second late.
const startedAt = "now64(3, 'UTC') - toIntervalSecond(uptime())"

// Started tells since when the server runs that facts are inserted into, by its own clock; the zero time where tokens and rows are
// one, in Keeper.
func (s *Store) Started(ctx context.Context) (time.Time, error) {
	if s.schema.replicated() {
		return time.Time{}, nil
	}
	var at time.Time
	if err := s.shard.QueryRow(ctx, "SELECT "+startedAt).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("ask when clickhouse started: %w", err)
	}
	return at, nil
}

// What tells, besides its sorting key, whether a row that a view makes is in its table.
const (
	// byOffset: the row has the offset of its event.
	byOffset = "kafka_topic, kafka_partition, kafka_offset"
	// byEvent: the row has the id of its event.
	byEvent = "event_id"
	// bySum: the row is a sum, and knows up to which offset of each partition it has summed.
	bySum = "last_offsets"
	// byNothing: the table keeps one of equal rows, so that it may get it again.
	byNothing = ""
)

// filledTables are those that views fill. The view of a table has its name and `_view`.
var filledTables = map[string]string{
	"event_ids": byOffset, "conversion_hits": byOffset, "order_entries": byOffset, "touches": byOffset, "segment_hits": byOffset, "mail_hits": byOffset,
	"identities": byEvent, "visitor_events": byEvent,
	"traffic_daily": bySum, "visitor_days": bySum, "consent_sums": bySum,
	"ledger_minutes": byNothing, "partner_ids": byNothing, "visitors": byNothing, "profile_refusals": byNothing, "share_consents": byNothing,
	"visitor_facts": byNothing, "product_interest": byNothing,
}

// FillViews gives each table that a view fills what it lacks of the stored rows of a range, by what it has and not by tokens. No
// insert of the range may be under way, and none of higher offsets may have been. It may be repeated after an error. Nothing is
// inserted after the context's deadline, whenever the server gets the statement.
func (s *Store) FillViews(ctx context.Context, r Range) error {
	until := insertUntil(ctx)
	rows, err := s.shard.Query(ctx, "SELECT substring(v.name, 1, length(v.name) - length('_view')) AS filled, any(v.as_select), any(t.sorting_key), groupArray(c.name) "+
		"FROM system.tables AS v JOIN system.tables AS t ON t.database = v.database AND t.name = filled JOIN system.columns AS c ON c.database = v.database AND c.table = v.name "+
		"WHERE v.database = ? AND v.engine = 'MaterializedView' AND has(?, filled) GROUP BY filled ORDER BY filled", s.schema.Facts(), slices.Sorted(maps.Keys(filledTables)))
	if err != nil {
		return fmt.Errorf("read the queries of views: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var statements []string
	for rows.Next() {
		var table, query, sorted string
		var columns []string
		if err := rows.Scan(&table, &query, &sorted, &columns); err != nil {
			return fmt.Errorf("read the queries of views: %w", err)
		}
		statements = append(statements, s.fillStatement(r, until, table, query, sorted, columns))
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the queries of views: %w", err)
	}
	if len(statements) != len(filledTables) {
		return fmt.Errorf("%w: %d of %d materialised views are there", ErrRefused, len(statements), len(filledTables))
	}
	for _, statement := range statements {
		if err := s.shard.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "insert_deduplicate": 0})), statement); err != nil {
			return classify(fmt.Errorf("fill what views lack of %s/%d, offsets %d to %d: %w", r.Topic, r.ID, r.First, r.Last, err))
		}
	}
	return nil
}

// fillStatement inserts what a view makes of the range's stored rows and its table lacks.
func (s *Store) fillStatement(r Range, until time.Time, table, query, sorted string, columns []string) string {
	into, lacking := s.schema.Facts()+"."+table, ""
	if told := filledTables[table]; told != byNothing {
		key, condition := sorted, ""
		if told == bySum {
			condition = fmt.Sprintf(" AND last_offsets[%d] >= %d", r.ID, r.First)
		} else {
			key += ", " + told
		}
		lacking = fmt.Sprintf(" AND (%s) NOT IN (SELECT %s FROM %s WHERE (%s) IN (SELECT %s FROM (%s))%s)", key, key, into, sorted, sorted, query, condition)
	}
	listed := "`" + strings.Join(columns, "`, `") + "`"
	filter := fmt.Sprintf("kafka_topic = %s AND kafka_partition = %d AND kafka_offset BETWEEN %d AND %d", clickhouseconn.Literal(r.Topic), r.ID, r.First, r.Last)
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM (%s) WHERE now64(3) <= toDateTime64(%s, 3, 'UTC')%s SETTINGS additional_table_filters = {%s: %s}",
		into, listed, listed, query, clickhouseconn.Literal(instantText(until)), lacking, clickhouseconn.Literal(s.schema.Facts()+".events"), clickhouseconn.Literal(filter))
}
