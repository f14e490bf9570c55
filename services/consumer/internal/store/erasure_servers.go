package store

import (
	"context"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/onepx/onepx/services/shared/personal"
)

// servers are those that have facts: the shards, or the single node. Helper tables are on each, with the same rows. The first
// one is asked, and takes what is inserted into facts: they are read from all.
func (e *Erasure) servers() []driver.Conn {
	if len(e.tables.shards) == 0 {
		return []driver.Conn{e.tables.conn}
	}
	return e.tables.shards
}

func (e *Erasure) first() driver.Conn { return e.servers()[0] }

func (e *Erasure) exec(ctx context.Context, what string, parts ...string) error {
	return e.tables.execAt(ctx, e.first(), what, parts...)
}

// everywhere runs a statement on every server of facts.
func (e *Erasure) everywhere(ctx context.Context, what string, parts ...string) error {
	for _, server := range e.servers() {
		if err := e.tables.execAt(ctx, server, what, parts...); err != nil {
			return err
		}
	}
	return nil
}

// define makes or drops a helper table on all servers. The statement begins with the parts before ON CLUSTER.
func (e *Erasure) define(ctx context.Context, what string, before, after []string) error {
	statement := slices.Concat(before, []string{e.tables.schema.OnCluster()}, after)
	if e.tables.schema.OnCluster() != "" {
		return e.exec(ctx, what, statement...)
	}
	return e.everywhere(ctx, what, statement...)
}

// change runs a statement that changes rows of a table: of facts on every shard, of another table on one server, from which its
// copies follow.
func (e *Erasure) change(ctx context.Context, table, what string, before []string, after ...string) error {
	if slices.Contains(personal.Whole, table) {
		return e.tables.exec(ctx, what, slices.Concat(before, []string{e.tables.table(table)}, after)...)
	}
	return e.everywhere(ctx, what, slices.Concat(before, []string{e.tables.schema.Facts() + "." + table}, after)...)
}
