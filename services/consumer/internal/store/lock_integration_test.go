//go:build integration

package store_test

import (
	"os"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestALockIsHeldForLongerThanTheDriverWaitsForAnAnswer(t *testing.T) {
	d := migrated(t)
	user := os.Getenv("ONEPX_TEST_CLICKHOUSE_USER")
	if user == "" {
		user = "default"
	}
	const wait = 500 * time.Millisecond
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{os.Getenv("ONEPX_TEST_CLICKHOUSE")}, ReadTimeout: wait, MaxOpenConns: 4,
		Auth: clickhouse.Auth{Username: user, Password: os.Getenv("ONEPX_TEST_CLICKHOUSE_PASSWORD")},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	exports := store.NewExports(conn, d.schema)
	locked, unlock, err := exports.Lock(t.Context())
	require.NoError(t, err)
	select {
	case <-locked.Done():
		require.Fail(t, "the lock is lost", "%v", locked.Err())
	case <-time.After(3 * wait):
	}
	_, _, err = store.NewExports(d.conn, d.schema).Lock(t.Context())
	require.ErrorIs(t, err, store.ErrExporting)
	unlock()
	_, unlock, err = store.NewExports(d.conn, d.schema).Lock(t.Context())
	require.NoError(t, err)
	unlock()
}
