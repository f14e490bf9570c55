package main

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// migrateCmd are the settings of `consumer migrate`.
type migrateCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`
	DryRun     bool           `help:"Print the statements that are pending instead of running them."`
}

// Run is `consumer migrate`.
func (c *migrateCmd) Run(ctx context.Context, k *kong.Kong) error {
	conn, err := c.ClickHouse.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	shards, err := c.ClickHouse.OpenShards(clickhouseconn.OfCommands)
	defer closeAll(shards)
	if err != nil {
		return err
	}
	for _, each := range append(shards, conn) {
		if err := clickhouseconn.WaitUntilUp(ctx, each); err != nil {
			return err
		}
	}
	if err := c.ClickHouse.CheckShards(ctx, shards); err != nil {
		return err
	}
	if c.DryRun {
		return c.print(ctx, k, conn)
	}
	servers := shards // one that is new lacks what the others have, and without Keeper there is no ON CLUSTER
	if len(servers) == 0 {
		servers = []driver.Conn{conn}
	}
	applied := 0
	for _, server := range servers {
		err := c.ClickHouse.Schema(migrations.Files).Migrate(ctx, server, func(m store.Migration) {
			applied++
			fmt.Fprintf(k.Stdout, "applied %s\n", m.Name)
		})
		if err != nil {
			return err
		}
	}
	if applied == 0 {
		fmt.Fprintln(k.Stdout, "up to date")
	}
	return nil
}

// print shows what is pending.
func (c *migrateCmd) print(ctx context.Context, k *kong.Kong, conn driver.Conn) error {
	pending, err := c.ClickHouse.Schema(migrations.Files).Pending(ctx, conn)
	if err != nil {
		return err
	}
	for _, m := range pending {
		fmt.Fprintf(k.Stdout, "-- %s\n", m.Name)
		for _, statement := range m.Statements {
			fmt.Fprintf(k.Stdout, "%s;\n", statement)
		}
	}
	return nil
}
