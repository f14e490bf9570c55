package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/kafkaconn"
)

// exportCmd groups the commands about exports.
type exportCmd struct {
	Ask  exportAskCmd  `cmd:"" default:"withargs" help:"Write an audience to files; needs a running consumer jobs. Example: consumer export --site shop --segment cart_abandoners --format meta --contacts customers --asked-by 'ticket 17'"`
	List exportListCmd `cmd:"" help:"Show the latest exports and how far they have come. Example: consumer export list --site shop"`
}

// exportAskCmd are the settings of `consumer export`.
type exportAskCmd struct {
	Kafka      kafkaconn.Settings `embed:"" prefix:"kafka-"`
	ClickHouse store.Settings     `embed:"" prefix:"clickhouse-"`

	Site     string      `required:"" placeholder:"ID" help:"The site."`
	Segment  string      `required:"" placeholder:"ID" help:"The segment whose members are wanted."`
	Format   jobs.Format `required:"" placeholder:"NAME" help:"csv, ndjson or parquet for the site itself; google_customer_match, meta, tiktok or the_trade_desk for the platform of that name."`
	Contacts string      `placeholder:"NAME" help:"Name of the site's file of customers, without .csv; for platforms only."`
	AskedBy  string      `required:"" placeholder:"TEXT" help:"Who answers for the export, such as a ticket: it is logged for ever."`
}

// Validate checks bounds.
func (c *exportAskCmd) Validate() error {
	return errors.Join(c.Kafka.Validate(), c.ClickHouse.Validate())
}

// Run is `consumer export`: it writes the job and follows it to its end. When it is stopped the job goes on.
func (c *exportAskCmd) Run(ctx context.Context, k *kong.Kong) error {
	job := jobs.Job{
		ID: uuid.New(), Kind: jobs.Export, Site: c.Site, AskedBy: c.AskedBy, AskedAt: time.Now().UTC().Truncate(time.Millisecond),
		List: &jobs.List{Segment: c.Segment, Format: c.Format, Contacts: c.Contacts},
	}
	message, err := job.Message()
	if err != nil {
		return err
	}
	return withExports(ctx, c.ClickHouse, func(log *exportlog.Log) error {
		if err := writeJob(ctx, c.Kafka, message); err != nil {
			return err
		}
		fmt.Fprintf(k.Stdout, "export %s\n", job.ID)
		return followExport(ctx, k.Stdout, log, job.ID)
	})
}

// withExports opens the database of a command and calls do.
func withExports(ctx context.Context, settings store.Settings, do func(*exportlog.Log) error) error {
	conn, err := settings.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := storeOf(ctx, conn, settings); err != nil {
		return err
	}
	return do(exportlog.NewLog(conn, settings.Database))
}

// followExport prints the steps of an export until it is over.
func followExport(ctx context.Context, out io.Writer, log *exportlog.Log, id uuid.UUID) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for said := ""; ; {
		e, known, err := log.Last(ctx, id)
		if err != nil {
			return err
		}
		if known && e.Step != said {
			said = e.Step
			fmt.Fprintf(out, "%s %s%s\n", e.DoneAt.Format(time.RFC3339), said, counted(&e))
		}
		switch {
		case e.Step == exportlog.Failed:
			return errors.New(e.Error)
		case known && e.Over():
			for i, name := range e.Files {
				fmt.Fprintf(out, "%s/%s: %d lines\n", e.Folder(), name, e.Lines[i])
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the job goes on; `consumer export list` shows it: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// counted are the numbers of an export as far as they are known.
func counted(e *exportlog.Export) string {
	if len(e.Files) == 0 {
		return ""
	}
	text := fmt.Sprintf(": %d members, %d added, %d removed", e.Members, e.Added, e.Removed)
	if e.Shared() {
		text += fmt.Sprintf("; %d without a contact, %d do not allow sharing, %d texts of contacts unusable", e.WithoutContact, e.WithoutShare, e.Unusable)
	}
	return text
}

// exportListCmd are the settings of `consumer export list`.
type exportListCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`

	Site  string `placeholder:"ID" help:"Only exports of this site."`
	Limit int    `default:"50" help:"How many, the latest first; 1 to 10000."`
}

// Validate checks bounds.
func (c *exportListCmd) Validate() error {
	err := c.ClickHouse.Validate()
	if c.Limit < 1 || c.Limit > 10_000 {
		err = errors.Join(err, fmt.Errorf("--limit %d: must be 1 to 10000", c.Limit))
	}
	return err
}

// Run is `consumer export list`.
func (c *exportListCmd) Run(ctx context.Context, k *kong.Kong) error {
	return withExports(ctx, c.ClickHouse, func(log *exportlog.Log) error {
		all, err := log.Latest(ctx, c.Site, c.Limit)
		if err != nil {
			return err
		}
		lines := tabwriter.NewWriter(k.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(lines, "export\tsite\tsegment\tformat\tcontacts\tasked\tby\tlast step\tmembers\tadded\tremoved\twithout contact\twithout share\terror")
		for _, e := range all {
			why, _, _ := strings.Cut(e.Error, "\n")
			_, _ = fmt.Fprintf(lines, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", e.ID, e.Site, e.Segment, e.Format, e.Contacts, e.AskedAt.Format(time.RFC3339), e.AskedBy,
				e.Step, e.Members, e.Added, e.Removed, e.WithoutContact, e.WithoutShare, why)
		}
		return lines.Flush()
	})
}
