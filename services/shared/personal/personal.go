// Package personal is what is stored about people, and what they have asked for: the tables that hold something of them, the
// questions about that, and the log of requests. The consumer's commands and the console ask; `consumer jobs` erases.
package personal

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Table is a table whose rows tell something about people. A test compares the list with the database.
type Table struct {
	Name string
	// IDs are the columns by which people are found, and the kind of each.
	IDs map[string]suppression.Kind
	// Key are the columns by which the rows are erased.
	Key string
}

// The keys name an event, a visitor, or a visitor's day. An event id alone names none: some clients send the same one always.
const (
	OffsetKey  = "kafka_topic, kafka_partition, kafka_offset"
	EventKey   = "site_id, visitor_id, daily_hash, event_id, occurred_at"
	VisitorKey = "site_id, visitor_id"
	DayKey     = "site_id, site_day, channel, visitor_kind, visitor_id, daily_hash"
	// AudienceKey names a visitor as VisitorKey does, for rows that are not made of events: only those of people who are
	// erased go, not those of visitors with whom they share one.
	AudienceKey = "visitor_id, site_id"
)

var (
	visitorOnly    = map[string]suppression.Kind{"visitor_id": suppression.Visitor}
	visitorAndUser = map[string]suppression.Kind{"visitor_id": suppression.Visitor, "user_key": suppression.User}
)

// Tables are all such tables; events stands first.
var Tables = []Table{
	{"events", map[string]suppression.Kind{"visitor_id": suppression.Visitor, "user_key": suppression.User, "recipient_key": suppression.Recipient}, OffsetKey},
	{"event_ids", nil, OffsetKey},
	{"conversion_hits", visitorAndUser, OffsetKey},
	{"order_entries", visitorAndUser, OffsetKey},
	{"touches", visitorAndUser, OffsetKey},
	{"identities", visitorAndUser, EventKey},
	{"visitors", visitorOnly, VisitorKey},
	{"visitor_events", visitorOnly, EventKey},
	{"visitor_days", visitorOnly, DayKey},
	{"segment_hits", visitorOnly, OffsetKey},
	{"profile_refusals", visitorOnly, VisitorKey},
	{"product_interest", visitorOnly, VisitorKey},
	{"partner_ids", visitorOnly, OffsetKey},
	{"share_consents", visitorOnly, VisitorKey},
	{"visitor_facts", visitorOnly, VisitorKey},
	{"export_members", visitorAndUser, VisitorKey},
	{"audience_states", visitorOnly, AudienceKey},
	{"audience_changes", visitorOnly, AudienceKey},
	{"audience_dues", visitorOnly, AudienceKey},
	{"unsubscribes", map[string]suppression.Kind{"recipient_key": suppression.Recipient}, OffsetKey},
	{"mail_hits", map[string]suppression.Kind{"visitor_id": suppression.Visitor, "recipient_key": suppression.Recipient}, OffsetKey},
}

// Whole are those among Tables that are not made of events by views: on a cluster every node has them whole.
var Whole = []string{"export_members", "audience_states", "audience_changes", "audience_dues", "unsubscribes"}

// OfPeople is the condition that a row holds one of the ids, which stand in a table of kinds and ids.
func (t Table) OfPeople(ids string) string {
	var found []string
	for _, column := range []string{"visitor_id", "user_key", "recipient_key"} {
		if kind, has := t.IDs[column]; has {
			found = append(found, fmt.Sprintf("%s IN (SELECT id FROM %s WHERE kind = '%s')", column, ids, kind))
		}
	}
	if len(found) == 0 {
		return "false"
	}
	return "(" + strings.Join(found, " OR ") + ")"
}

// asked is the name of the external table that holds the ids of a question.
const asked = "asked"

// Store answers what is stored about people, in all tables.
type Store struct {
	conn     driver.Conn
	database string
	// site is the only site whose rows it knows; "" for all.
	site string
}

// NewStore returns the Store of a database that the consumer's migrations have prepared.
func NewStore(conn driver.Conn, database string) *Store {
	return &Store{conn: conn, database: database}
}

// OfSite returns the Store of the rows of one site alone.
func (p *Store) OfSite(site string) *Store { return &Store{p.conn, p.database, site} }

// held is the condition that a row holds one of the ids that were sent with the question.
func (p *Store) held(t Table) string { return t.OfPeople(asked) + OnlySite(p.site) }

// OnlySite is a condition, to be added to another one, that a row is of the site; nothing without a site.
func OnlySite(site string) string {
	if site == "" {
		return ""
	}
	return " AND site_id = " + clickhouseconn.Literal(site)
}

// asking sends the ids with a query.
func asking(ctx context.Context, people jobs.People) (context.Context, error) {
	table, err := ext.NewTable(asked, ext.Column("kind", "String"), ext.Column("id", "UUID"))
	people.Each(func(kind suppression.Kind, id uuid.UUID) {
		if err == nil {
			err = table.Append(string(kind), id)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("send ids: %w", err)
	}
	return clickhouse.Context(ctx, clickhouse.WithExternalTable(table)), nil
}

// Held is the number of rows in a table.
type Held struct {
	Table string `ch:"table_name"`
	Rows  uint64 `ch:"rows"`
}

// Count returns how many rows of each table hold one of the ids, in the order of the tables.
func (p *Store) Count(ctx context.Context, people jobs.People) ([]Held, error) {
	ctx, err := asking(ctx, people)
	if err != nil {
		return nil, err
	}
	return p.CountWhere(ctx, p.held)
}

// CountWhere returns how many rows of each table meet a condition, in the order of the tables.
func (p *Store) CountWhere(ctx context.Context, condition func(Table) string) ([]Held, error) {
	var all []Held
	for _, t := range Tables {
		held := Held{Table: t.Name}
		if err := p.conn.QueryRow(ctx, "SELECT count() FROM "+p.database+"."+t.Name+" WHERE "+condition(t)).Scan(&held.Rows); err != nil {
			return nil, fmt.Errorf("count rows of %s: %w", t.Name, err)
		}
		all = append(all, held)
	}
	return all, nil
}

// Link is an id that stands in an event together with one that was asked for.
type Link struct {
	Kind suppression.Kind
	ID   uuid.UUID
	// Events is in how many events both stand.
	Events uint64
	// Users is how many user keys a visitor has in all: more than one, and several people share the device.
	Users uint64
}

// Links returns the ids that stand in events together with one that was asked for, those asked for left out.
func (p *Store) Links(ctx context.Context, people jobs.People) ([]Link, error) {
	asking, err := asking(ctx, people)
	if err != nil {
		return nil, err
	}
	rows, err := p.conn.Query(asking, "SELECT kind, id, count() AS events FROM (SELECT arrayJoin([('visitor', visitor_id), ('user', user_key), ('recipient', recipient_key)]) AS found, found.1 AS kind, found.2 AS id FROM "+p.database+".events "+
		"WHERE "+p.held(Tables[0])+") WHERE id != toUUID('00000000-0000-0000-0000-000000000000') AND (kind, id) NOT IN (SELECT kind, id FROM "+asked+") GROUP BY kind, id ORDER BY kind, id")
	if err != nil {
		return nil, fmt.Errorf("look for linked ids: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var links []Link
	var visitors jobs.People
	for rows.Next() {
		var l Link
		if err := rows.Scan((*string)(&l.Kind), &l.ID, &l.Events); err != nil {
			return nil, fmt.Errorf("look for linked ids: %w", err)
		}
		if l.Kind == suppression.Visitor {
			visitors.Visitors = append(visitors.Visitors, l.ID)
		}
		links = append(links, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for linked ids: %w", err)
	}
	users, err := p.usersOf(ctx, visitors)
	if err != nil {
		return nil, err
	}
	for i, l := range links {
		if l.Kind == suppression.Visitor {
			links[i].Users = users[l.ID]
		}
	}
	return links, nil
}

// usersOf returns how many user keys each of the visitors has.
func (p *Store) usersOf(ctx context.Context, visitors jobs.People) (map[uuid.UUID]uint64, error) {
	ctx, err := asking(ctx, visitors)
	if err != nil {
		return nil, err
	}
	rows, err := p.conn.Query(ctx, "SELECT visitor_id, uniqExactIf(user_key, user_key != toUUID('00000000-0000-0000-0000-000000000000')) FROM "+p.database+".events WHERE "+p.held(Tables[0])+" GROUP BY visitor_id")
	if err != nil {
		return nil, fmt.Errorf("count users of visitors: %w", err)
	}
	defer func() { _ = rows.Close() }()
	users := map[uuid.UUID]uint64{}
	for rows.Next() {
		var id uuid.UUID
		var n uint64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, fmt.Errorf("count users of visitors: %w", err)
		}
		users[id] = n
	}
	return users, rows.Err()
}

// Elsewhere is an id that events of other sites than the Store's hold.
type Elsewhere struct {
	Kind suppression.Kind
	ID   uuid.UUID
	// Here tells that events of the Store's site hold it too.
	Here bool
}

// Elsewhere returns those of the ids that events of other sites hold. Ids that onepx makes are of one site alone; those that
// sites give may be of many.
func (p *Store) Elsewhere(ctx context.Context, people jobs.People) ([]Elsewhere, error) {
	ctx, err := asking(ctx, people)
	if err != nil {
		return nil, err
	}
	rows, err := p.conn.Query(ctx, "SELECT kind, id, max(here) FROM (SELECT site_id = "+clickhouseconn.Literal(p.site)+" AS here, arrayJoin([('visitor', visitor_id), ('user', user_key), ('recipient', recipient_key)]) AS found, found.1 AS kind, found.2 AS id "+
		"FROM "+p.database+".events WHERE "+Tables[0].OfPeople(asked)+") WHERE (kind, id) IN (SELECT kind, id FROM "+asked+") GROUP BY kind, id HAVING min(here) = 0 ORDER BY kind, id")
	if err != nil {
		return nil, fmt.Errorf("look for ids of other sites: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Elsewhere
	for rows.Next() {
		var e Elsewhere
		var here uint8
		if err := rows.Scan((*string)(&e.Kind), &e.ID, &here); err != nil {
			return nil, fmt.Errorf("look for ids of other sites: %w", err)
		}
		e.Here = here == 1
		all = append(all, e)
	}
	return all, rows.Err()
}

// Export calls yield with every row that holds one of the ids, table by table: a JSON object of its columns.
func (p *Store) Export(ctx context.Context, people jobs.People, yield func(table, row string) error) error {
	ctx, err := asking(ctx, people)
	if err != nil {
		return err
	}
	for _, t := range Tables {
		if len(t.IDs) == 0 {
			continue
		}
		if err := p.exportTable(ctx, t, yield); err != nil {
			return fmt.Errorf("read rows of %s: %w", t.Name, err)
		}
	}
	return nil
}

func (p *Store) exportTable(ctx context.Context, t Table, yield func(table, row string) error) error {
	rows, err := p.conn.Query(ctx, "SELECT formatRowNoNewline('JSONEachRow', *) FROM (SELECT * FROM "+p.database+"."+t.Name+" WHERE "+p.held(t)+")")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			return err
		}
		if err := yield(t.Name, row); err != nil {
			return err
		}
	}
	return rows.Err()
}
