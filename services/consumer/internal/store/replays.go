package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// What a block of a replay is made of.
const (
	// ReplayGap: offsets without a row.
	ReplayGap = "gap"
	// ReplayDeadLetter: offsets whose row says dead.
	ReplayDeadLetter = "dead_letter"
)

// What a block of a replay does to the tables that views fill.
const (
	// FactsMade: they lack what follows from the rows; the views make it.
	FactsMade = "made"
	// FactsKept: they have it, as only the rows of events were lost.
	FactsKept = "kept"
	// FactsUnknown: nothing tells; they stay as they are and the range is listed for rebuild.
	FactsUnknown = "unknown"
)

// replayedStaged is the table in which rows lie that go into events past its views.
const replayedStaged = "events_replayed"

// Replay is a block of rows that a replay stores, as it stands in the table replays.
type Replay struct {
	ID          uuid.UUID `ch:"id"`
	What        string    `ch:"what"`
	Topic       string    `ch:"kafka_topic"`
	PartitionID int32     `ch:"kafka_partition"`
	First       int64     `ch:"first_offset"`
	Last        int64     `ch:"last_offset"`
	Facts       string    `ch:"facts"`
	Rows        uint64    `ch:"rows"`
	Rules       string    `ch:"rules"`
	Suppression int64     `ch:"suppression_position"`
	Done        uint8     `ch:"done"`
	SavedAt     time.Time `ch:"saved_at"`
}

// Range is the range of offsets of the block; not each of them need have a row in it.
func (r *Replay) Range() Range {
	return Range{Partition: Partition{Topic: r.Topic, ID: int(r.PartitionID)}, First: r.First, Last: r.Last}
}

// Command is what a person runs to have such blocks stored.
func (r *Replay) Command() string {
	if r.What == ReplayDeadLetter {
		return "consumer deadletter replay"
	}
	return "consumer replay"
}

// token is that of the block's insert.
func (r *Replay) token() string { return "replay/" + r.ID.String() }

// Replays stores rows for offsets that the consumers have passed. Its lock is that of rebuilds and erasures.
type Replays struct {
	*Rebuilds
	events *Store
}

// NewReplays returns the Replays of a database that Migrate has prepared.
func NewReplays(conn driver.Conn, schema Schema) *Replays {
	return &Replays{NewRebuilds(conn, schema), New(conn, schema)}
}

// Lock is like that of Rebuilds, but for blocks that an earlier replay has left open: this one closes them.
func (r *Replays) Lock(ctx context.Context) (locked context.Context, unlock func(), err error) {
	return r.lock().hold(ctx)
}

// open returns the blocks that were begun and have not ended, oldest first.
func (b *Rebuilds) open(ctx context.Context) ([]Replay, error) {
	var open []Replay
	err := b.conn.Select(ctx, &open, "SELECT "+strings.Join(clickhouseconn.Columns[Replay](), ", ")+" FROM "+b.table("replays")+" FINAL WHERE done = 0 ORDER BY saved_at, first_offset")
	if err != nil {
		return nil, fmt.Errorf("read replays: %w", err)
	}
	return open, nil
}

// Open returns the blocks that were begun and have not ended, oldest first.
func (r *Replays) Open(ctx context.Context) ([]Replay, error) { return r.open(ctx) }

// SaveReplay keeps the state of a block.
func (r *Replays) SaveReplay(ctx context.Context, block *Replay) error {
	batch, err := r.conn.PrepareBatch(r.statement(ctx, nil), "INSERT INTO "+r.table("replays")+" ("+strings.Join(clickhouseconn.Columns[Replay](), ", ")+")")
	if err == nil {
		defer func() { _ = batch.Close() }()
		if err = batch.AppendStruct(block); err == nil {
			err = batch.Send()
		}
	}
	if err != nil {
		return fmt.Errorf("save replay: %w", err)
	}
	return nil
}

// Insert stores the rows of a block through the views. The same call repeats or completes it, as that of Store does.
func (r *Replays) Insert(ctx context.Context, block *Replay, rows []Row) error {
	return r.events.Insert(r.statement(ctx, nil), block.token(), pointers(rows))
}

// Complete lets each view take what it lacks of a block whose rows are stored.
func (r *Replays) Complete(ctx context.Context, block *Replay) error {
	return r.events.CompleteViews(r.statement(ctx, nil), block.Range(), block.token())
}

// Attach stores the rows of a block, which are of one day, past the views: all of them or none.
func (r *Replays) Attach(ctx context.Context, block *Replay, rows []Row) error {
	if err := r.DropStaged(ctx); err != nil {
		return err
	}
	engine, err := r.schema.engineOf(ctx, r.conn, "events")
	if err != nil {
		return err
	}
	if err := r.exec(ctx, "create "+replayedStaged, "CREATE TABLE", r.table(replayedStaged), r.schema.OnCluster(), "AS", r.table("events"), "ENGINE =", engine); err != nil {
		return err
	}
	if err := storeInto(r.conn, nil, r.conn, r.schema, replayedStaged).Insert(r.statement(ctx, nil), block.token(), pointers(rows)); err != nil {
		return err
	}
	err = r.eachPartition(ctx, replayedStaged, func(id string) error {
		return r.exec(ctx, "attach rows", "ALTER TABLE", r.table("events"), "ATTACH PARTITION ID", clickhouseconn.Literal(id), "FROM", r.table(replayedStaged))
	})
	if err != nil {
		return err
	}
	return r.DropStaged(ctx)
}

// DropStaged removes what Attach may have left when it was cut off.
func (r *Replays) DropStaged(ctx context.Context) error {
	return r.exec(ctx, "drop "+replayedStaged, "DROP TABLE IF EXISTS", r.table(replayedStaged), r.schema.OnCluster(), "SYNC")
}

func pointers(rows []Row) func(func(*Row) bool) {
	return func(yield func(*Row) bool) {
		for i := range rows {
			if !yield(&rows[i]) {
				return
			}
		}
	}
}

// gapsAtOnce is how many offsets Gaps looks at in one query, so that its memory is bounded.
const gapsAtOnce = 10_000_000

// Gaps returns the ranges of offsets within a range that have no row, in order.
func (r *Replays) Gaps(ctx context.Context, in Range) ([]Range, error) {
	var gaps []Range
	for first := in.First; first <= in.Last; first += gapsAtOnce {
		step := Range{in.Partition, first, min(first+gapsAtOnce-1, in.Last)}
		found, err := r.gaps(ctx, step)
		if err != nil {
			return nil, err
		}
		for _, gap := range found {
			if n := len(gaps); n > 0 && gaps[n-1].Last+1 == gap.First {
				gaps[n-1].Last = gap.Last
				continue
			}
			gaps = append(gaps, gap)
		}
	}
	return gaps, nil
}

const ofRange = " WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset BETWEEN ? AND ?"

func (r *Replays) gaps(ctx context.Context, in Range) ([]Range, error) {
	var offsets uint64
	err := r.conn.QueryRow(ctx, "SELECT groupBitmap(toUInt64(kafka_offset)) FROM "+r.table("events")+ofRange, in.Topic, in.ID, in.First, in.Last).Scan(&offsets)
	if err != nil {
		return nil, fmt.Errorf("count offsets: %w", err)
	}
	if int64(offsets) == in.Last-in.First+1 {
		return nil, nil
	}
	rows, err := r.conn.Query(ctx, "SELECT before + 1, o - 1 FROM (SELECT o, lagInFrame(o, 1, toInt64(?)) OVER (ORDER BY o ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before "+
		"FROM (SELECT DISTINCT kafka_offset AS o FROM "+r.table("events")+ofRange+" UNION ALL SELECT toInt64(?))) WHERE o > before + 1 ORDER BY o",
		in.First-1, in.Topic, in.ID, in.First, in.Last, in.Last+1)
	if err != nil {
		return nil, fmt.Errorf("look for offsets without a row: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var gaps []Range
	for rows.Next() {
		gap := Range{Partition: in.Partition}
		if err := rows.Scan(&gap.First, &gap.Last); err != nil {
			return nil, fmt.Errorf("look for offsets without a row: %w", err)
		}
		gaps = append(gaps, gap)
	}
	return gaps, rows.Err()
}

// Neighbour is a stored row on one side of a gap.
type Neighbour struct {
	Offset     int64
	DeclaredAt time.Time
	// Rules is their hash.
	Rules string
	// BatchFirst and BatchLast are the batch that stored it.
	BatchFirst, BatchLast int64
}

const neighbours = "SELECT kafka_offset, declared_at, rules, batch_first, batch_last FROM "

// Within returns the rows of a range by their offsets.
func (r *Replays) Within(ctx context.Context, of Range) (map[int64]*Neighbour, error) {
	return r.neighbours(ctx, neighbours+r.table("events")+ofRange, of.Topic, of.ID, of.First, of.Last)
}

// Before returns the nearest row below an offset, nil where there is none.
func (r *Replays) Before(ctx context.Context, p Partition, offset int64) (*Neighbour, error) {
	return r.nearest(ctx, p, "max", "<", offset)
}

// After returns the nearest row above an offset, nil where there is none.
func (r *Replays) After(ctx context.Context, p Partition, offset int64) (*Neighbour, error) {
	return r.nearest(ctx, p, "min", ">", offset)
}

func (r *Replays) nearest(ctx context.Context, p Partition, nearest, side string, of int64) (*Neighbour, error) {
	found, err := r.neighbours(ctx, neighbours+r.table("events")+" WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset = ("+
		"SELECT "+nearest+"OrNull(kafka_offset) FROM "+r.table("events")+" WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset "+side+" ?) LIMIT 1", p.Topic, p.ID, p.Topic, p.ID, of)
	for _, n := range found {
		return n, err
	}
	return nil, err
}

func (r *Replays) neighbours(ctx context.Context, query string, args ...any) (map[int64]*Neighbour, error) {
	rows, err := r.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the rows next to a gap: %w", err)
	}
	defer func() { _ = rows.Close() }()
	found := map[int64]*Neighbour{}
	for rows.Next() {
		var n Neighbour
		if err := rows.Scan(&n.Offset, &n.DeclaredAt, &n.Rules, &n.BatchFirst, &n.BatchLast); err != nil {
			return nil, fmt.Errorf("read the rows next to a gap: %w", err)
		}
		found[n.Offset] = &n
	}
	return found, rows.Err()
}

// eventIDsKept is for how many days after batch_day event_ids certainly holds an id (0002_event_ids.sql).
const eventIDsKept = 14

// KeepsFacts tells whether Filled can tell of rows that were stored at a time, as far as a collector's clock tells it.
func KeepsFacts(at, now time.Time) bool {
	return !at.UTC().Truncate(24*time.Hour).AddDate(0, 0, eventIDsKept).Before(now.UTC().Truncate(24 * time.Hour))
}

// Filled returns the offsets of a range that the views were filled with, as far as their rows had an event id.
func (r *Replays) Filled(ctx context.Context, of Range) (map[int64]bool, error) {
	var offsets []int64
	err := r.conn.QueryRow(ctx, "SELECT groupUniqArray(kafka_offset) FROM "+r.table("event_ids")+ofRange, of.Topic, of.ID, of.First, of.Last).Scan(&offsets)
	if err != nil {
		return nil, fmt.Errorf("ask for event ids: %w", err)
	}
	filled := make(map[int64]bool, len(offsets))
	for _, offset := range offsets {
		filled[offset] = true
	}
	return filled, nil
}

// DeadRow is a row that says dead.
type DeadRow struct {
	Offset     int64
	RecordHash uint64
	DeclaredAt time.Time
}

// Dead returns the rows of the offsets, which are in order, that say dead, and which of the offsets have a row at all.
func (r *Replays) Dead(ctx context.Context, p Partition, offsets []int64) (dead map[int64]DeadRow, stored map[int64]bool, err error) {
	rows, err := r.conn.Query(ctx, "SELECT kafka_offset, record_hash, declared_at, outcome FROM "+r.table("events")+ofRange+" AND has(?, kafka_offset)",
		p.Topic, p.ID, offsets[0], offsets[len(offsets)-1], offsets)
	if err != nil {
		return nil, nil, fmt.Errorf("read dead rows: %w", err)
	}
	defer func() { _ = rows.Close() }()
	dead, stored = map[int64]DeadRow{}, map[int64]bool{}
	for rows.Next() {
		var row DeadRow
		var outcome string
		if err := rows.Scan(&row.Offset, &row.RecordHash, &row.DeclaredAt, &outcome); err != nil {
			return nil, nil, fmt.Errorf("read dead rows: %w", err)
		}
		stored[row.Offset] = true
		if outcome == OutcomeDead {
			dead[row.Offset] = row
		}
	}
	return dead, stored, rows.Err()
}

// RemoveDead removes the rows of a range, of some days of storing or, for none, of all, that say dead and beside which another row of their
// offset is stored.
func (r *Replays) RemoveDead(ctx context.Context, of Range, days []time.Time) error {
	rows := fmt.Sprintf("kafka_topic = %s AND kafka_partition = %d AND kafka_offset BETWEEN %d AND %d", clickhouseconn.Literal(of.Topic), of.ID, of.First, of.Last)
	if len(days) > 0 {
		var texts []string
		for _, day := range days {
			texts = append(texts, day.Format(time.DateOnly))
		}
		rows += " AND batch_day IN (" + literals(texts) + ")"
	}
	return r.exec(ctx, "remove dead rows", "DELETE FROM", r.table("events"), r.schema.OnCluster(), "WHERE", rows, "AND outcome = '"+OutcomeDead+"' AND kafka_offset IN (SELECT kafka_offset FROM",
		r.table("events"), "WHERE", rows, "AND outcome != '"+OutcomeDead+"')", "SETTINGS lightweight_deletes_sync = 2, allow_nondeterministic_mutations = 1")
}

// CountReplayed returns how many rows of a block are stored.
func (r *Replays) CountReplayed(ctx context.Context, block *Replay) (n uint64, err error) {
	of, condition := block.Range(), ""
	if block.What == ReplayDeadLetter {
		condition = " AND outcome != '" + OutcomeDead + "'"
	}
	if err := r.conn.QueryRow(ctx, "SELECT count() FROM "+r.table("events")+ofRange+condition, of.Topic, of.ID, of.First, of.Last).Scan(&n); err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	return n, nil
}

// Seen is like that of Store, for events of any age: event_ids forgets them, and events may lack some of which it knows.
func (r *Replays) Seen(ctx context.Context, p Partition, below int64, since time.Time, keys []EventKey) (map[EventKey]time.Time, error) {
	seen, err := r.events.Seen(ctx, p, below, since, keys)
	if err != nil {
		return nil, err
	}
	stored, err := r.events.seen(ctx, "events", p, below, since, keys)
	for key, at := range stored {
		if at.After(seen[key]) {
			seen[key] = at
		}
	}
	return seen, err
}

// CountedAbove returns, for each of the keys that a row above the offset counts, from which record time on an earlier record
// makes that row a repeat: long before it for events that clients or spools may repeat, short before it for the others. day
// is the day of storing of the offset.
func (r *Replays) CountedAbove(ctx context.Context, p Partition, above int64, day time.Time, short, long time.Duration, keys []EventKey) (map[EventKey]time.Time, error) {
	ids, err := asked(keys)
	if err != nil {
		return nil, err
	}
	rows, err := r.conn.Query(clickhouse.Context(ctx, clickhouse.WithExternalTable(ids)),
		"SELECT site_id, event_id, min(record_time - toIntervalMillisecond(if(event_id_origin = 'client' OR replayed OR outcome IN ('tally', 'account'), ?, ?))) FROM "+r.table("events")+
			" WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset > ? AND batch_day >= toDate(?) AND outcome IN ('event', 'tally', 'account') AND event_id IN asked GROUP BY site_id, event_id",
		long.Milliseconds(), short.Milliseconds(), p.Topic, p.ID, above, day.Format(time.DateOnly))
	if err != nil {
		return nil, fmt.Errorf("ask for later records: %w", err)
	}
	return recordTimes(rows)
}
