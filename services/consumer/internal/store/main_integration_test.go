//go:build integration

package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

// tests drop their databases at the end.
type tests struct{ *testing.M }

// Run runs them and returns the exit code.
func (m tests) Run() int {
	code := m.M.Run()
	if err := dropEmptied(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// db is a fresh database on the real ClickHouse of ONEPX_TEST_CLICKHOUSE. ClickHouse plans a query on one core, so tests with
// databases of their own run at the same time.
type db struct {
	*store.Store
	t      *testing.T
	conn   driver.Conn
	name   string
	schema store.Schema
}

func open(t *testing.T) db {
	t.Helper()
	t.Parallel()
	return fresh(t)
}

// fresh is one more database in a test that has one.
func fresh(t *testing.T) db {
	t.Helper()
	return freshWithin(t, clickhouseconn.OfConsumers)
}

// freshWithin is a fresh one whose statements may take so long.
func freshWithin(t *testing.T, statement time.Duration) db {
	t.Helper()
	d := database(t, newName(), statement)
	t.Cleanup(func() { d.exec("DROP DATABASE IF EXISTS " + d.name + " SYNC") })
	return d
}

func newName() string { return "test_" + strings.ReplaceAll(uuid.NewString(), "-", "") }

// database is a database of that name, which need not exist.
func database(t *testing.T, name string, statement time.Duration) db {
	t.Helper()
	require.NotEmpty(t, os.Getenv("ONEPX_TEST_CLICKHOUSE"), "this test needs a real ClickHouse: run `make test`, or set ONEPX_TEST_CLICKHOUSE")
	conn, err := connect(statement)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	schema := store.Schema{Database: name, Files: migrations.Files}
	return db{t: t, conn: conn, name: name, Store: store.New(conn, schema), schema: schema}
}

func connect(statement time.Duration) (driver.Conn, error) {
	return clickhouseconn.Settings{
		Addrs: []string{os.Getenv("ONEPX_TEST_CLICKHOUSE")}, Database: "onepx", User: cmp.Or(os.Getenv("ONEPX_TEST_CLICKHOUSE_USER"), "default"),
		Password: settings.Secret(os.Getenv("ONEPX_TEST_CLICKHOUSE_PASSWORD")),
	}.Open(statement)
}

// emptied are the names of databases that tests are done with. Making one takes longer than most of the tests.
var emptied struct {
	sync.Mutex
	names []string
}

// withoutEvents is a database in which hits of segments may be inserted without the events that they are of.
func withoutEvents(t *testing.T) db {
	t.Helper()
	d := migrated(t)
	d.exec("CREATE MATERIALIZED VIEW " + d.name + ".hits_without_events TO " + d.name + ".visitor_facts AS " + d.schema.HitFacts("true"))
	return d
}

// migrated is a database with all migrations and no rows, and no other test's: a new one, or one that has been emptied.
func migrated(t *testing.T) db {
	t.Helper()
	t.Parallel()
	name := takeEmptied()
	d := database(t, cmp.Or(name, newName()), clickhouseconn.OfConsumers)
	if name == "" {
		d.migrate()
	}
	before, err := d.tables()
	require.NoError(t, err)
	t.Cleanup(func() {
		after, err := d.tables()
		if err != nil || after != before || t.Failed() {
			d.exec("DROP DATABASE IF EXISTS " + d.name + " SYNC")
			return
		}
		d.exec("TRUNCATE TABLES FROM " + d.name + " NOT LIKE 'schema_migrations'")
		emptied.Lock()
		defer emptied.Unlock()
		emptied.names = append(emptied.names, d.name)
	})
	return d
}

func takeEmptied() string {
	emptied.Lock()
	defer emptied.Unlock()
	if len(emptied.names) == 0 {
		return ""
	}
	name := emptied.names[0]
	emptied.names = emptied.names[1:]
	return name
}

func dropEmptied() error {
	if len(emptied.names) == 0 {
		return nil
	}
	conn, err := connect(clickhouseconn.OfConsumers)
	if err != nil {
		return err
	}
	for _, name := range emptied.names {
		err = errors.Join(err, conn.Exec(context.Background(), "DROP DATABASE "+name+" SYNC"))
	}
	return errors.Join(err, conn.Close())
}

// tables tells apart databases whose tables, applied migrations or numbers of mutations differ: after a mutation a table may
// know blocks that were inserted, and refuse them, without having their rows.
func (d db) tables() (sum uint64, err error) {
	err = d.conn.QueryRow(context.Background(), strings.ReplaceAll(`SELECT bitXor(bitXor(
		(SELECT groupBitXor(cityHash64(name, create_table_query)) FROM system.tables WHERE database = '%s'),
		(SELECT groupBitXor(cityHash64(version, name, oldest_consumer, checksum)) FROM %s.schema_migrations FINAL)),
		(SELECT cityHash64(count()) FROM system.mutations WHERE database = '%s'))`, "%s", d.name)).Scan(&sum)
	return sum, err
}

func (d db) migrate() db {
	d.t.Helper()
	require.NoError(d.t, d.schema.Migrate(d.t.Context(), d.conn, func(store.Migration) {}))
	return d
}

// of is the database in a subtest.
func (d db) of(t *testing.T) db {
	d.t = t
	return d
}

func (d db) exec(query string, args ...any) {
	d.t.Helper()
	require.NoError(d.t, d.conn.Exec(context.Background(), query, args...))
}

// number runs a query that returns one integer; `%s` in it stands for the database.
func (d db) number(query string) int64 {
	d.t.Helper()
	var n int64
	require.NoError(d.t, d.conn.QueryRow(context.Background(), "SELECT toInt64(("+strings.ReplaceAll(query, "%s", d.name)+"))").Scan(&n))
	return n
}

// Insert inserts the rows through one Row that is filled anew, as the consumer does.
func (d db) Insert(ctx context.Context, token string, rows []store.Row) error {
	return d.Store.Insert(ctx, token, func(yield func(*store.Row) bool) {
		var row store.Row
		for _, row = range rows {
			if !yield(&row) {
				return
			}
		}
	})
}

// within is the context of an insert: it has a deadline, as every insert does.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

var (
	partition = store.Partition{Topic: "onepx.events", ID: 3}
	day       = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
)

// batch is n rows of events from the given offset on: page views of one site.
func batch(first int64, n int) []store.Row {
	rows := make([]store.Row, n)
	for i := range rows {
		offset := first + int64(i)
		at := day.Add(10*time.Hour + time.Duration(i)*time.Millisecond)
		rows[i] = store.Row{
			KafkaTopic: partition.Topic, KafkaPartition: int32(partition.ID), KafkaOffset: offset,
			RecordTime: at, RecordHash: uint64(offset) + 1, BatchFirst: first, BatchLast: first + int64(n) - 1, BatchDay: day, DeclaredAt: at,
			Rules: "r", Outcome: store.OutcomeEvent, SiteID: "shop", EventID: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, offset)), Kind: "page_view", Name: "page_view",
			ReceivedAt: at, OccurredAt: at, SiteDay: day, VisitorKind: "cookie", VisitorID: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, offset%7)),
			Channel: "Direct", RetentionDays: 395,
		}
	}
	return rows
}

func rangeOf(rows []store.Row) store.Range {
	return store.Range{Partition: partition, First: rows[0].KafkaOffset, Last: rows[len(rows)-1].KafkaOffset}
}
