package main

import (
	"context"
	"fmt"

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
	if err := clickhouseconn.WaitUntilUp(ctx, conn); err != nil {
		return err
	}
	schema := store.Schema{Database: c.ClickHouse.Database, Cluster: c.ClickHouse.Cluster, Files: migrations.Files}
	if c.DryRun {
		pending, err := schema.Pending(ctx, conn)
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
	applied := 0
	err = schema.Migrate(ctx, conn, func(m store.Migration) {
		applied++
		fmt.Fprintf(k.Stdout, "applied %s\n", m.Name)
	})
	if err == nil && applied == 0 {
		fmt.Fprintln(k.Stdout, "up to date")
	}
	return err
}
