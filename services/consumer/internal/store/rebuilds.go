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

// ErrRebuilding says that another process rebuilds facts of the same database, or erases from them.
var ErrRebuilding = errors.New("another rebuild, an erasure or a replay is running")

// Step is a step of a rebuild of goal hits that is done; docs/adr/0007-rebuild.md has the procedure.
type Step = string

// The steps in their order; StepStaged and StepAdded alternate, once for each unit.
const (
	// StepPlanned: the new table has a name, and nothing else.
	StepPlanned Step = "planned"
	// StepFed: the new table gets every row from the first offsets on.
	StepFed Step = "fed"
	// StepPassed: every row before the first offsets is stored and final.
	StepPassed Step = "passed"
	// StepStaged: the staging table holds the hits of the unit.
	StepStaged Step = "staged"
	// StepAdded: the new table holds the hits of the unit.
	StepAdded Step = "added"
	// StepFilled: the new table holds the hits of all units, and they have been counted.
	StepFilled Step = "filled"
	// StepSwitching: the switch offsets are known.
	StepSwitching Step = "switching"
	// StepSwitched: the new table is conversion_hits.
	StepSwitched Step = "switched"
	// StepChecked: what was stored during the exchange is right.
	StepChecked Step = "checked"
	// StepDone: the old table is gone.
	StepDone Step = "done"
	// StepGivenUp: as if it had not been begun.
	StepGivenUp Step = "given_up"
)

// UnitKept is the unit of the hits that are taken over as they are. The others are days of Days.
var UnitKept = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)

// whatGoals is the kind of rebuild; there is one so far.
const whatGoals = "goals"

// Rebuild is one rebuild of goal hits, as it stands in the table rebuilds.
type Rebuild struct {
	ID   uuid.UUID `ch:"id"`
	What string    `ch:"what"`
	// From and To are the days of the sites, both included, whose hits are made anew.
	From time.Time `ch:"from_day"`
	To   time.Time `ch:"to_day"`
	// Site is empty for all sites.
	Site  string    `ch:"site_id"`
	Goals string    `ch:"goals"`
	Step  Step      `ch:"step"`
	Unit  time.Time `ch:"unit"`
	Hits  uint64    `ch:"hits"`
	// Table is the name of the new table; after the exchange the old one has it.
	Table     string    `ch:"table_name"`
	TableUUID uuid.UUID `ch:"table_uuid"`

	Topics        []string `ch:"partitions.topic"`
	PartitionIDs  []int32  `ch:"partitions.id"`
	FirstOffsets  []int64  `ch:"partitions.first_offset"`
	SwitchOffsets []int64  `ch:"partitions.switch_offset"`

	StartedAt time.Time `ch:"started_at"`
	SwitchAt  time.Time `ch:"switch_at"`
	Revision  uint32    `ch:"revision"`
	SavedAt   time.Time `ch:"saved_at"`
}

// NewRebuild returns a rebuild of which nothing is done.
func NewRebuild(from, to time.Time, site, goals string, now time.Time) *Rebuild {
	return &Rebuild{
		ID: uuid.New(), What: whatGoals, From: from, To: to, Site: site, Goals: goals, StartedAt: now.UTC(),
		Unit: UnitKept, SwitchAt: UnitKept,
	}
}

// SetFirst sets the offset from which on the new view takes the rows of a partition.
func (r *Rebuild) SetFirst(p Partition, offset int64) {
	r.Topics, r.PartitionIDs = append(r.Topics, p.Topic), append(r.PartitionIDs, int32(p.ID)) //nolint:gosec // Kafka's are 32 bits
	r.FirstOffsets, r.SwitchOffsets = append(r.FirstOffsets, offset), append(r.SwitchOffsets, 0)
}

// First is the offset from which on the new view takes the rows of the partition: 0 for one that came later.
func (r *Rebuild) First(p Partition) int64 { return r.offset(p, r.FirstOffsets) }

// SetSwitch sets the offset before which rows were final when the exchange was prepared.
func (r *Rebuild) SetSwitch(p Partition, offset int64) {
	for i := range r.Topics {
		if r.Topics[i] == p.Topic && int(r.PartitionIDs[i]) == p.ID {
			r.SwitchOffsets[i] = offset
		}
	}
}

// Switch is the offset that SetSwitch has set; 0 for a partition that came later.
func (r *Rebuild) Switch(p Partition) int64 { return r.offset(p, r.SwitchOffsets) }

func (r *Rebuild) offset(p Partition, of []int64) int64 {
	for i := range r.Topics {
		if r.Topics[i] == p.Topic && int(r.PartitionIDs[i]) == p.ID {
			return of[i]
		}
	}
	return 0
}

// Rebuilds reads and writes the table rebuilds, and the tables of a rebuild of goal hits.
type Rebuilds struct {
	conn   driver.Conn
	schema Schema
	// shards are those of a cluster, for erasures; a rebuild needs a single node.
	shards []driver.Conn
}

// NewRebuilds returns the Rebuilds of a database that Migrate has prepared. On a cluster erasures need its shards.
func NewRebuilds(conn driver.Conn, schema Schema, shards ...driver.Conn) *Rebuilds {
	return &Rebuilds{conn: conn, schema: schema, shards: shards}
}

func (b *Rebuilds) table(name string) string { return b.schema.Database + "." + name }

// lock is what a rebuild holds.
func (b *Rebuilds) lock() lock {
	return lock{b.conn, "onepx-rebuild-" + b.schema.Database, ErrRebuilding}
}

func (b *Rebuilds) statement(ctx context.Context, more clickhouse.Settings) context.Context {
	return b.lock().statement(ctx, more)
}

func (b *Rebuilds) exec(ctx context.Context, what string, parts ...string) error {
	return b.execAt(ctx, b.conn, what, parts...)
}

func (b *Rebuilds) execAt(ctx context.Context, server driver.Conn, what string, parts ...string) error {
	// Tables of any size may be dropped: they are the rebuild's own.
	if err := server.Exec(b.statement(ctx, clickhouse.Settings{"max_table_size_to_drop": 0}), strings.Join(parts, " ")); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Lock makes this the only rebuild of the database, until the returned context ends or unlock is called. The error wraps
// ErrRebuilding when somebody else has it, or when a replay was interrupted, of whose rows it is not known what is stored.
func (b *Rebuilds) Lock(ctx context.Context) (locked context.Context, unlock func(), err error) {
	if locked, unlock, err = b.lock().hold(ctx); err != nil {
		return nil, nil, err
	}
	open, err := b.open(locked)
	if err == nil && len(open) > 0 {
		err = fmt.Errorf("%w: an interrupted `%s` must be run to its end first", ErrRebuilding, open[0].Command())
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return locked, unlock, nil
}

// Unfinished returns the rebuild of goal hits that was begun and has not ended; nil when there is none.
func (b *Rebuilds) Unfinished(ctx context.Context) (*Rebuild, error) {
	var found []Rebuild
	err := b.conn.Select(ctx, &found, "SELECT "+strings.Join(clickhouseconn.Columns[Rebuild](), ", ")+" FROM "+b.table("rebuilds")+" FINAL "+
		"WHERE what = ? AND step NOT IN (?, ?) ORDER BY started_at LIMIT 1", whatGoals, StepDone, StepGivenUp)
	if err != nil {
		return nil, fmt.Errorf("read rebuilds: %w", err)
	}
	if len(found) == 0 {
		return nil, nil //nolint:nilnil // none is no error
	}
	return &found[0], nil
}

// Save keeps how far the rebuild has come.
func (b *Rebuilds) Save(ctx context.Context, r *Rebuild, step Step) error {
	next := *r
	next.Step, next.Revision, next.SavedAt = step, r.Revision+1, time.Now().UTC()
	batch, err := b.conn.PrepareBatch(b.statement(ctx, nil), "INSERT INTO "+b.table("rebuilds")+" ("+strings.Join(clickhouseconn.Columns[Rebuild](), ", ")+")")
	if err == nil {
		defer func() { _ = batch.Close() }()
		if err = batch.AppendStruct(&next); err == nil {
			err = batch.Send()
		}
	}
	if err != nil {
		return fmt.Errorf("save rebuild: %w", err)
	}
	*r = next
	return nil
}
