package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/console/internal/store"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// segmentsCmd groups the commands on segment rules.
type segmentsCmd struct {
	Preview previewCmd `cmd:"" help:"Show who would be in a segment by a rule, from the stored events. Nothing is changed. Example: console segments preview rule.yaml --site shop"`
}

// previewCmd are the settings of `console segments preview`.
type previewCmd struct {
	ClickHouse clickhouseconn.Settings `embed:"" prefix:"clickhouse-"`

	Config string `env:"ONEPX_CONFIG" required:"" placeholder:"FILE" help:"Site configuration (onepx.yaml). console run takes changes over while it runs, also on SIGHUP."`
	Rule   string `arg:"" type:"existingfile" help:"A file with one rule, as under segments in onepx.yaml."`
	Site   string `required:"" placeholder:"ID" help:"The site."`
	Days   int    `default:"30" help:"How many days to show; 1 to 400."`
}

// maxPreviewDays is the longest range of days.
const maxPreviewDays = 400

// Validate checks bounds.
func (c *previewCmd) Validate() error {
	err := c.ClickHouse.Validate()
	if c.Days < 1 || c.Days > maxPreviewDays {
		err = errors.Join(err, fmt.Errorf("--days %d: must be 1 to %d", c.Days, maxPreviewDays))
	}
	return err
}

// Run is `console segments preview`.
func (c *previewCmd) Run(ctx context.Context, k *kong.Kong) error {
	sites, err := siteconfig.Load(c.Config)
	if err != nil {
		return err
	}
	site, known := sites.Site(c.Site)
	if !known {
		return fmt.Errorf("--site %s: %s has no such site", c.Site, c.Config)
	}
	text, err := os.ReadFile(c.Rule)
	if err != nil {
		return err
	}
	rule, err := siteconfig.ParseSegment(c.Rule, text)
	if err != nil {
		return err
	}
	conn, err := c.ClickHouse.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	preview, err := store.New(conn, c.ClickHouse.Database).Preview(ctx, site, rule, time.Now(), c.Days)
	if err != nil {
		return err
	}
	return printPreview(k.Stdout, preview)
}

func printPreview(out io.Writer, p store.Preview) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...any) { fmt.Fprintln(table, strings.Join(texts(cells), "\t")) }
	line("members", "minted", "held out")
	line(p.Size.Members, p.Size.Minted, p.Size.HeldOut)
	line()
	line("day", "members", "minted", "enters", "exits", "expiries")
	for _, d := range p.Days {
		line(d.Day.Format(time.DateOnly), d.Members, d.Minted, d.Enters, d.Exits, d.Expiries)
	}
	line()
	line("visitor", "ends at", "products")
	for _, m := range p.Samples {
		line(m.Visitor, m.EndsAt.UTC().Format(time.RFC3339), strings.Join(m.Products, ", "))
	}
	return table.Flush()
}

func texts(cells []any) []string {
	all := make([]string, len(cells))
	for i, cell := range cells {
		all[i] = fmt.Sprint(cell)
	}
	return all
}
