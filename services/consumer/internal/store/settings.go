package store

import (
	"fmt"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// Settings say how to reach ClickHouse, and what kind it is.
type Settings struct {
	clickhouseconn.Settings `embed:""`

	Cluster string `name:"cluster" env:"ONEPX_CLICKHOUSE_CLUSTER" help:"Cluster for replicated tables; empty = a single node."`
}

// Validate checks bounds and what belongs together.
func (s Settings) Validate() error {
	if s.Cluster != "" && !clickhouseconn.Identifier.MatchString(s.Cluster) {
		return fmt.Errorf("ONEPX_CLICKHOUSE_CLUSTER %q: use letters, digits and underscores", s.Cluster)
	}
	return s.Settings.Validate()
}
