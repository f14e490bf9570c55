//go:build integration

package cluster_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reports are questions of every kind: sums, joins, lookups of visitors whose events lie on both shards. CompareFacts has asked
// others.
var reports = []string{
	"campaign_revenue(site = 'shop', from = $from, to = $to)",
	"conversion_rate(site = 'shop', from = $from, to = $to)",
	"new_vs_returning(site = 'shop', from = $from, to = $to)",
	"traffic(site = 'shop', from = $from, to = $to)",
	"ivt_daily(site = 'shop', from = $from, to = $to)",
	"consent_daily(site = 'shop', from = $from, to = $to)",
	"audience_sizes(site = 'shop', segment = 'cart', from = $from, to = $to)",
	"tailored(site = 'shop', segment = 'cart')",
	"ledger_gaps(from = $from, to = $to)",
}

func TestTwoShardsCountEverythingOnceAndAnswerAsOneNode(t *testing.T) {
	w := open(t)
	first := w.consumer("first")
	w.send(1, func() {
		w.await(300)
		second := w.consumer("second")
		w.await(600)
		require.NoError(t, first.Kill())
		w.await(1200) // the second has taken all partitions over
		require.NoError(t, second.Kill())
	})
	third := w.consumer("third")
	t.Cleanup(func() { require.NoError(t, third.Stop()) })
	balance := w.settled()
	t.Logf("accepted=%d rows=%d lost=%d double=%d", balance.Accepted, balance.Rows, balance.Lost, balance.Double)
	facts, err := w.ledger.CompareFacts(t.Context(), w.clickHouse, "shop", shop)
	require.NoError(t, err)
	require.NoError(t, facts.Err())

	t.Run("each partition lies on one shard, and each shard has some", func(t *testing.T) {
		places := w.answer("onepx", "SELECT concat(toString(kafka_partition), ' on ', toString(_shard_num)) AS place FROM %s.events GROUP BY place ORDER BY place")
		require.Equal(t, []string{`{"place":"0 on 1"}`, `{"place":"1 on 2"}`, `{"place":"2 on 1"}`, `{"place":"3 on 2"}`}, places)
	})
	t.Run("the answers are those of one node with the same rows", w.answersOfOneNode)
	t.Run("an erased visitor is on no shard, and every offset still has one row", w.erasure)
	t.Run("shards in another order are refused", func(t *testing.T) {
		w.pipeline.Env = w.settings(w.shards[1].NativeAddr(), w.shards[0].NativeAddr())
		defer func() { w.pipeline.Env = w.settings(w.shards[0].NativeAddr(), w.shards[1].NativeAddr()) }()
		out, err := w.pipeline.Consumer(t.Context(), "migrate")
		require.Error(t, err)
		require.Contains(t, out, `stands at place 1 and is shard 2 of cluster "onepx"`)
	})
	t.Run("ClickHouse can read the statements of a replicated cluster", w.replicatedStatements)
}

func (w *world) answersOfOneNode(t *testing.T) {
	cluster := w.pipeline.Env
	defer func() { w.pipeline.Env = cluster }()
	w.pipeline.Env = []string{"ONEPX_CLICKHOUSE_DATABASE=alone"}
	out, err := w.pipeline.Consumer(t.Context(), "migrate")
	require.NoError(t, err, out)
	require.NoError(t, w.clickHouse.Query(t.Context(), "INSERT INTO alone.events SELECT * REPLACE (now64(3, 'UTC') + toIntervalDay(1) AS insert_until) FROM onepx.events", nil))
	require.NoError(t, w.clickHouse.Query(t.Context(), "INSERT INTO alone.segments SELECT * FROM onepx.segments", nil))
	days := strings.NewReplacer("$from", "toString(today() - 40)", "$to", "toString(today() + 1)")
	for _, report := range reports {
		query := "SELECT * FROM %s." + days.Replace(report) + " ORDER BY ALL"
		alone, shards := w.answer("alone", query), w.answer("onepx", query)
		require.Equal(t, alone, shards, report)
		if !strings.HasPrefix(report, "ledger_gaps") && !strings.HasPrefix(report, "tailored") {
			require.NotEmpty(t, alone, report)
		}
	}
}

// erasure erases a visitor whose events lie on both shards.
func (w *world) erasure(t *testing.T) {
	jobs, err := w.pipeline.StartJobs(t.Context(), "jobs")
	require.NoError(t, err)
	defer func() { require.NoError(t, jobs.Stop()) }()
	var visitor struct{ ID string }
	require.NoError(t, w.clickHouse.One(t.Context(), "SELECT toString(visitor_id) AS ID FROM onepx.events WHERE outcome = 'event' AND NOT is_bot AND visitor_kind = 'cookie' "+
		"GROUP BY visitor_id HAVING uniqExact(_shard_num) = 2 ORDER BY visitor_id LIMIT 1", &visitor))
	before := w.answer("onepx", "SELECT kafka_partition, count() AS rows, uniqExact(kafka_offset) AS offsets FROM %s.events GROUP BY ALL ORDER BY ALL")
	out, err := w.pipeline.Consumer(t.Context(), "privacy", "erase", "--visitor", visitor.ID, "--asked-by", "test", "--yes")
	require.NoError(t, err, out)
	require.Empty(t, w.answer("onepx", "SELECT * FROM %s.held_rows(id = '"+visitor.ID+"') WHERE rows > 0"))
	require.Equal(t, before, w.answer("onepx", "SELECT kafka_partition, count() AS rows, uniqExact(kafka_offset) AS offsets FROM %s.events GROUP BY ALL ORDER BY ALL"))
	var sums struct{ Events, Traffic, Days int64 }
	require.NoError(t, w.clickHouse.One(t.Context(), "SELECT (SELECT countIf(NOT is_bot) FROM onepx.events WHERE outcome = 'event') AS Events, "+
		"(SELECT sum(events) FROM onepx.traffic_daily) AS Traffic, (SELECT sum(events) FROM onepx.visitor_days) AS Days", &sums))
	require.Equal(t, sums.Events, sums.Traffic)
	require.Equal(t, sums.Events, sums.Days)
}

// replicatedStatements lets the server parse what is run where there is a Keeper, and make the tables of it.
func (w *world) replicatedStatements(t *testing.T) {
	cluster := w.pipeline.Env
	defer func() { w.pipeline.Env = cluster }()
	w.pipeline.Env = append(w.settings(w.shards[0].NativeAddr(), w.shards[1].NativeAddr()), "ONEPX_CLICKHOUSE_DATABASE=replicated", "ONEPX_CLICKHOUSE_UNREPLICATED=false")
	out, err := w.pipeline.Consumer(t.Context(), "migrate", "--dry-run")
	require.NoError(t, err, out)
	statements := strings.Split(strings.TrimSpace(out), ";\n")
	require.Greater(t, len(statements), 150)
	for _, statement := range statements {
		require.Contains(t, statement, "ON CLUSTER 'onepx'")
		err := w.clickHouse.Query(t.Context(), "EXPLAIN AST "+stripped(statement), func(json.RawMessage) error { return nil })
		require.NoError(t, err, statement)
	}
	for _, database := range []string{"replicated", "replicated_facts"} {
		require.NoError(t, w.clickHouse.Query(t.Context(), "CREATE DATABASE "+database, nil))
	}
	for _, statement := range statements {
		// ON CLUSTER needs a Keeper, and so does ALTER of what was made here, which views may need.
		if create := stripped(statement); strings.HasPrefix(create, "CREATE TABLE ") {
			require.NoError(t, w.clickHouse.Query(t.Context(), strings.Replace(create, " ON CLUSTER 'onepx'", "", 1), nil), statement)
		}
	}
	tables := w.answer("replicated", "SELECT count() > 40 AS many, min(startsWith(engine, 'Replicated')) AS all FROM system.tables WHERE startsWith(database, '%s') AND engine LIKE '%MergeTree'")
	require.Equal(t, []string{`{"many":1,"all":1}`}, tables)
}

// stripped is a statement without the line that names its migration.
func stripped(statement string) string {
	for strings.HasPrefix(statement, "--") {
		_, statement, _ = strings.Cut(statement, "\n")
	}
	return strings.TrimSuffix(statement, ";")
}
