package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestATableMadeLikeAnotherHasAPathOfItsOwnOnACluster(t *testing.T) {
	const keys = " PARTITION BY toYYYYMM(site_day) ORDER BY (site_id, goal) TTL expires_at SETTINGS replicated_deduplication_window = 100000"
	for name, test := range map[string]struct{ cluster, engine, want string }{
		"a single node":  {"", "MergeTree" + keys, "MergeTree" + keys},
		"a cluster":      {"main", "ReplicatedMergeTree('/clickhouse/tables/onepx/products/all', '{shard}-{replica}')" + keys, "ReplicatedMergeTree('/clickhouse/tables/{database}/{table}/all', '{shard}-{replica}')" + keys},
		"another engine": {"", "Memory", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := store.Schema{Database: "onepx", Cluster: test.cluster}.RenewEngine(test.engine)
			require.Equal(t, test.want, got)
			require.Equal(t, test.want == "", err != nil)
		})
	}
}
