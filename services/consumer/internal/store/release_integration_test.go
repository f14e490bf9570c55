//go:build integration

package store_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

var release = flag.String("release", "", "write the schema of a new release under its number, such as v2, and what it inserts; those of old ones are never written again")

// column is one of a table, as system.columns has it.
type column struct {
	Table string `ch:"table"`
	Name  string `ch:"name"`
	Type  string `ch:"type"`
}

// insert is a row of events as the consumer of a release inserts it.
type insert struct {
	// Columns are those that its statement names.
	Columns []string `json:"columns"`
	// Row is in JSONEachRow.
	Row json.RawMessage `json:"row"`
}

// TestTheReleaseBeforeMayWriteAndSoMayThisOneWhenTheNextHasMigrated: consumers of two releases work side by side while one takes the
// place of the other, and the schema is the newer one's from before that on, also after a rollback. testdata/vN.schema.tsv is the
// schema of release N, vN.insert.json what it inserts. Its tables must be there with its columns, and its row must count. What is
// added to them later, and named by no statement of this release, must not hinder it.
func TestTheReleaseBeforeMayWriteAndSoMayThisOneWhenTheNextHasMigrated(t *testing.T) {
	d := migrated(t)
	if *release != "" {
		d.writeRelease("testdata/" + *release)
	}
	schemas, err := filepath.Glob("testdata/v*.schema.tsv")
	require.NoError(t, err)
	require.NotEmpty(t, schemas)
	for i, schema := range schemas {
		columns := readSchema(t, schema)
		d.has(schema, columns)
		d.insertReleased(strings.TrimSuffix(schema, ".schema.tsv")+".insert.json", columns, 1000+i)
	}
	d.addColumns()
	d.insertReleased(strings.TrimSuffix(schemas[0], ".schema.tsv")+".insert.json", readSchema(t, schemas[0]), 2000)
	d.writeAll()
	const ours = 10
	require.EqualValues(t, len(schemas)+1+ours, d.number("SELECT sum(events) FROM %s.traffic_daily"))
	require.EqualValues(t, len(schemas)+1+ours, d.number("SELECT sum(events) FROM %s.visitor_days"))
}

func (d db) columns() (all []column) {
	d.t.Helper()
	require.NoError(d.t, d.conn.Select(d.t.Context(), &all, "SELECT table, name, type FROM system.columns WHERE database = ? AND table IN (SELECT name FROM system.tables "+
		"WHERE database = ? AND engine LIKE '%MergeTree') ORDER BY table, position", d.name, d.name))
	return all
}

func readSchema(t *testing.T, path string) (columns []column) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, fields, 3)
		columns = append(columns, column{fields[0], fields[1], fields[2]})
	}
	return columns
}

// has checks that all columns of a release are there. A type that takes all values of the former one may take its place in the file.
func (d db) has(schema string, columns []column) {
	d.t.Helper()
	types := map[[2]string]string{}
	for _, c := range d.columns() {
		types[[2]string{c.Table, c.Name}] = c.Type
	}
	for _, c := range columns {
		require.Equal(d.t, c.Type, types[[2]string{c.Table, c.Name}], "%s: %s.%s: a release may still write it", schema, c.Table, c.Name)
	}
}

// insertReleased inserts a release's row as its consumer would, at an offset.
func (d db) insertReleased(path string, columns []column, offset int) {
	d.t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(d.t, err)
	var of insert
	require.NoError(d.t, json.Unmarshal(content, &of))
	var structure []string
	for _, c := range columns {
		if c.Table == "events" {
			structure = append(structure, "`"+c.Name+"` "+c.Type)
		}
	}
	names := "`" + strings.Join(of.Columns, "`, `") + "`"
	d.exec("INSERT INTO " + d.name + ".events (" + names + ") SELECT " + names + " FROM (SELECT * REPLACE (toInt64(" + strconv.Itoa(offset) + ") AS kafka_offset) FROM format('JSONEachRow', " +
		clickhouseconn.Literal(strings.Join(structure, ", ")) + ", " + clickhouseconn.Literal(string(of.Row)) + "))")
}

// addColumns gives each table a column that this release does not know, before all others.
func (d db) addColumns() {
	d.t.Helper()
	done := map[string]bool{}
	for _, c := range d.columns() {
		if !done[c.Table] {
			d.exec("ALTER TABLE " + d.name + "." + c.Table + " ADD COLUMN of_next_release UInt8 DEFAULT 1 FIRST")
		}
		done[c.Table] = true
	}
}

// writeAll writes what consumer and jobs of this release write into tables that they know the columns of.
func (d db) writeAll() {
	t, ctx := d.t, d.t.Context()
	t.Helper()
	rows := batch(0, 10)
	require.NoError(t, d.Insert(within(t), "token", rows))
	require.NoError(t, d.CompleteViews(within(t), rangeOf(rows), "token"))
	require.NoError(t, d.SaveRules(ctx, "hash", "text"))
	require.NoError(t, d.ListForRebuild(ctx, rangeOf(rows), "a test"))
	require.NoError(t, d.FillEventIDs(ctx, rangeOf(rows)))
	require.NoError(t, d.SaveSegments(ctx, []store.Segment{{SiteID: "shop", Segment: "cart", State: store.SegmentActive, SavedAt: day}}))
	require.NoError(t, d.InsertRates(ctx, []store.Rate{{Day: day, Currency: "USD", Rate: decimal.New(11, -1)}}))
	require.NoError(t, d.InsertCosts(ctx, []store.Cost{{SiteID: "shop", Day: day, Source: "news", Currency: "EUR", CostMicros: 1}}))
	require.NoError(t, d.Rollup(ctx, "shop", day, day, time.Now()))
	for table, want := range map[string]int64{"events": 12, "rules": 1, "view_rebuilds": 1, "segments": 1, "currency_rates": 1, "ad_costs": 1, "rollups": 1, "rolled_traffic": 1} {
		require.GreaterOrEqual(t, d.number("SELECT count() FROM %s."+table), want, table)
	}
}

// writeRelease writes the schema, and a row that this release has inserted with every column filled.
func (d db) writeRelease(prefix string) {
	t := d.t
	t.Helper()
	require.NoFileExists(t, prefix+".schema.tsv")
	var lines, tuple []string
	for _, c := range d.columns() {
		if c.Table != "schema_migrations" { // only `consumer migrate` writes it
			lines = append(lines, c.Table+"\t"+c.Name+"\t"+c.Type+"\n")
		}
		if c.Table == "events" {
			tuple = append(tuple, "`"+c.Name+"` "+c.Type)
		}
	}
	require.NoError(t, os.WriteFile(prefix+".schema.tsv", []byte(strings.Join(lines, "")), 0o600))

	row := batch(0, 1)[0]
	fillAll(&row, 1)
	plain := batch(0, 1)[0]
	row.Outcome, row.SiteID, row.EventID, row.Kind, row.Name, row.IsBot = plain.Outcome, plain.SiteID, uuid.UUID{1}, plain.Kind, plain.Name, false
	row.RecordTime, row.BatchDay, row.DeclaredAt, row.ReceivedAt, row.OccurredAt, row.SiteDay = plain.RecordTime, day, plain.DeclaredAt, plain.ReceivedAt, plain.OccurredAt, day
	row.VisitorID, row.VisitorKind, row.RetentionDays = plain.VisitorID, plain.VisitorKind, plain.RetentionDays
	require.NoError(t, d.Insert(within(t), "release", []store.Row{row}))
	var columns []string
	for i := range reflect.TypeFor[store.Row]().NumField() {
		columns = append(columns, reflect.TypeFor[store.Row]().Field(i).Tag.Get("ch"))
	}
	var text string
	require.NoError(t, d.conn.QueryRow(t.Context(), "SELECT toJSONString(CAST(tuple(* REPLACE (toDateTime64('2100-01-01 00:00:00', 3, 'UTC') AS insert_until)), "+
		clickhouseconn.Literal("Tuple("+strings.Join(tuple, ", ")+")")+")) FROM "+d.name+".events").Scan(&text))
	content, err := json.MarshalIndent(insert{Columns: columns, Row: json.RawMessage(text)}, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(prefix+".insert.json", append(content, '\n'), 0o600))
	d.exec("TRUNCATE TABLES FROM " + d.name + " NOT LIKE 'schema_migrations'")
}
