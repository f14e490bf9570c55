// Package storetest gives tests a database of their own on the real ClickHouse of ONEPX_TEST_CLICKHOUSE.
package storetest

import (
	"cmp"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/settings"
)

// Connect opens connections, on which a statement may take so long. The test fails when there is no ClickHouse, and closes them.
func Connect(t *testing.T, statement time.Duration) driver.Conn {
	t.Helper()
	address := os.Getenv("ONEPX_TEST_CLICKHOUSE")
	require.NotEmpty(t, address, "this test needs a real ClickHouse: run `make test`, or set ONEPX_TEST_CLICKHOUSE")
	conn, err := clickhouseconn.Settings{
		Addrs: []string{address}, User: cmp.Or(os.Getenv("ONEPX_TEST_CLICKHOUSE_USER"), "default"), Password: settings.Secret(os.Getenv("ONEPX_TEST_CLICKHOUSE_PASSWORD")),
	}.Open(statement)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// Fresh makes a database with all migrations, which goes with the test.
func Fresh(t *testing.T, statement time.Duration) (driver.Conn, store.Schema) {
	t.Helper()
	conn := Connect(t, statement)
	schema := store.Schema{Database: "test_" + strings.ReplaceAll(uuid.NewString(), "-", ""), Files: migrations.Files}
	t.Cleanup(func() {
		require.NoError(t, conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+schema.Database+" SYNC"))
	})
	require.NoError(t, schema.Migrate(t.Context(), conn, func(store.Migration) {}))
	return conn, schema
}
