//go:build integration

package store_test

import (
	"context"
	"fmt"
	"os"
	"strings"
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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	addr := os.Getenv("ONEPX_TEST_CLICKHOUSE")
	require.NotEmpty(t, addr, "this test needs a real ClickHouse: run `make test`, or set ONEPX_TEST_CLICKHOUSE")
	user := os.Getenv("ONEPX_TEST_CLICKHOUSE_USER")
	if user == "" {
		user = "default"
	}
	conn, err := clickhouseconn.Settings{
		Addrs: []string{addr}, Database: "onepx", User: user, Password: settings.Secret(os.Getenv("ONEPX_TEST_CLICKHOUSE_PASSWORD")),
	}.Open(statement)
	require.NoError(t, err)
	name := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	d := db{t: t, conn: conn, name: name, Store: store.New(conn, name), schema: store.Schema{Database: name, Files: migrations.Files}}
	t.Cleanup(func() {
		d.exec("DROP DATABASE IF EXISTS " + name + " SYNC")
		require.NoError(t, conn.Close())
	})
	return d
}

func migrated(t *testing.T) db {
	t.Helper()
	return open(t).migrate()
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
