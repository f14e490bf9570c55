package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// Settings say how to reach ClickHouse, and what kind it is.
type Settings struct {
	clickhouseconn.Settings `embed:""`

	Cluster      string   `name:"cluster" env:"ONEPX_CLICKHOUSE_CLUSTER" help:"Cluster, as its servers call it, whose shards divide the facts (docs/cluster.md); empty = a single node."`
	Shards       []string `name:"shards" env:"ONEPX_CLICKHOUSE_SHARDS" help:"Shards of the cluster in the order of their numbers, comma separated; each is the native addresses host:port of its replicas, separated by |, of which the first that answers is used."`
	Unreplicated bool     `name:"unreplicated" env:"ONEPX_CLICKHOUSE_UNREPLICATED" help:"Each shard is a single server, without Keeper: plain tables, and what is not divided is right on the servers of ONEPX_CLICKHOUSE_ADDR only."`
}

// Validate checks bounds and what belongs together.
func (s Settings) Validate() error {
	switch {
	case s.Cluster != "" && !clickhouseconn.Identifier.MatchString(s.Cluster):
		return fmt.Errorf("ONEPX_CLICKHOUSE_CLUSTER %q: use letters, digits and underscores", s.Cluster)
	case (s.Cluster == "") != (len(s.Shards) == 0):
		return errors.New("ONEPX_CLICKHOUSE_CLUSTER and ONEPX_CLICKHOUSE_SHARDS need each other")
	case s.Cluster == "" && s.Unreplicated:
		return errors.New("ONEPX_CLICKHOUSE_UNREPLICATED needs ONEPX_CLICKHOUSE_CLUSTER")
	}
	return s.Settings.Validate()
}

// Schema is the schema of the database; files are its migrations.
func (s Settings) Schema(files fs.FS) Schema {
	return Schema{Database: s.Database, Cluster: s.Cluster, Unreplicated: s.Unreplicated, Files: files}
}

// ErrNoCluster says that something does not work with a cluster yet.
var ErrNoCluster = errors.New("does not work on a cluster yet (docs/cluster.md)")

// SingleNode returns an error when there is a cluster, for what cannot work there.
func (s Settings) SingleNode(what string) error {
	if s.Cluster != "" {
		return fmt.Errorf("%s %w", what, ErrNoCluster)
	}
	return nil
}

// OpenShards opens a pool for each shard; none on a single node. Whoever calls closes them, also after an error.
func (s Settings) OpenShards(statement time.Duration) (shards []driver.Conn, err error) {
	for _, addresses := range s.Shards {
		of := s.Settings
		of.Addrs = strings.Split(addresses, "|")
		conn, err := of.Open(statement)
		if err != nil {
			return shards, err
		}
		shards = append(shards, conn)
	}
	return shards, nil
}

// CheckShards tells whether each connection leads to the shard of its number, and none is left out. Shards that changed places
// would not find the blocks that they have.
func (s Settings) CheckShards(ctx context.Context, shards []driver.Conn) error {
	for i, conn := range shards {
		var number, count uint32
		err := conn.QueryRow(ctx, "SELECT maxIf(shard_num, is_local), max(shard_num) FROM system.clusters WHERE cluster = ?", s.Cluster).Scan(&number, &count)
		switch {
		case err != nil:
			return fmt.Errorf("ask %s for its shard: %w", s.Shards[i], err)
		case count == 0:
			return fmt.Errorf("%s has no cluster %q in remote_servers", s.Shards[i], s.Cluster)
		case int(count) != len(shards):
			return fmt.Errorf("ONEPX_CLICKHOUSE_SHARDS has %d shards, %s says that cluster %q has %d", len(shards), s.Shards[i], s.Cluster, count)
		case int(number) != i+1:
			return fmt.Errorf("ONEPX_CLICKHOUSE_SHARDS: %s stands at place %d and is shard %d of cluster %q (0 = none)", s.Shards[i], i+1, number, s.Cluster)
		}
	}
	return nil
}
