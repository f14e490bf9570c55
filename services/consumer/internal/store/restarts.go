package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// A ClickHouse without Keeper that is killed while it inserts may remember a token in a table that never got the rows: it notes the
// token a moment before the part gets its name. An insert fills events first and then one view after the other, so that a table which
// lacks the rows is events itself, and no view has anything, or one view. What is here finds out and mends it.

// ErrRestarted says that nothing was stored, as the server has not run for as long as it must.
var ErrRestarted = errors.New("clickhouse has started anew")

type startedBefore struct{}

// StartedBefore is a context in which Insert stores nothing and returns ErrRestarted unless the server that it writes to has started
// before at, by its own clock, also when it starts while the block is on its way.
func StartedBefore(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, startedBefore{}, at)
}

// MustHaveStartedBefore is the time of StartedBefore, false for other contexts.
func MustHaveStartedBefore(ctx context.Context) (at time.Time, limited bool) {
	at, limited = ctx.Value(startedBefore{}).(time.Time)
	return at, limited
}

// checkStarted returns ErrRestarted if the server has not started before the time that the context asks for.
func (s *Store) checkStarted(ctx context.Context) error {
	at, limited := MustHaveStartedBefore(ctx)
	if !limited {
		return nil
	}
	started, err := s.Started(ctx)
	if err == nil && !started.Before(at) {
		err = ErrRestarted
	}
	return err
}

// Started tells since when the server runs that facts are inserted into, by its own clock; the zero time where tokens and rows are
// one, in Keeper.
func (s *Store) Started(ctx context.Context) (time.Time, error) {
	if s.schema.replicated() {
		return time.Time{}, nil
	}
	var at time.Time
	if err := s.shard.QueryRow(ctx, "SELECT now64(3, 'UTC') - toIntervalSecond(uptime())").Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("ask when clickhouse started: %w", err)
	}
	return at, nil
}

// What tells, besides its sorting key, whether a row that a view makes is in its table: columns of the table.
const (
	// bySum: the row is a sum, and knows up to which offset of each partition it has summed.
	bySum = "last_offsets"
	// byOffset: the row has the offset of its event.
	byOffset = "kafka_partition, kafka_offset"
	// byEvent: the row has the id of its event.
	byEvent = "event_id"
	// byNothing: the row may be there twice.
	byNothing = ""
)

// filledTables are those that views of ours fill.
var filledTables = map[string]string{
	"conversion_hits": byOffset, "order_entries": byOffset, "touches": byOffset, "segment_hits": byOffset, "mail_hits": byOffset, "partner_ids": byOffset, "ledger_minutes": byOffset,
	"identities": byEvent, "visitor_events": byEvent,
	"traffic_daily": bySum, "visitor_days": bySum, "consent_sums": bySum,
	"event_ids": byNothing, "visitors": byNothing, "profile_refusals": byNothing, "share_consents": byNothing, "visitor_facts": byNothing, "product_interest": byNothing,
}

// FilledTables are the tables that views of ours fill, by name.
func FilledTables() []string { return slices.Sorted(maps.Keys(filledTables)) }

// view is one that an insert into events feeds.
type view struct {
	Database string   `ch:"database"` // of the table that it fills
	Table    string   `ch:"filled"`
	Query    string   `ch:"query"`
	Columns  []string `ch:"columns"` // of what the query makes
	Sorted   string   `ch:"sorted"`
}

// viewsOfEvents are ours, and those of others that make sums which know up to which offset they go.
const viewsOfEvents = `WITH
    fed AS (SELECT arrayJoin(arrayZip(dependencies_database, dependencies_table)) FROM system.tables WHERE database = ? AND name = 'events'),
    views AS (SELECT database, name, target_database, target_table, as_select FROM system.tables WHERE engine = 'MaterializedView' AND (database, name) IN fed),
    columns AS
    (
        SELECT database, table, groupArray(name) AS names, countIf(name = 'last_offsets' AND type LIKE '%Map(Int32, Int64)%') > 0 AS knows
        FROM system.columns
        WHERE (database, table) IN (SELECT (database, name) FROM views UNION ALL SELECT (target_database, target_table) FROM views)
        GROUP BY database, table
    )
SELECT v.target_database AS database, v.target_table AS filled, v.as_select AS query, made.names AS columns, t.sorting_key AS sorted
FROM views AS v
JOIN system.tables AS t ON t.database = v.target_database AND t.name = v.target_table
JOIN columns AS made ON made.database = v.database AND made.table = v.name
JOIN columns AS has ON has.database = v.target_database AND has.table = v.target_table
WHERE v.target_database = ? AND has(?, v.target_table) OR made.knows AND has.knows
ORDER BY database, filled`

// FillViews gives each table that a view of events fills what it lacks of the stored rows of a range, which was declared at a time, by what it
// has and not by tokens. No insert of the range may be under way, and none of higher offsets may have been. It may be repeated after
// an error. Nothing is inserted after the context's deadline, whenever the server gets the statement. Views of others are filled only
// where their sums have a column last_offsets like ours.
func (s *Store) FillViews(ctx context.Context, r Range, declared time.Time) error {
	until := insertUntil(ctx)
	var views []view
	err := s.shard.Select(ctx, &views, viewsOfEvents, s.schema.Facts(), s.schema.Facts(), FilledTables())
	if err != nil {
		return fmt.Errorf("read the queries of views: %w", err)
	}
	settings := clickhouse.Settings{"async_insert": 0, "insert_deduplicate": 0, "max_execution_time": int(math.Ceil(max(time.Until(until), time.Second).Seconds()))}
	for i := range views {
		statement := s.fillStatement(r, declared, until, &views[i])
		if err := s.shard.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), statement); err != nil {
			return classify(fmt.Errorf("fill what %s lacks of %s/%d, offsets %d to %d: %w", views[i].Table, r.Topic, r.ID, r.First, r.Last, err))
		}
	}
	return nil
}

// fillStatement inserts what a view makes of the range's stored rows and its table lacks.
func (s *Store) fillStatement(r Range, declared, until time.Time, v *view) string {
	by, ours := filledTables[v.Table]
	if !ours || v.Database != s.schema.Facts() {
		by = bySum
	}
	into, lacking := quoted(v.Database)+"."+quoted(v.Table), ""
	if by != byNothing {
		sorted := cmp.Or(v.Sorted, "1")
		key, condition := sorted, ""
		if by == bySum {
			condition = fmt.Sprintf(" AND mapContains(last_offsets, %d) AND last_offsets[%[1]d] >= %d", r.ID, r.First)
		} else {
			key += ", " + by
		}
		lacking = fmt.Sprintf(" AND (%s) NOT IN (SELECT %s FROM %s WHERE %s AND (%s) IN (SELECT %s FROM (%s))%s)", key, key, into, v.partsSince(declared), sorted, sorted, v.Query, condition)
	}
	listed := "`" + strings.Join(v.Columns, "`, `") + "`"
	filter := fmt.Sprintf("kafka_topic = %s AND kafka_partition = %d AND kafka_offset BETWEEN %d AND %d", clickhouseconn.Literal(r.Topic), r.ID, r.First, r.Last)
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM (%s) WHERE nowInBlock64(3) <= toDateTime64(%s, 3, 'UTC')%s SETTINGS additional_table_filters = {%s: %s}",
		into, listed, listed, v.Query, clickhouseconn.Literal(instantText(until)), lacking, clickhouseconn.Literal(s.schema.Facts()+".events"), clickhouseconn.Literal(filter))
}

// partsSince is a condition on parts that may have rows from after a time: it spares reading the whole table. Blocks are numbered as they
// come, a part's name has the last one's number, and what was written last before the time has none from after it. An hour is more
// than clocks differ.
func (v *view) partsSince(declared time.Time) string {
	return fmt.Sprintf("toInt64OrZero(splitByChar('_', _part)[3]) > (SELECT max(max_block_number) FROM system.parts WHERE database = %s AND table = %s AND modification_time < toDateTime(%s, 'UTC'))",
		clickhouseconn.Literal(v.Database), clickhouseconn.Literal(v.Table), clickhouseconn.Literal(declared.Add(-time.Hour).UTC().Format(time.DateTime)))
}

func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
