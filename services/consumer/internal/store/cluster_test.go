package store_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/personal"
)

func statements(t *testing.T, schema store.Schema) []string {
	t.Helper()
	schema.Database, schema.Files = "px", migrations.Files
	all, err := schema.Migrations()
	require.NoError(t, err)
	var texts []string
	for _, m := range all {
		texts = append(texts, m.Statements...)
	}
	return texts
}

var madeTable = regexp.MustCompile(`^CREATE TABLE IF NOT EXISTS (\w+)\.(\w+) `)

func TestOnAClusterEveryTableIsReplicatedByShardOrWhole(t *testing.T) {
	var facts, whole []string
	for _, statement := range statements(t, store.Schema{Cluster: "main"}) {
		require.Contains(t, statement, "ON CLUSTER 'main'")
		made := madeTable.FindStringSubmatch(statement)
		if made == nil {
			continue
		}
		require.Contains(t, statement, "ENGINE = Replicated")
		require.Contains(t, statement, "replicated_deduplication_window = 100000")
		require.Contains(t, statement, "replicated_deduplication_window_seconds")
		if made[1] == "px_facts" {
			require.Contains(t, statement, "('/clickhouse/tables/{database}/{table}/{shard}', '{replica}'")
			facts = append(facts, made[2])
		} else {
			require.Contains(t, statement, "('/clickhouse/tables/{database}/{table}/all', '{shard}-{replica}'")
			whole = append(whole, made[2])
		}
	}
	for _, table := range personal.Tables {
		if slices.Contains(personal.Whole, table.Name) {
			require.Contains(t, whole, table.Name)
		} else {
			require.Contains(t, facts, table.Name)
		}
	}
}

// An ALTER makes ClickHouse name the view by its UUID in the tokens of its inserts, until the server starts anew and names it
// by its name again: a batch that is repeated over such a change is counted twice (docs/adr/0001-exactly-once.md).
func TestNoMigrationAltersAMaterialisedView(t *testing.T) {
	made := regexp.MustCompile(`^CREATE MATERIALIZED VIEW IF NOT EXISTS px\.(\w+) `)
	all := statements(t, store.Schema{})
	var views []string
	for _, statement := range all {
		if view := made.FindStringSubmatch(statement); view != nil {
			views = append(views, view[1])
		}
	}
	require.Greater(t, len(views), 10)
	for _, statement := range all {
		for _, view := range views {
			require.NotRegexp(t, `^(ALTER|RENAME|EXCHANGE|DROP)\b.*\.`+view+`\b`, statement)
		}
	}
}

func TestOnAClusterMaterialisedViewsStayOnTheirShard(t *testing.T) {
	views := 0
	for _, statement := range statements(t, store.Schema{Cluster: "main", Unreplicated: true}) {
		if strings.HasPrefix(statement, "CREATE MATERIALIZED VIEW") {
			views++
			require.NotContains(t, statement, "px.", "it reads or writes what is not on its shard alone")
		}
	}
	require.Greater(t, views, 10)
}

func TestOnAClusterWhatIsReadIsDistributed(t *testing.T) {
	all := statements(t, store.Schema{Cluster: "main", Unreplicated: true})
	for i, statement := range all {
		require.NotContains(t, statement, "ON CLUSTER")
		require.NotContains(t, statement, "ENGINE = Replicated")
		if made := madeTable.FindStringSubmatch(statement); made != nil && made[1] == "px_facts" {
			require.Equal(t, "CREATE OR REPLACE TABLE px."+made[2]+"  AS px_facts."+made[2]+" ENGINE = Distributed('main', 'px_facts', '"+made[2]+"')", all[i+1])
		}
		if strings.HasPrefix(statement, "CREATE VIEW") {
			require.NotContains(t, statement, "px_facts.", "a question reads one shard only")
			require.Contains(t, statement, "distributed_product_mode = 'global'")
		}
	}
}

func TestOnASingleNodeThereIsOneDatabase(t *testing.T) {
	for _, statement := range statements(t, store.Schema{}) {
		require.NotContains(t, statement, "px_facts")
		require.NotContains(t, statement, "Distributed")
		require.NotContains(t, statement, "distributed_product_mode")
	}
}

func TestSettingsOfAClusterBelongTogether(t *testing.T) {
	of := clickhouseconn.Settings{Database: "px"}
	for name, test := range map[string]struct {
		settings store.Settings
		want     string
	}{
		"a cluster without shards":           {store.Settings{Settings: of, Cluster: "main"}, "ONEPX_CLICKHOUSE_SHARDS"},
		"shards without a cluster":           {store.Settings{Settings: of, Shards: []string{"a:9000"}}, "ONEPX_CLICKHOUSE_CLUSTER"},
		"a name that would need quotes":      {store.Settings{Settings: of, Cluster: "a-b", Shards: []string{"a:9000"}}, "letters, digits"},
		"without Keeper, yet no cluster":     {store.Settings{Settings: of, Unreplicated: true}, "ONEPX_CLICKHOUSE_UNREPLICATED"},
		"a single node":                      {store.Settings{Settings: of}, ""},
		"two shards, one with two replicas":  {store.Settings{Settings: of, Cluster: "main", Shards: []string{"a:9000|b:9000", "c:9000"}}, ""},
		"two shards of one node, no replica": {store.Settings{Settings: of, Cluster: "main", Shards: []string{"a:9000", "c:9000"}, Unreplicated: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.settings.Validate()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}
