// Package store is ClickHouse as the consumer sees it: the table events, one block a batch under a deduplication token,
// and the few questions that the exactly-once protocol asks (docs/adr/0001-exactly-once.md). Package consume decides what
// to write; this package knows tables and columns.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// ErrRefused wraps an answer of ClickHouse that will not change by waiting: a person must look at it.
var ErrRefused = errors.New("clickhouse refuses the block")

// Partition names a partition of a topic.
type Partition struct {
	Topic string
	ID    int
}

// Range is the closed range of offsets [First..Last] of a partition.
type Range struct {
	Partition
	First, Last int64
}

// EventKey is what a repeated event has in common with its first record.
type EventKey struct {
	SiteID  string
	EventID uuid.UUID
}

// Store writes to and reads from one database.
type Store struct {
	conn driver.Conn
	// shards are the servers of facts, the first one is number 1; shard is the one that facts are written to.
	shards   []driver.Conn
	shard    driver.Conn
	schema   Schema
	database string
	insert   string
}

// New returns a Store for a database that Migrate has prepared. Batches of a cluster go to its shards, if any are given;
// everything else is read and written by conn.
func New(conn driver.Conn, schema Schema, shards ...driver.Conn) *Store {
	return storeInto(conn, shards, conn, schema, "events")
}

// storeInto is a Store whose Insert writes to another table with the columns of events, on a shard.
func storeInto(conn driver.Conn, shards []driver.Conn, shard driver.Conn, schema Schema, table string) *Store {
	return &Store{
		conn: conn, shards: shards, shard: shard, schema: schema, database: schema.Database,
		insert: "INSERT INTO " + schema.Facts() + "." + table + " (" + strings.Join(clickhouseconn.Columns[Row](), ", ") + ")",
	}
}

// Shards is the number of shards, 0 on a single node.
func (s *Store) Shards() int { return len(s.shards) }

// Shard is the Store that writes facts to the shard of a number from 1 on. The error wraps ErrRefused when there is none.
func (s *Store) Shard(number int) (*Store, error) {
	if number < 1 || number > len(s.shards) {
		return nil, fmt.Errorf("%w: it was declared for shard %d, and ONEPX_CLICKHOUSE_SHARDS has %d", ErrRefused, number, len(s.shards))
	}
	return storeInto(s.conn, s.shards, s.shards[number-1], s.schema, "events"), nil
}

// insertUntil is the context's deadline by the wall clock, which ClickHouse holds against its own: the difference between
// the two adds to the deadline.
func insertUntil(ctx context.Context) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	return deadline.Round(0).UTC()
}

// instantText is a time as toDateTime64 reads it. A time given to the driver itself would lose its milliseconds.
func instantText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// CompleteViews inserts the stored rows of the range once more under its token: events takes nothing, each view takes
// what it lacks. Only for tokens that the deduplication window still holds, or the rows double.
func (s *Store) CompleteViews(ctx context.Context, r Range, token string) error {
	ctx = exactlyOnce(ctx, token)
	events := s.schema.Facts() + ".events"
	err := s.shard.Exec(ctx, "INSERT INTO "+events+" SELECT * REPLACE (toDateTime64(?, 3, 'UTC') AS insert_until) FROM "+events+" "+
		"WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset BETWEEN ? AND ? ORDER BY kafka_offset",
		instantText(insertUntil(ctx)), r.Topic, r.ID, r.First, r.Last)
	if err != nil {
		return classify(fmt.Errorf("complete views of %s: %w", token, err))
	}
	return nil
}

// CountRows returns how many rows of the range are stored.
func (s *Store) CountRows(ctx context.Context, r Range) (int64, error) {
	var n uint64
	err := s.conn.QueryRow(ctx, "SELECT count() FROM "+s.database+".events"+" WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset BETWEEN ? AND ?",
		r.Topic, r.ID, r.First, r.Last).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	return int64(n), nil
}

// Last is the end of what is stored of a partition.
type Last struct {
	// Offset is the highest stored offset, -1 when there is none.
	Offset int64
	// BatchFirst is the first offset of the batch that stored it.
	BatchFirst int64
	// HashedOffset is the highest stored offset that Kafka had a record for, and RecordHash its fingerprint; -1 and 0 when
	// there is none.
	HashedOffset int64
	RecordHash   uint64
}

// LastRow returns the end of what is stored of the partition. Batches of higher offsets are declared later, so the last two
// days tell, unless nothing was stored since.
func (s *Store) LastRow(ctx context.Context, p Partition) (Last, error) {
	last, err := s.lastRow(ctx, p, "batch_day >= today() - 2")
	if err == nil && last.HashedOffset < 0 {
		last, err = s.lastRow(ctx, p, "true")
	}
	return last, err
}

func (s *Store) lastRow(ctx context.Context, p Partition, where string) (Last, error) {
	var rows, hashed uint64
	var last Last
	err := s.conn.QueryRow(ctx, "SELECT count(), max(kafka_offset), argMax(batch_first, kafka_offset), "+
		"countIf(record_hash != 0), maxIf(kafka_offset, record_hash != 0), argMaxIf(record_hash, kafka_offset, record_hash != 0) "+
		"FROM "+s.database+".events"+" WHERE kafka_topic = ? AND kafka_partition = ? AND "+where, p.Topic, p.ID).
		Scan(&rows, &last.Offset, &last.BatchFirst, &hashed, &last.HashedOffset, &last.RecordHash)
	if err != nil {
		return Last{}, fmt.Errorf("read last row: %w", err)
	}
	if rows == 0 {
		last.Offset, last.BatchFirst = -1, -1
	}
	if hashed == 0 {
		last.HashedOffset, last.RecordHash = -1, 0
	}
	return last, nil
}

// RecentEvents calls yield for each stored row of the partition below the offset, recorded at or after since, that keeps
// an event id.
func (s *Store) RecentEvents(ctx context.Context, p Partition, below int64, since time.Time, yield func(EventKey, time.Time)) error {
	return s.eachEvent(ctx, "events", p, below, since, yield)
}

// EventIDs is RecentEvents for spans of days: it reads the narrow table event_ids, which a view fills.
func (s *Store) EventIDs(ctx context.Context, p Partition, below int64, since time.Time, yield func(EventKey, time.Time)) error {
	return s.eachEvent(ctx, "event_ids", p, below, since, yield)
}

func (s *Store) eachEvent(ctx context.Context, table string, p Partition, below int64, since time.Time, yield func(EventKey, time.Time)) error {
	rows, err := s.conn.Query(ctx, "SELECT site_id, event_id, record_time FROM "+s.database+"."+table+" "+
		"WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset < ? AND record_time >= toDateTime64(?, 3, 'UTC') AND batch_day >= toDate(toDateTime64(?, 3, 'UTC')) - 1 AND event_id != toUUID('00000000-0000-0000-0000-000000000000')",
		p.Topic, p.ID, below, instantText(since), instantText(since))
	if err != nil {
		return fmt.Errorf("read recent events: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key EventKey
		var at time.Time
		if err := rows.Scan(&key.SiteID, &key.EventID, &at); err != nil {
			return fmt.Errorf("read recent events: %w", err)
		}
		yield(key, at)
	}
	return rows.Err()
}

// Seen returns for each of the keys that is stored below the offset, recorded at or after since, the latest record time.
func (s *Store) Seen(ctx context.Context, p Partition, below int64, since time.Time, keys []EventKey) (map[EventKey]time.Time, error) {
	return s.seen(ctx, "event_ids", p, below, since, keys)
}

func (s *Store) seen(ctx context.Context, table string, p Partition, below int64, since time.Time, keys []EventKey) (map[EventKey]time.Time, error) {
	ids, err := asked(keys)
	if err != nil {
		return nil, err
	}
	rows, err := s.conn.Query(clickhouse.Context(ctx, clickhouse.WithExternalTable(ids)),
		"SELECT site_id, event_id, max(record_time) FROM "+s.database+"."+table+" "+
			"WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset < ? AND record_time >= toDateTime64(?, 3, 'UTC') AND batch_day >= toDate(toDateTime64(?, 3, 'UTC')) - 1 AND event_id IN asked GROUP BY site_id, event_id",
		p.Topic, p.ID, below, instantText(since), instantText(since))
	if err != nil {
		return nil, fmt.Errorf("ask for event ids: %w", err)
	}
	return recordTimes(rows)
}

// asked is a table of event ids that goes with a query.
func asked(keys []EventKey) (*ext.Table, error) {
	ids, err := ext.NewTable("asked", ext.Column("event_id", "UUID"))
	if err != nil {
		return nil, fmt.Errorf("ask for event ids: %w", err)
	}
	for _, key := range keys {
		if err := ids.Append(key.EventID); err != nil {
			return nil, fmt.Errorf("ask for event ids: %w", err)
		}
	}
	return ids, nil
}

// recordTimes reads rows of site, event id and time.
func recordTimes(rows driver.Rows) (map[EventKey]time.Time, error) {
	defer func() { _ = rows.Close() }()
	times := map[EventKey]time.Time{}
	for rows.Next() {
		var key EventKey
		var at time.Time
		if err := rows.Scan(&key.SiteID, &key.EventID, &at); err != nil {
			return nil, fmt.Errorf("ask for event ids: %w", err)
		}
		times[key] = at
	}
	return times, rows.Err()
}

// SaveRules keeps the text behind a hash of rules; it is called before the hash is first declared.
func (s *Store) SaveRules(ctx context.Context, hash, text string) error {
	err := s.conn.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0})),
		"INSERT INTO "+s.database+".rules (hash, text, saved_at) VALUES (?, ?, now64(3))", hash, text)
	if err != nil {
		return fmt.Errorf("save rules: %w", err)
	}
	return nil
}

// Rules returns the text behind a hash; false when it is not known.
func (s *Store) Rules(ctx context.Context, hash string) (string, bool, error) {
	var texts []string
	err := s.conn.QueryRow(ctx, "SELECT groupArray(1)(text) FROM "+s.database+".rules WHERE hash = ?", hash).Scan(&texts)
	if err != nil {
		return "", false, fmt.Errorf("read rules: %w", err)
	}
	if len(texts) == 0 {
		return "", false, nil
	}
	return texts[0], true, nil
}

// ListForRebuild notes that the views may hold the rows of the range twice, not at all, or as they would be made by other
// rules.
func (s *Store) ListForRebuild(ctx context.Context, r Range, why string) error {
	err := s.conn.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0})),
		"INSERT INTO "+s.database+".view_rebuilds (kafka_topic, kafka_partition, first_offset, last_offset, why, listed_at) VALUES (?, ?, ?, ?, ?, now64(3))", r.Topic, r.ID, r.First, r.Last, why)
	if err != nil {
		return fmt.Errorf("list for rebuild: %w", err)
	}
	return nil
}

// FillEventIDs adds the event ids of the range's stored rows to event_ids, for ranges that its view may have missed. Ids
// that stand there twice change nothing.
func (s *Store) FillEventIDs(ctx context.Context, r Range) error {
	err := s.shard.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "insert_deduplicate": 0})),
		"INSERT INTO "+s.schema.Facts()+".event_ids (kafka_topic, kafka_partition, event_id, site_id, record_time, kafka_offset, batch_day) "+
			"SELECT kafka_topic, kafka_partition, event_id, site_id, record_time, kafka_offset, batch_day FROM "+s.database+".events "+
			"WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset BETWEEN ? AND ? AND event_id != toUUID('00000000-0000-0000-0000-000000000000')",
		r.Topic, r.ID, r.First, r.Last)
	if err != nil {
		return fmt.Errorf("fill event ids: %w", err)
	}
	return nil
}

// passing are the exception codes of ClickHouse that waiting can cure: limits of the moment, lost or loading parts of a
// cluster, merges that lag. Source: src/Common/ErrorCodes.cpp.
var passing = map[int32]bool{
	159: true, // TIMEOUT_EXCEEDED
	164: true, // READONLY
	202: true, // TOO_MANY_SIMULTANEOUS_QUERIES
	209: true, // SOCKET_TIMEOUT
	210: true, // NETWORK_ERROR
	241: true, // MEMORY_LIMIT_EXCEEDED
	242: true, // TABLE_IS_READ_ONLY
	243: true, // NOT_ENOUGH_SPACE
	252: true, // TOO_MANY_PARTS
	279: true, // ALL_CONNECTION_TRIES_FAILED
	285: true, // TOO_FEW_LIVE_REPLICAS
	286: true, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
	319: true, // UNKNOWN_STATUS_OF_INSERT
	394: true, // QUERY_WAS_CANCELLED
	425: true, // SYSTEM_ERROR
	469: true, // VIOLATED_CONSTRAINT: events has only in_time, the deadline
	473: true, // DEADLOCK_AVOIDED
	999: true, // KEEPER_EXCEPTION
}

// classify marks an answer that waiting does not cure. Connection errors are never of that kind.
func classify(err error) error {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) && !passing[exception.Code] {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// CountViews returns how many materialised views an insert into events feeds.
func (s *Store) CountViews(ctx context.Context) (int, error) {
	var n uint64
	err := s.shard.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND engine = 'MaterializedView'", s.schema.Facts()).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count views: %w", err)
	}
	return int(n), nil
}
