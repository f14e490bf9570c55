//go:build integration

package store_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestEveryTableHasTheDeduplicationWindow(t *testing.T) {
	d := migrated(t)
	var without []string
	require.NoError(t, d.conn.QueryRow(t.Context(),
		"SELECT groupArray(name) FROM system.tables WHERE database = ? AND engine LIKE '%MergeTree' AND create_table_query NOT LIKE '%non_replicated_deduplication_window = 100000%'",
		d.name).Scan(&without))
	require.Empty(t, without)
	require.GreaterOrEqual(t, d.number("SELECT count() FROM system.tables WHERE database = '%s' AND engine LIKE '%%MergeTree'"), int64(5))
}

func TestMigratingTwiceChangesNothing(t *testing.T) {
	d := migrated(t)
	require.NoError(t, d.schema.CheckSchema(t.Context(), d.conn))
	require.NoError(t, d.schema.Migrate(t.Context(), d.conn, func(m store.Migration) { t.Errorf("applied again: %s", m.Name) }))
}

func TestAMigrationThatWasCutOffIsFinishedByTheNextRun(t *testing.T) {
	d := migrated(t)
	d.exec("DROP TABLE " + d.name + ".traffic_daily_view SYNC")
	d.exec("ALTER TABLE " + d.name + ".schema_migrations DELETE WHERE version >= 2 SETTINGS mutations_sync = 2")
	require.ErrorIs(t, d.schema.CheckSchema(t.Context(), d.conn), store.ErrSchemaOlder)
	require.NoError(t, d.schema.Migrate(t.Context(), d.conn, func(store.Migration) {}))
	require.NoError(t, d.schema.CheckSchema(t.Context(), d.conn))
	require.EqualValues(t, 1, d.number("SELECT count() FROM system.tables WHERE database = '%s' AND name = 'traffic_daily_view'"))
}

func TestAnEmptyDatabaseMustBeMigratedFirst(t *testing.T) {
	d := open(t)
	require.ErrorIs(t, d.schema.CheckSchema(t.Context(), d.conn), store.ErrSchemaOlder)
}

func TestADatabaseThatNeedsANewerConsumerIsLeftAlone(t *testing.T) {
	d := migrated(t)
	d.exec("INSERT INTO "+d.name+".schema_migrations VALUES (99, '0099_future.sql', ?, 'x', now64())", store.Compatibility+1)
	require.ErrorIs(t, d.schema.CheckSchema(t.Context(), d.conn), store.ErrSchemaNewer)
	require.ErrorIs(t, d.schema.Migrate(t.Context(), d.conn, func(store.Migration) {}), store.ErrSchemaNewer)
}

func TestANewerDatabaseThatThisConsumerMayStillWriteToIsAccepted(t *testing.T) {
	d := migrated(t)
	d.exec("INSERT INTO "+d.name+".schema_migrations VALUES (99, '0099_future.sql', ?, 'x', now64())", store.Compatibility)
	require.NoError(t, d.schema.CheckSchema(t.Context(), d.conn))
}

func TestAChangedMigrationIsRefused(t *testing.T) {
	d := migrated(t)
	d.schema.Files = fstest.MapFS{"0001_events.sql": {Data: []byte("-- oldest consumer: 1\nSELECT 1;\n")}}
	require.ErrorIs(t, d.schema.CheckSchema(t.Context(), d.conn), store.ErrSchemaChanged)
}
