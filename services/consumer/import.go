package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/consumer/internal/imports"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// importCmd groups the commands that read CSV files.
type importCmd struct {
	Rates importRatesCmd `cmd:"" help:"Import exchange rates: a header Date,USD,JPY,… and a line for each day with units for one euro, as the European Central Bank publishes them. Example: consumer import rates eurofxref-hist.csv"`
	Costs importCostsCmd `cmd:"" help:"Import what campaigns cost: the header site,day,source,medium,campaign,currency,cost and a line for each day and campaign. Example: consumer import costs costs.csv"`
}

// importRatesCmd are the settings of `consumer import rates`.
type importRatesCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`
	File       string         `arg:"" help:"CSV file; - is standard input. Nothing is imported from a file with a mistake."`
}

// importCostsCmd are the settings of `consumer import costs`.
type importCostsCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`
	File       string         `arg:"" help:"CSV file; - is standard input. Nothing is imported from a file with a mistake."`
}

// Run is `consumer import rates`.
func (c *importRatesCmd) Run(ctx context.Context, k *kong.Kong) error {
	file, err := openImport(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	rates, err := imports.ReadRates(file, time.Now())
	if err != nil {
		return refused(c.File, err)
	}
	target, conn, err := importTarget(ctx, c.ClickHouse)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := target.InsertRates(ctx, rates); err != nil {
		return err
	}
	var imported tally
	for _, rate := range rates {
		imported.add(rate.Day, rate.Currency)
	}
	fmt.Fprintf(k.Stdout, "imported %s\n", imported.text("rates", "currencies"))
	return nil
}

// costBlock is the number of costs of one insert.
const costBlock = 50_000

// Run is `consumer import costs`. The file is read twice: all of it is checked before any of it is stored.
func (c *importCostsCmd) Run(ctx context.Context, k *kong.Kong) error {
	file, err := openImport(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	now := time.Now()
	var imported tally
	err = imports.ReadCosts(file, now, func(cost store.Cost) error {
		imported.add(cost.Day, cost.SiteID)
		return ctx.Err()
	})
	if err != nil {
		return refused(c.File, err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	target, conn, err := importTarget(ctx, c.ClickHouse)
	if err != nil {
		return err
	}
	defer conn.Close()
	block := make([]store.Cost, 0, min(imported.rows, costBlock))
	err = imports.ReadCosts(file, now, func(cost store.Cost) error {
		if block = append(block, cost); len(block) < costBlock {
			return nil
		}
		err := target.InsertCosts(ctx, block)
		block = block[:0]
		return err
	})
	if err == nil && len(block) > 0 {
		err = target.InsertCosts(ctx, block)
	}
	if err != nil {
		return fmt.Errorf("%w\nsome of the costs may be stored; the same import, repeated, completes it", err)
	}
	fmt.Fprintf(k.Stdout, "imported %s\n", imported.text("costs", "sites"))
	return nil
}

// refused says that nothing was taken from the file.
func refused(name string, err error) error {
	return fmt.Errorf("%s: nothing was imported\n%w", name, err)
}

// openImport opens a file that can be read twice. Standard input is copied to a file that goes with its last reader.
func openImport(name string) (*os.File, error) {
	if name != "-" {
		return os.Open(name)
	}
	file, err := os.CreateTemp("", "onepx-import-")
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(file, os.Stdin)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err := errors.Join(err, os.Remove(file.Name())); err != nil {
		return nil, errors.Join(fmt.Errorf("copy standard input: %w", err), file.Close())
	}
	return file, nil
}

// importTarget connects to a database that has the tables. The connection must be closed.
func importTarget(ctx context.Context, settings store.Settings) (*store.Store, driver.Conn, error) {
	conn, err := settings.Open(clickhouseconn.OfCommands)
	if err != nil {
		return nil, nil, err
	}
	target, err := storeOf(ctx, conn, settings)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return target, conn, nil
}

// tally counts what was imported, of which days and of what.
type tally struct {
	rows        int
	first, last time.Time
	of          map[string]bool
}

func (t *tally) add(day time.Time, of string) {
	if t.of == nil {
		t.of, t.first, t.last = map[string]bool{}, day, day
	}
	t.rows++
	t.of[of] = true
	if day.Before(t.first) {
		t.first = day
	}
	if day.After(t.last) {
		t.last = day
	}
}

// text is such as `120 rates (currencies: 2) of 2026-11-01 to 2026-11-24`.
func (t *tally) text(rows, of string) string {
	return fmt.Sprintf("%d %s (%s: %d) of %s to %s", t.rows, rows, of, len(t.of), t.first.Format(time.DateOnly), t.last.Format(time.DateOnly))
}
