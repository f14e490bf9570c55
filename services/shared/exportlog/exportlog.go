// Package exportlog is the log of exports of audiences: which were asked for, and how far they have come. `consumer jobs` writes
// it; commands and the console read it. It holds no ids of people.
package exportlog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/jobs"
)

// Step is a step of an export that is done.
type Step = string

// The steps in their order. The last ones end an export: it is done or has failed; later its files may go.
const (
	// Asked: the instant of membership is chosen, and the export that this one is compared with.
	Asked Step = "asked"
	// Snapshot: the members of that instant are noted.
	Snapshot Step = "snapshot"
	// Written: the files are complete and have their names.
	Written Step = "written"
	// Done: files and notes of earlier exports that are not needed any more are gone.
	Done Step = "done"
	// Failed: Error says why; there are no files.
	Failed Step = "failed"
	// Erased: the files are gone because they held somebody who was erased. The next export is still compared with this one.
	Erased Step = "erased"
	// Removed: files and notes are gone because of later exports, or of age.
	Removed Step = "removed"
)

// Export is an export and how far it has come: a row of the table exports.
type Export struct {
	ID       uuid.UUID `ch:"export_id"`
	Site     string    `ch:"site_id"`
	Segment  string    `ch:"segment"`
	Version  string    `ch:"version"`
	Format   string    `ch:"format"`
	Contacts string    `ch:"contacts"`
	Step     Step      `ch:"step"`
	AskedBy  string    `ch:"asked_by"`
	AskedAt  time.Time `ch:"asked_at"`
	// At is the instant of membership, Previous the export of the same list that this one is compared with; zeros = none.
	At       time.Time `ch:"at_instant"`
	Previous uuid.UUID `ch:"previous_export"`
	// Members are the visitors in the list; Added and Removed is how it differs from the previous one: visitors, or customers in
	// formats that are shared.
	Members uint64 `ch:"members"`
	Added   uint64 `ch:"added"`
	Removed uint64 `ch:"removed"`
	// WithoutContact of the members are in no file, since no contact of theirs can be used. WithoutShare are visitors of the
	// audience who are no members of the list, since they don't allow sharing.
	WithoutContact uint64 `ch:"without_contact"`
	WithoutShare   uint64 `ch:"without_share"`
	// Unusable are texts of contacts that the format has no value for, such as telephone numbers without a country.
	Unusable uint64 `ch:"unusable"`
	// Files are their names, Lines how many people stand in each, Bytes the size of all of them.
	Files  []string  `ch:"files"`
	Lines  []uint64  `ch:"file_lines"`
	Bytes  uint64    `ch:"bytes"`
	Error  string    `ch:"error"`
	DoneAt time.Time `ch:"done_at"`
}

// New returns an export of which nothing is done.
func New(job jobs.Job) Export {
	zero := time.Unix(0, 0).UTC()
	return Export{
		ID: job.ID, Site: job.Site, Segment: job.List.Segment, Format: string(job.List.Format), Contacts: job.List.Contacts,
		AskedBy: job.AskedBy, AskedAt: job.AskedAt, At: zero, DoneAt: zero,
	}
}

// Over tells whether nothing more is to be done.
func (e *Export) Over() bool {
	return e.Step == Done || e.Step == Failed || e.Step == Erased || e.Step == Removed
}

// Shared tells whether the files go to somebody else.
func (e *Export) Shared() bool { return jobs.Format(e.Format).Shared() }

// SameList tells whether two exports are of the same list, so that one continues the other.
func (e *Export) SameList(o *Export) bool {
	return e.Site == o.Site && e.Segment == o.Segment && e.Format == o.Format && e.Contacts == o.Contacts
}

// Folder is where the files lie below the folder of all exports.
func (e *Export) Folder() string { return e.Site + "/" + e.Segment + "/" + e.ID.String() }

// Log is the table exports.
type Log struct {
	conn     driver.Conn
	database string
}

// NewLog returns the Log of a database that the consumer's migrations have prepared.
func NewLog(conn driver.Conn, database string) *Log { return &Log{conn, database} }

// Save notes that a step is done. Repeated, it adds nothing.
func (l *Log) Save(ctx context.Context, e *Export, step Step, now time.Time) error {
	next := *e
	// Steps stand in their order, whatever the clock does.
	next.Step, next.DoneAt = step, now.UTC().Truncate(time.Millisecond)
	if !next.DoneAt.After(e.DoneAt) {
		next.DoneAt = e.DoneAt.Add(time.Millisecond)
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": "export/" + e.ID.String() + "/" + step,
	}))
	batch, err := l.conn.PrepareBatch(ctx, "INSERT INTO "+l.database+".exports ("+strings.Join(clickhouseconn.Columns[Export](), ", ")+")")
	if err == nil {
		defer func() { _ = batch.Close() }()
		if err = batch.AppendStruct(&next); err == nil {
			err = batch.Send()
		}
	}
	if err != nil {
		return fmt.Errorf("log export: %w", err)
	}
	*e = next
	return nil
}

// Last returns the last step of an export; false when there is none of that id.
func (l *Log) Last(ctx context.Context, id uuid.UUID) (Export, bool, error) {
	found, err := l.read(ctx, "WHERE export_id = "+clickhouseconn.Literal(id.String()), "")
	if err != nil || len(found) == 0 {
		return Export{}, false, err
	}
	return found[0], true, nil
}

// Latest returns the last step of each of the latest exports, the latest first, at most limit: of one site, or of all when site
// is "".
func (l *Log) Latest(ctx context.Context, site string, limit int) ([]Export, error) {
	where := ""
	if site != "" {
		where = "WHERE site_id = " + clickhouseconn.Literal(site)
	}
	return l.read(ctx, where, fmt.Sprintf("LIMIT %d", limit))
}

// Kept returns the last step of each export that notes or files are kept of, the latest first.
func (l *Log) Kept(ctx context.Context) ([]Export, error) {
	return l.read(ctx, "", "", Done, Erased)
}

// read returns the last steps of exports, the latest first; of those whose last step is one of the given, unless none is given.
func (l *Log) read(ctx context.Context, where, limit string, steps ...Step) ([]Export, error) {
	query := "SELECT * FROM (SELECT " + strings.Join(clickhouseconn.Columns[Export](), ", ") + " FROM " + l.database + ".exports " + where +
		" ORDER BY export_id, done_at DESC LIMIT 1 BY export_id)"
	if len(steps) > 0 {
		query += " WHERE step IN ('" + strings.Join(steps, "', '") + "')"
	}
	var found []Export
	if err := l.conn.Select(ctx, &found, query+" ORDER BY asked_at DESC, export_id "+limit); err != nil {
		return nil, fmt.Errorf("read exports: %w", err)
	}
	return found, nil
}
