// Package store asks ClickHouse what the console answers, by the views that the consumer's migrations make
// (docs/audiences.md). It only reads.
package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// Store is a database. It may be used from anywhere at once.
type Store struct {
	conn      driver.Conn
	database  string
	siteCache siteCache
}

// New returns the Store of a database.
func New(conn driver.Conn, database string) *Store { return &Store{conn: conn, database: database} }

// Close waits for what was begun beside lookups; the connection is its owner's.
func (s *Store) Close() { s.siteCache.renewals.Wait() }

// view is a call of a parameterised view; arguments are like "site = 'shop'".
func (s *Store) view(name string, arguments ...string) string {
	return s.database + "." + name + "(" + strings.Join(arguments, ", ") + ")"
}

func named(name, value string) string { return name + " = " + value }

// The rest are values as they stand in a query.

func text(value string) string { return clickhouseconn.Literal(value) }

func texts(values []string) string {
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = text(value)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

func id(visitor uuid.UUID) string { return "'" + visitor.String() + "'" }

// ids is an array of UUIDs, which hold nothing that must be escaped.
func ids(visitors []uuid.UUID) string {
	list := make([]string, len(visitors))
	for i, v := range visitors {
		list[i] = id(v)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// ofFewVisitors are settings of queries that read some rows of a few visitors: handing the work to other threads costs more than it.
var ofFewVisitors = clickhouse.Settings{"max_threads": 1, "local_filesystem_read_method": "pread"}

// ofVisitors is the condition on rows of visitors in tables whose key they lie in. The key is looked through for all of it; the rows
// that are found are first read without anything but the visitors.
func ofVisitors(site string, visitors []uuid.UUID) string {
	return "PREWHERE visitor_id IN " + ids(visitors) + " WHERE site_id = " + text(site)
}

// instant is a moment in UTC, in whole milliseconds.
func instant(at time.Time) string { return at.UTC().Format("'2006-01-02 15:04:05.000'") }

func day(date time.Time) string { return date.Format("'2006-01-02'") }

// failed says which question was not answered.
func failed(what string, err error) error {
	return fmt.Errorf("%s: %w", what, clickhouseconn.Discreet(err))
}
