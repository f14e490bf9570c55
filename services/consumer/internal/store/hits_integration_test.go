//go:build integration

package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestTheTableOfARebuildIsLikeTheOneItReplaces(t *testing.T) {
	d := migrated(t)
	tables := store.NewRebuilds(d.conn, d.schema)
	r := store.NewRebuild(day, day, "", "goals", time.Now())
	r.Table = "conversion_hits_next"
	require.NoError(t, tables.CreateNext(t.Context(), r))
	for _, query := range []string{
		"SELECT groupUniqArray(engine_full) FROM system.tables WHERE database = ? AND name LIKE 'conversion_hits%' AND engine LIKE '%MergeTree'",
		"SELECT groupUniqArray(columns) FROM (SELECT toString(groupArray((name, type, compression_codec, comment))) AS columns FROM system.columns WHERE database = ? AND table IN ('conversion_hits', 'conversion_hits_next') GROUP BY table)",
		"SELECT groupUniqArray(indexes) FROM (SELECT toString(arraySort(groupArray((name, type_full, expr, granularity)))) AS indexes FROM system.data_skipping_indices WHERE database = ? AND table LIKE 'conversion_hits%' GROUP BY table)",
	} {
		var found []string
		require.NoError(t, d.conn.QueryRow(t.Context(), query, d.name).Scan(&found))
		require.Len(t, found, 1, query)
	}
	require.EqualValues(t, 2, d.number("SELECT uniqExact(table) FROM system.data_skipping_indices WHERE database = '%s' AND table LIKE 'conversion_hits%'"))
}

func TestARebuildIsReadAsItWasSaved(t *testing.T) {
	d := migrated(t)
	tables := store.NewRebuilds(d.conn, d.schema)
	none, err := tables.Unfinished(t.Context())
	require.NoError(t, err)
	require.Nil(t, none)

	r := store.NewRebuild(day, day.AddDate(0, 0, 1), "shop", "goals", day.Add(time.Hour))
	r.SetFirst(partition, 42)
	r.SetSwitch(partition, 43)
	require.NoError(t, tables.Save(t.Context(), r, store.StepPlanned))
	require.NoError(t, tables.Save(t.Context(), r, store.StepFed))
	found, err := tables.Unfinished(t.Context())
	require.NoError(t, err)
	r.SavedAt = found.SavedAt
	for _, at := range []*time.Time{&found.From, &found.To, &found.Unit, &found.StartedAt, &found.SwitchAt} {
		*at = at.UTC()
	}
	require.Equal(t, r, found)
	require.EqualValues(t, 42, found.First(partition))
	require.EqualValues(t, 43, found.Switch(partition))
	require.Zero(t, found.First(store.Partition{Topic: partition.Topic, ID: 99}), "a partition that came later")

	require.NoError(t, tables.Save(t.Context(), r, store.StepDone))
	none, err = tables.Unfinished(t.Context())
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestALockHoldsLongerThanAStatementMayTake(t *testing.T) {
	d := freshWithin(t, time.Second)
	locked, unlock, err := store.NewReplays(d.conn, d.schema).Lock(t.Context())
	require.NoError(t, err)
	defer unlock()
	within, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, d.conn.Exec(within, "SELECT sleep(2)"))
	require.NoError(t, context.Cause(locked))
}
