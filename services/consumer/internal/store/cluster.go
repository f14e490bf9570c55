package store

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// On a cluster facts, which are events and all that its materialised views make of it, are divided among shards: each has them
// in a database of its own, Facts, where an insert feeds table and views of one server. In Database the same names are Distributed
// tables over all shards, so that questions are the same text on one node and on many; docs/cluster.md shows the whole.
// All other tables are small, and whole on every node.

// Facts is a template function: the database in which facts lie, and in which they are written.
func (s Schema) Facts() string {
	if s.Cluster == "" {
		return s.Database
	}
	return s.Database + "_facts"
}

// OnCluster is a template function: the ON CLUSTER clause, or nothing.
func (s Schema) OnCluster() string {
	if s.Cluster == "" || s.Unreplicated {
		return ""
	}
	return "ON CLUSTER '" + s.Cluster + "'"
}

// Engine is a template function: the engine of a table that every node has whole, by name with its arguments.
func (s Schema) Engine(name string, arguments ...string) string {
	return s.engine(name, "'/clickhouse/tables/{database}/{table}/all'", "'{shard}-{replica}'", arguments)
}

// FactsEngine is a template function: the engine of a table of facts, by name with its arguments.
func (s Schema) FactsEngine(name string, arguments ...string) string {
	return s.engine(name, "'/clickhouse/tables/{database}/{table}/{shard}'", "'{replica}'", arguments)
}

// engine is the engine with its path and name in Keeper, if it has one.
func (s Schema) engine(name, path, replica string, arguments []string) string {
	if s.replicated() {
		name, arguments = "Replicated"+name, append([]string{path, replica}, arguments...)
	}
	if len(arguments) == 0 {
		return name
	}
	return name + "(" + strings.Join(arguments, ", ") + ")"
}

func (s Schema) replicated() bool { return s.Cluster != "" && !s.Unreplicated }

// windowBlocks covers more than six hours at four inserts a second on one table: the time within which a declared batch
// is inserted again under its token.
const windowBlocks = 100000

// Window is a template function: the settings of the deduplication window, which every table needs.
func (s Schema) Window() string {
	if !s.replicated() {
		return fmt.Sprintf("non_replicated_deduplication_window = %d", windowBlocks)
	}
	return fmt.Sprintf("replicated_deduplication_window = %d, replicated_deduplication_window_seconds = %d", windowBlocks, 7*24*3600)
}

// changesTable are statements that make a table or change its columns, createsView those that make a question's view.
var (
	changesTable = regexp.MustCompile(`^(?:CREATE TABLE IF NOT EXISTS|ALTER TABLE) (\w+)\.(\w+)\s`)
	createsView  = regexp.MustCompile(`^CREATE VIEW `)
)

// global are clickhouseconn.OnShards for a view, whoever asks it.
func global() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(clickhouseconn.OnShards)) {
		all = append(all, fmt.Sprintf("%s = '%v'", name, clickhouseconn.OnShards[name]))
	}
	return "SETTINGS " + strings.Join(all, ", ")
}

// onShards adds to a statement what a cluster needs: to one that makes or changes a table of facts, the table by which it is
// read from all shards, and to a view how it reads them.
func (s Schema) onShards(statement string) []string {
	if s.Cluster == "" {
		return []string{statement}
	}
	if createsView.MatchString(statement) {
		return []string{statement + "\n" + global()}
	}
	table := changesTable.FindStringSubmatch(statement)
	if table == nil || table[1] != s.Facts() || strings.HasSuffix(table[2], "_view") {
		return []string{statement}
	}
	return []string{statement, fmt.Sprintf("CREATE OR REPLACE TABLE %s.%s %s AS %s.%s ENGINE = Distributed('%s', '%s', '%s')",
		s.Database, table[2], s.OnCluster(), s.Facts(), table[2], s.Cluster, s.Facts(), table[2])}
}
