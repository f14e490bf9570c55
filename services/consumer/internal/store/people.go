package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/suppression"
)

// personalTable is a table whose rows tell something about people. A test compares the list with the database.
type personalTable struct {
	name string
	// ids are the columns by which people are found, and the kind of each.
	ids map[string]suppression.Kind
	// key are the columns by which the rows are erased.
	key string
}

// The keys name an event, a visitor, or a visitor's day. An event id alone names none: some clients send the same one always.
const (
	offsetKey  = "kafka_topic, kafka_partition, kafka_offset"
	eventKey   = "site_id, visitor_id, daily_hash, event_id, occurred_at"
	visitorKey = "site_id, visitor_id"
	dayKey     = "site_id, site_day, channel, visitor_kind, visitor_id, daily_hash"
)

var (
	visitorOnly    = map[string]suppression.Kind{"visitor_id": suppression.Visitor}
	visitorAndUser = map[string]suppression.Kind{"visitor_id": suppression.Visitor, "user_key": suppression.User}
)

// personalTables are all such tables; events stands first.
var personalTables = []personalTable{
	{"events", map[string]suppression.Kind{"visitor_id": suppression.Visitor, "user_key": suppression.User, "recipient_key": suppression.Recipient}, offsetKey},
	{"event_ids", nil, offsetKey},
	{"conversion_hits", visitorAndUser, offsetKey},
	{"order_entries", visitorAndUser, offsetKey},
	{"touches", visitorAndUser, offsetKey},
	{"identities", visitorAndUser, eventKey},
	{"visitors", visitorOnly, visitorKey},
	{"visitor_events", visitorOnly, eventKey},
	{"visitor_days", visitorOnly, dayKey},
	{"segment_hits", visitorOnly, offsetKey},
	{"profile_refusals", visitorOnly, visitorKey},
}

// ofPeople is the condition that a row holds one of the ids, which stand in a table of kinds and ids.
func (t personalTable) ofPeople(ids string) string {
	var found []string
	for _, column := range []string{"visitor_id", "user_key", "recipient_key"} {
		if kind, has := t.ids[column]; has {
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

// People answers what is stored about people, in all tables.
type People struct {
	conn     driver.Conn
	database string
}

// NewPeople returns the People of a database that Migrate has prepared.
func NewPeople(conn driver.Conn, database string) *People { return &People{conn, database} }

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
func (p *People) Count(ctx context.Context, people jobs.People) ([]Held, error) {
	ctx, err := asking(ctx, people)
	if err != nil {
		return nil, err
	}
	return p.count(ctx, func(t personalTable) string { return t.ofPeople(asked) })
}

func (p *People) count(ctx context.Context, condition func(personalTable) string) ([]Held, error) {
	var all []Held
	for _, t := range personalTables {
		held := Held{Table: t.name}
		if err := p.conn.QueryRow(ctx, "SELECT count() FROM "+p.database+"."+t.name+" WHERE "+condition(t)).Scan(&held.Rows); err != nil {
			return nil, fmt.Errorf("count rows of %s: %w", t.name, err)
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
func (p *People) Links(ctx context.Context, people jobs.People) ([]Link, error) {
	asking, err := asking(ctx, people)
	if err != nil {
		return nil, err
	}
	rows, err := p.conn.Query(asking, "SELECT kind, id, count() AS events FROM (SELECT arrayJoin([('visitor', visitor_id), ('user', user_key), ('recipient', recipient_key)]) AS found, found.1 AS kind, found.2 AS id FROM "+p.database+".events "+
		"WHERE "+personalTables[0].ofPeople(asked)+") WHERE id != toUUID('00000000-0000-0000-0000-000000000000') AND (kind, id) NOT IN (SELECT kind, id FROM "+asked+") GROUP BY kind, id ORDER BY kind, id")
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
func (p *People) usersOf(ctx context.Context, visitors jobs.People) (map[uuid.UUID]uint64, error) {
	ctx, err := asking(ctx, visitors)
	if err != nil {
		return nil, err
	}
	rows, err := p.conn.Query(ctx, "SELECT visitor_id, uniqExactIf(user_key, user_key != toUUID('00000000-0000-0000-0000-000000000000')) FROM "+p.database+".events WHERE "+personalTables[0].ofPeople(asked)+" GROUP BY visitor_id")
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

// Export calls yield with every row that holds one of the ids, table by table: a JSON object of its columns.
func (p *People) Export(ctx context.Context, people jobs.People, yield func(table, row string) error) error {
	ctx, err := asking(ctx, people)
	if err != nil {
		return err
	}
	for _, t := range personalTables {
		if len(t.ids) == 0 {
			continue
		}
		if err := p.exportTable(ctx, t, yield); err != nil {
			return fmt.Errorf("read rows of %s: %w", t.name, err)
		}
	}
	return nil
}

func (p *People) exportTable(ctx context.Context, t personalTable, yield func(table, row string) error) error {
	rows, err := p.conn.Query(ctx, "SELECT formatRowNoNewline('JSONEachRow', *) FROM (SELECT * FROM "+p.database+"."+t.name+" WHERE "+t.ofPeople(asked)+")")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			return err
		}
		if err := yield(t.name, row); err != nil {
			return err
		}
	}
	return rows.Err()
}
