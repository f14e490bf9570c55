package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/personal"
)

// ErrExporting says that another process exports, or erases.
var ErrExporting = errors.New("another export, or an erasure, is running")

// exportTime bounds one statement, which may read and sort all members.
const exportTime = 2 * time.Hour

// Exports reads audiences for exports, and keeps who stood in the last ones: the table export_members.
type Exports struct {
	conn     driver.Conn
	database string
	schema   Schema
}

// NewExports returns the Exports of a database that Migrate has prepared.
func NewExports(conn driver.Conn, schema Schema) *Exports {
	return &Exports{conn, schema.Database, schema}
}

func exportLock(conn driver.Conn, database string) lock {
	return lock{conn, "onepx-export-" + database, ErrExporting}
}

// Lock makes this the only process that exports, until the returned context ends or unlock is called. The error wraps
// ErrExporting when somebody else has it.
func (x *Exports) Lock(ctx context.Context) (locked context.Context, unlock func(), err error) {
	return exportLock(x.conn, x.database).hold(ctx)
}

func (x *Exports) exec(ctx context.Context, what string, parts ...string) error {
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	if err := x.conn.Exec(exportLock(x.conn, x.database).statement(ctx, nil), strings.Join(parts, " ")); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Version returns the version of a segment that is in force; false when there is no such segment.
func (x *Exports) Version(ctx context.Context, site, segment string) (version string, known bool, err error) {
	var found []struct {
		Version string `ch:"version"`
	}
	err = x.conn.Select(ctx, &found, "SELECT toString(version) AS version FROM "+x.database+".active_segments WHERE site_id = "+clickhouseconn.Literal(site)+" AND segment = "+clickhouseconn.Literal(segment))
	if err != nil {
		return "", false, fmt.Errorf("look for the segment: %w", err)
	}
	if len(found) == 0 {
		return "", false, nil
	}
	return found[0].Version, true, nil
}

// audience are the members of the export's instant who are not held out.
func (x *Exports) audience(e *exportlog.Export) string {
	return fmt.Sprintf("(SELECT visitor_id, products, qualified_at, ends_at FROM %s.audience_members(site = %s, segment = %s, at = '%s', version = %s) WHERE NOT held_out)",
		x.database, clickhouseconn.Literal(e.Site), clickhouseconn.Literal(e.Segment), instantText(e.At), clickhouseconn.Literal(e.Version))
}

// sharing are the visitors whose newest event allows sharing; a refusal of the same instant goes first.
func (x *Exports) sharing(e *exportlog.Export) string {
	return "(SELECT visitor_id FROM " + x.database + ".share_consents WHERE site_id = " + clickhouseconn.Literal(e.Site) + " GROUP BY visitor_id HAVING max(allowed_at) > max(refused_at))"
}

// users are the customers as whom visitors were known last, up to the export's instant.
func (x *Exports) users(e *exportlog.Export) string {
	return "(SELECT visitor_id, argMax(identities.user_key, (occurred_at, event_id)) AS user_key FROM " + x.database + ".identities WHERE site_id = " + clickhouseconn.Literal(e.Site) +
		" AND visitor_id != toUUID('" + uuid.Nil.String() + "') AND occurred_at <= toDateTime64('" + instantText(e.At) + "', 3, 'UTC') GROUP BY visitor_id)"
}

// Note notes the members of an export; those that an attempt before this one has noted go first. Of formats that are shared
// only those who allow sharing are noted, with the customer that each is; the answer is how many others there are.
func (x *Exports) Note(ctx context.Context, e *exportlog.Export) (withoutShare uint64, err error) {
	if err := x.Forget(ctx, *e); err != nil {
		return 0, err
	}
	from, user := x.audience(e)+" AS members", "toUUID('"+uuid.Nil.String()+"')"
	if e.Shared() {
		from += " LEFT ANY JOIN " + x.users(e) + " AS users USING visitor_id WHERE visitor_id IN " + x.sharing(e)
		user = "users.user_key"
	}
	err = x.exec(ctx, "note members", "INSERT INTO", x.database+".export_members (export_id, visitor_id, site_id, user_key, products, qualified_at, ends_at, noted_at)",
		"SELECT '"+e.ID.String()+"', visitor_id,", clickhouseconn.Literal(e.Site)+",", user+", products, qualified_at, ends_at, now() FROM", from)
	if err != nil || !e.Shared() {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	err = x.conn.QueryRow(ctx, "SELECT count() FROM "+x.audience(e)+" WHERE visitor_id NOT IN "+x.sharing(e)).Scan(&withoutShare)
	if err != nil {
		return 0, fmt.Errorf("count who does not share: %w", err)
	}
	return withoutShare, nil
}

// Forget removes the notes of exports.
func (x *Exports) Forget(ctx context.Context, exports ...exportlog.Export) error {
	if len(exports) == 0 {
		return nil
	}
	ids := make([]string, len(exports))
	for i, e := range exports {
		ids[i] = "'" + e.ID.String() + "'"
	}
	return x.exec(ctx, "forget members", "DELETE FROM", x.database+".export_members", x.schema.OnCluster(), "WHERE export_id IN ("+strings.Join(ids, ", ")+") SETTINGS lightweight_deletes_sync = 2")
}

// Exclude removes what an export has noted of some visitors.
func (x *Exports) Exclude(ctx context.Context, e *exportlog.Export, visitors []uuid.UUID) error {
	const most = 5000 // in a statement
	for ids := range slices.Chunk(visitors, most) {
		list := make([]string, len(ids))
		for i, id := range ids {
			list[i] = "'" + id.String() + "'"
		}
		err := x.exec(ctx, "exclude members", "DELETE FROM", x.database+".export_members", x.schema.OnCluster(),
			"WHERE export_id = '"+e.ID.String()+"' AND visitor_id IN ("+strings.Join(list, ", ")+") SETTINGS lightweight_deletes_sync = 2")
		if err != nil {
			return err
		}
	}
	return nil
}

// Noted is a visitor as noted by an export, or by the one before it.
type Noted struct {
	Visitor uuid.UUID `ch:"visitor_id"`
	// User is the customer that the visitor is, zeros for none.
	User        uuid.UUID `ch:"user_key"`
	Products    []string  `ch:"products"`
	QualifiedAt time.Time `ch:"qualified_at"`
	EndsAt      time.Time `ch:"ends_at"`
	// Now tells that the export has noted them, Before that the one before it has.
	Now    bool `ch:"now"`
	Before bool `ch:"before"`
}

// Noted gives all whom an export or its previous one has noted to each, in the order of visitors. What is given is valid
// during the call.
func (x *Exports) Noted(ctx context.Context, e *exportlog.Export, each func(*Noted) error) error {
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	rows, err := x.conn.Query(ctx, fmt.Sprintf("SELECT visitor_id, user_key, argMax(export_members.products, is_now) AS products, argMax(export_members.qualified_at, is_now) AS qualified_at, "+
		"argMax(export_members.ends_at, is_now) AS ends_at, max(export_id = '%s' AS is_now) AS now, max(export_id = '%s') AS before "+
		"FROM %s.export_members WHERE export_id IN ('%[1]s', '%[2]s') AND visitor_id != toUUID('%[4]s') GROUP BY visitor_id, user_key ORDER BY visitor_id, user_key", e.ID, e.Previous, x.database, uuid.Nil))
	if err != nil {
		return fmt.Errorf("read members: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var n Noted
		var now, before uint8
		if err := rows.Scan(&n.Visitor, &n.User, &n.Products, &n.QualifiedAt, &n.EndsAt, &now, &before); err != nil {
			return fmt.Errorf("read members: %w", err)
		}
		n.Now, n.Before = now == 1, before == 1
		if err := each(&n); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read members: %w", err)
	}
	return nil
}

// CountNoted returns how many rows Noted gives at most.
func (x *Exports) CountNoted(ctx context.Context, e *exportlog.Export) (n uint64, err error) {
	err = x.conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM %s.export_members WHERE export_id IN ('%s', '%s')", x.database, e.ID, e.Previous)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count members: %w", err)
	}
	return n, nil
}

// NotedBy are the exports that have noted somebody whom an erasure is about. It must be asked between Find and Delete.
func (e *Erasure) NotedBy(ctx context.Context) (exports []uuid.UUID, err error) {
	err = e.tables.conn.QueryRow(ctx, "SELECT groupUniqArray(export_id) FROM "+e.tables.table("export_members")+
		" WHERE ("+personal.VisitorKey+") IN (SELECT "+personal.VisitorKey+" FROM "+e.keys(personal.VisitorKey)+")").Scan(&exports)
	if err != nil {
		return nil, fmt.Errorf("look for exports of the people: %w", err)
	}
	return exports, nil
}
