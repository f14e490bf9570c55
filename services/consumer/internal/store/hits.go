package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// The tables of a rebuild of goal hits. The new table and its view are called after the rebuild; all others are the same for all.
const (
	hitsTable  = "conversion_hits"
	hitsView   = "conversion_hits_view"
	hitsStaged = "conversion_hits_staged"
)

func (r *Rebuild) view() string { return r.Table + "_view" }

// CreateNext makes the new table, like conversion_hits in everything, under a name that nothing has had before: a statement of an
// earlier attempt that comes late must not find it, and a replicated table keeps the path of its first name.
func (b *Rebuilds) CreateNext(ctx context.Context, r *Rebuild) error {
	if err := b.createLike(ctx, r.Table); err != nil {
		return err
	}
	var err error
	r.TableUUID, err = b.uuidOf(ctx, r.Table)
	return err
}

// createLike makes a table with the columns, indexes, keys, TTL and settings of conversion_hits.
func (b *Rebuilds) createLike(ctx context.Context, name string) error {
	engine, err := b.schema.engineOf(ctx, b.conn, hitsTable)
	if err != nil {
		return err
	}
	return b.exec(ctx, "create "+name, "CREATE TABLE", b.table(name), b.schema.OnCluster(), "AS", b.table(hitsTable), "ENGINE =", engine)
}

// engineOf is the engine of a table of the database, for another table.
func (s Schema) engineOf(ctx context.Context, conn driver.Conn, table string) (string, error) {
	var engine string
	err := conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = ? AND name = ?", s.Database, table).Scan(&engine)
	if err != nil {
		return "", fmt.Errorf("read the engine of %s: %w", table, err)
	}
	return s.RenewEngine(engine)
}

// RenewEngine is the engine of a table that is whole on every node, as system.tables shows it, for another table: with a path of
// its own.
func (s Schema) RenewEngine(engine string) (string, error) {
	_, keys, found := strings.Cut(engine, " PARTITION BY ")
	if !found {
		return "", fmt.Errorf("a table has the engine %s: it must have PARTITION BY", engine)
	}
	return s.Engine("MergeTree") + " PARTITION BY " + keys, nil
}

func (b *Rebuilds) uuidOf(ctx context.Context, name string) (uuid.UUID, error) {
	var id uuid.UUID
	err := b.conn.QueryRow(ctx, "SELECT uuid FROM system.tables WHERE database = ? AND name = ?", b.schema.Database, name).Scan(&id)
	if err != nil {
		return id, fmt.Errorf("look for table %s: %w", name, err)
	}
	return id, nil
}

// FeedNext makes the view that fills the new table with the rows from the first offsets on, by the query of the present one.
func (b *Rebuilds) FeedNext(ctx context.Context, r *Rebuild) error {
	query, err := b.viewQuery(ctx)
	if err != nil {
		return err
	}
	return b.exec(ctx, "create view", "CREATE MATERIALIZED VIEW", b.table(r.view()), b.schema.OnCluster(), "TO", b.table(r.Table), "AS SELECT * FROM (", query, ") WHERE NOT (", r.before(), ")")
}

func (b *Rebuilds) viewQuery(ctx context.Context) (string, error) {
	var query string
	err := b.conn.QueryRow(ctx, "SELECT as_select FROM system.tables WHERE database = ? AND name = ?", b.schema.Database, hitsView).Scan(&query)
	if err != nil {
		return "", fmt.Errorf("read the query of %s: %w", hitsView, err)
	}
	return query, nil
}

// before is the condition that a row lies before the first offset of its partition.
func (r *Rebuild) before() string {
	var places, offsets []string
	for i := range r.Topics {
		places = append(places, clickhouseconn.Literal(fmt.Sprintf("%s/%d", r.Topics[i], r.PartitionIDs[i])))
		offsets = append(offsets, fmt.Sprintf("toInt64(%d)", r.FirstOffsets[i]))
	}
	if len(places) == 0 {
		return "false"
	}
	return "kafka_offset < transform(concat(kafka_topic, '/', toString(kafka_partition)), [" + strings.Join(places, ", ") + "], [" + strings.Join(offsets, ", ") + "], toInt64(0))"
}

// within is the condition that a row is of one of the sites and of a day of the rebuild.
func (r *Rebuild) within(sites []string) string {
	names := make([]string, len(sites))
	for i, site := range sites {
		names[i] = clickhouseconn.Literal(site)
	}
	return "site_id IN (" + strings.Join(names, ", ") + ") AND " + r.days()
}

func (r *Rebuild) days() string {
	return "site_day BETWEEN toDate('" + r.From.Format(time.DateOnly) + "') AND toDate('" + r.To.Format(time.DateOnly) + "')"
}

// DropNext removes all tables of the rebuild: the view first, since an insert fails whose view has no table any more. What
// is called conversion_hits stays.
func (b *Rebuilds) DropNext(ctx context.Context, r *Rebuild) error {
	for _, statement := range []string{"DROP VIEW IF EXISTS " + b.table(r.view()), "DROP TABLE IF EXISTS " + b.table(r.Table), "DROP TABLE IF EXISTS " + b.table(hitsStaged)} {
		if err := b.exec(ctx, "drop tables of the rebuild", statement, b.schema.OnCluster(), "SYNC"); err != nil {
			return err
		}
	}
	return nil
}

// emptyStage makes the staging table anew.
func (b *Rebuilds) emptyStage(ctx context.Context) error {
	if err := b.exec(ctx, "drop "+hitsStaged, "DROP TABLE IF EXISTS", b.table(hitsStaged), b.schema.OnCluster(), "SYNC"); err != nil {
		return err
	}
	return b.createLike(ctx, hitsStaged)
}

// StageKept puts into the staging table the hits before the first offsets that are not made anew. Parts are linked, not copied;
// only those are written again that hold other hits too.
func (b *Rebuilds) StageKept(ctx context.Context, r *Rebuild, sites []string) error {
	if err := b.emptyStage(ctx); err != nil {
		return err
	}
	err := b.eachPartition(ctx, hitsTable, func(id string) error {
		return b.exec(ctx, "take over "+id, "ALTER TABLE", b.table(hitsStaged), "ATTACH PARTITION ID", clickhouseconn.Literal(id), "FROM", b.table(hitsTable))
	})
	if err != nil {
		return err
	}
	return b.deleteHits(ctx, hitsStaged, "NOT ("+r.before()+") OR "+r.within(sites))
}

// deleteHits deletes rows and waits until they are gone.
func (b *Rebuilds) deleteHits(ctx context.Context, table, where string) error {
	if err := b.exec(ctx, "delete from "+table, "ALTER TABLE", b.table(table), "DELETE WHERE", where, "SETTINGS mutations_sync = 0"); err != nil {
		return err
	}
	return poll(ctx, mutationPause, time.Time{}, func() (bool, error) {
		var left uint64
		var failed string
		err := b.conn.QueryRow(ctx, "SELECT count(), max(latest_fail_reason) FROM system.mutations WHERE database = ? AND table = ? AND NOT is_done", b.schema.Database, table).Scan(&left, &failed)
		if err == nil && failed != "" {
			err = errors.New(failed)
		}
		if err != nil {
			return false, fmt.Errorf("delete from %s: %w", table, err)
		}
		return left == 0, nil
	})
}

const mutationPause = 50 * time.Millisecond

// eachPartition calls do with the id of every partition of a table that has rows.
func (b *Rebuilds) eachPartition(ctx context.Context, table string, do func(id string) error) error {
	var ids []string
	err := b.conn.QueryRow(ctx, "SELECT arraySort(groupUniqArray(partition_id)) FROM system.parts WHERE database = ? AND table = ? AND active AND rows > 0", b.schema.Database, table).Scan(&ids)
	if err != nil {
		return fmt.Errorf("list partitions of %s: %w", table, err)
	}
	for _, id := range ids {
		if err := do(id); err != nil {
			return err
		}
	}
	return nil
}

// CountStaged and CountNext return how many hits the staging table and the new one hold from before the first offsets. Hits
// that expire within a week of the rebuild's begin are left out: they may be gone from one and not yet from the other.
func (b *Rebuilds) CountStaged(ctx context.Context, r *Rebuild) (uint64, error) {
	return b.count(ctx, r, hitsStaged)
}

// CountNext is like CountStaged.
func (b *Rebuilds) CountNext(ctx context.Context, r *Rebuild) (uint64, error) {
	return b.count(ctx, r, r.Table)
}

func (b *Rebuilds) count(ctx context.Context, r *Rebuild, table string) (n uint64, err error) {
	err = b.conn.QueryRow(ctx, "SELECT count() FROM "+b.table(table)+" WHERE expires_at > toDateTime('"+r.StartedAt.UTC().AddDate(0, 0, 7).Format(time.DateTime)+"', 'UTC') AND "+r.before()).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count hits of %s: %w", table, err)
	}
	return n, nil
}

// AddStaged moves what is staged into the new table, month by month; the next call moves the rest.
func (b *Rebuilds) AddStaged(ctx context.Context, r *Rebuild) error {
	return b.eachPartition(ctx, hitsStaged, func(id string) error {
		return b.exec(ctx, "add "+id, "ALTER TABLE", b.table(hitsStaged), "MOVE PARTITION ID", clickhouseconn.Literal(id), "TO TABLE", b.table(r.Table))
	})
}

// Exchange makes the new table conversion_hits, unless it is so already, and ends its view.
func (b *Rebuilds) Exchange(ctx context.Context, r *Rebuild) error {
	exchanged, err := b.Exchanged(ctx, r)
	if err != nil {
		return err
	}
	if !exchanged {
		if err := b.exec(ctx, "exchange tables", "EXCHANGE TABLES", b.table(hitsTable), "AND", b.table(r.Table), b.schema.OnCluster()); err != nil {
			return err
		}
	}
	return b.exec(ctx, "drop view", "DROP VIEW IF EXISTS", b.table(r.view()), b.schema.OnCluster(), "SYNC")
}

// Kept tells whether the table under the name of the new one is still there: after the exchange, the old one.
func (b *Rebuilds) Kept(ctx context.Context, r *Rebuild) (bool, error) {
	var n uint64
	err := b.conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND name = ?", b.schema.Database, r.Table).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for table %s: %w", r.Table, err)
	}
	return n > 0, nil
}

// Exchanged tells whether the new table is conversion_hits.
func (b *Rebuilds) Exchanged(ctx context.Context, r *Rebuild) (bool, error) {
	id, err := b.uuidOf(ctx, hitsTable)
	return id == r.TableUUID, err
}

// WrongHits returns the least range around the hits of the given range that conversion_hits has not exactly as the rows of
// events say; false when there is none.
func (b *Rebuilds) WrongHits(ctx context.Context, in Range) (Range, bool, error) {
	query, err := b.viewQuery(ctx)
	if err != nil {
		return Range{}, false, err
	}
	const key = "SELECT kafka_offset, goal, "
	where := " WHERE " + in.condition()
	var wrong uint64
	out := in
	err = b.conn.QueryRow(ctx, "SELECT count(), min(kafka_offset), max(kafka_offset) FROM (SELECT kafka_offset FROM ("+
		key+"1 AS n FROM ("+query+")"+where+" UNION ALL "+key+"-1 AS n FROM "+b.table(hitsTable)+where+
		") GROUP BY kafka_offset, goal HAVING sum(n) != 0)").Scan(&wrong, &out.First, &out.Last)
	if err != nil {
		return Range{}, false, fmt.Errorf("compare hits with events: %w", err)
	}
	return out, wrong > 0, nil
}

// RepairHits makes the hits of the range anew as the rows of events say. No insert of the range may be on its way.
func (b *Rebuilds) RepairHits(ctx context.Context, in Range) error {
	query, err := b.viewQuery(ctx)
	if err != nil {
		return err
	}
	if err := b.deleteHits(ctx, hitsTable, in.condition()); err != nil {
		return err
	}
	columns := strings.Join(clickhouseconn.Columns[hit](), ", ")
	// Without deduplication: the same rows may have been inserted and deleted before.
	err = b.conn.Exec(b.statement(ctx, clickhouse.Settings{"insert_deduplicate": 0}),
		"INSERT INTO "+b.table(hitsTable)+" ("+columns+") SELECT "+columns+" FROM ("+query+") WHERE "+in.condition())
	if err != nil {
		return fmt.Errorf("insert hits of %d to %d again: %w", in.First, in.Last, err)
	}
	return nil
}

func (r Range) condition() string {
	return fmt.Sprintf("kafka_topic = %s AND kafka_partition = %d AND kafka_offset BETWEEN %d AND %d", clickhouseconn.Literal(r.Topic), r.ID, r.First, r.Last)
}
