package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// rollupCmd are the settings of `consumer rollup`.
type rollupCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`

	Config string `env:"ONEPX_CONFIG" required:"" type:"existingfile" help:"The site configuration, onepx.yaml."`
	Site   string `placeholder:"ID" help:"Only this site; without it all of the configuration."`
	Days   int    `default:"90" help:"How many days to answer about, the site's today included; 1 to 3660."`
}

// Validate checks bounds.
func (c *rollupCmd) Validate() error {
	err := c.ClickHouse.Validate()
	if c.Days < 1 || c.Days > siteconfig.MaxRetentionDays {
		err = errors.Join(err, fmt.Errorf("--days %d: must be 1 to %d", c.Days, siteconfig.MaxRetentionDays))
	}
	return err
}

// Run is `consumer rollup`.
func (c *rollupCmd) Run(ctx context.Context, k *kong.Kong) error {
	config, err := siteconfig.Load(c.Config)
	if err != nil {
		return err
	}
	sites, err := chosenSites(config, c.Config, c.Site)
	if err != nil {
		return err
	}
	target, conn, err := importTarget(ctx, c.ClickHouse)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, site := range sites {
		began := time.Now()
		today := enrich.DayIn(site.Timezone, began)
		if err := target.Rollup(ctx, site.ID, today.AddDate(0, 0, 1-c.Days), today, began); err != nil {
			return err
		}
		fmt.Fprintf(k.Stdout, "%s: %d days in %s\n", site.ID, c.Days, time.Since(began).Round(time.Millisecond))
	}
	return nil
}
