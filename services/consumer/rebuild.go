package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/rebuild"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// rebuildCmd groups the commands that make facts of stored events anew.
type rebuildCmd struct {
	Goals    rebuildGoalsCmd    `cmd:"" help:"Apply the goals of the configuration to stored events, while new ones arrive. Restart the consumers with the configuration first. Repeated after an interruption, it goes on. Example: consumer rebuild goals --from 2026-10-01 --to 2026-11-30 --site shop"`
	Segments rebuildSegmentsCmd `cmd:"" help:"Make the hits of a changed segment, or of a new one, of stored events, and let the change hold. Restart the consumers with the configuration first. Example: consumer rebuild segments --site shop --segment cart_abandoners"`
}

// rebuildGoalsCmd are the settings of `consumer rebuild goals`.
type rebuildGoalsCmd struct {
	Kafka         kafkaconn.Settings `embed:"" prefix:"kafka-"`
	ClickHouse    store.Settings     `embed:"" prefix:"clickhouse-"`
	groupSettings `embed:""`

	Config  string    `env:"ONEPX_CONFIG" required:"" type:"existingfile" help:"The site configuration, onepx.yaml."`
	From    time.Time `required:"" format:"2006-01-02" placeholder:"DAY" help:"First day, in the time zone of the site."`
	To      time.Time `required:"" format:"2006-01-02" placeholder:"DAY" help:"Last day."`
	Site    string    `placeholder:"ID" help:"Only this site; without it all of the configuration."`
	Restart bool      `help:"Give up a rebuild that was interrupted, and begin anew."`

	// saved is called after each step; tests stop there.
	saved func(store.Step) error
}

// Validate checks bounds and what belongs together.
func (c *rebuildGoalsCmd) Validate() error {
	errs := []error{c.Kafka.Validate(), c.ClickHouse.Validate(), c.groupSettings.Validate(), c.ClickHouse.SingleNode("consumer rebuild goals")}
	if c.To.Before(c.From) {
		errs = append(errs, fmt.Errorf("--from %s is after --to %s", c.From.Format(time.DateOnly), c.To.Format(time.DateOnly)))
	}
	// The day begins first at UTC+14.
	if c.From.After(time.Now().Add(14 * time.Hour)) {
		errs = append(errs, fmt.Errorf("--from %s is in the future", c.From.Format(time.DateOnly)))
	}
	return errors.Join(errs...)
}

// Run is `consumer rebuild goals`.
func (c *rebuildGoalsCmd) Run(ctx context.Context, k *kong.Kong) error {
	rules, err := c.rules()
	if err != nil {
		return err
	}
	deps := rebuild.Deps{
		Rules: rules, InsertDeadline: c.InsertDeadline, Now: time.Now, Saved: c.saved,
		Say: func(format string, args ...any) { fmt.Fprintf(k.Stdout, format+"\n", args...) },
	}
	if deps.Saved == nil {
		deps.Saved = func(store.Step) error { return nil }
	}
	if deps.Enricher, err = enrich.New(rules); err != nil {
		return err
	}
	client, err := c.Kafka.Client()
	if err != nil {
		return err
	}
	defer kafkaconn.Close(client)
	if _, err := requireTopic(ctx, client, eventlog.TopicEvents); err != nil {
		return err
	}
	conn, err := c.ClickHouse.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	events, err := storeOf(ctx, conn, c.ClickHouse)
	if err != nil {
		return err
	}
	deps.Tables = store.NewRebuilds(conn, c.ClickHouse.Schema(migrations.Files))
	deps.Positions = func(ctx context.Context) ([]consume.Position, error) {
		return consume.GroupPositions(ctx, client, c.Group, eventlog.TopicEvents, events)
	}
	err = rebuild.Goals(ctx, deps, rebuild.Request{From: c.From, To: c.To, Site: c.Site, Restart: c.Restart})
	if err != nil && !errors.Is(err, rebuild.ErrUnfinished) && !errors.Is(err, store.ErrRebuilding) {
		return fmt.Errorf("%w\nthe same command, repeated, goes on where this one has stopped", err)
	}
	return err
}

// rules are those of the configuration, which must have the chosen site.
func (c *rebuildGoalsCmd) rules() (enrich.Rules, error) {
	sites, err := siteconfig.Load(c.Config)
	if err != nil {
		return enrich.Rules{}, err
	}
	if _, err := chosenSites(sites, c.Config, c.Site); err != nil {
		return enrich.Rules{}, err
	}
	return enrich.NewRules(sites), nil
}

// chosenSites returns the site that --site names, or all sites of the file for "".
func chosenSites(config *siteconfig.Config, file, id string) ([]siteconfig.Site, error) {
	if id == "" {
		return config.Sites, nil
	}
	if site, ok := config.Site(id); ok {
		return []siteconfig.Site{*site}, nil
	}
	var known []string
	for _, site := range config.Sites {
		known = append(known, site.ID)
	}
	return nil, fmt.Errorf("--site %s: %s has no such site; it has %s", id, file, strings.Join(known, ", "))
}
