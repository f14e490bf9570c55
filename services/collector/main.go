// Command collector answers the pixel and hands each event to Kafka.
//
//	collector run                   serve until SIGTERM
//	collector config check FILE     check a site configuration
//	collector config schema         print the JSON Schema of site configurations
//	collector optout-link --site ID print links with which recipients of e-mail opt out
//	collector drain-spool DIR       publish what a collector that is gone left in its spool
//
// It ends with 0 after a clean stop, 1 when something failed, 80 when the command line or a setting is wrong, and 130 when
// a second signal cut the stop short.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/shared/lifecycle"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// version is set by the linker.
var version = "dev"

type cli struct {
	Run    runCmd `cmd:"" help:"Serve the pixel until SIGTERM."`
	Config struct {
		Check  checkCmd  `cmd:"" help:"Check a site configuration; prints what is wrong with file, line and column."`
		Schema schemaCmd `cmd:"" help:"Print the JSON Schema of site configurations, with which editors complete and check them."`
	} `cmd:"" help:"Work on the site configuration."`
	OptoutLink optoutLinkCmd    `cmd:"" help:"Print links to /optout for e-mails: each opts out the person it was made for."`
	DrainSpool drainSpoolCmd    `cmd:"" help:"Publish what a collector that is gone left in its spool."`
	Docs       docsCmd          `cmd:"" hidden:"" help:"Write the reference pages."`
	Version    kong.VersionFlag `help:"Print the version."`
}

func main() {
	parsed := kong.Parse(&cli{}, kong.Name("collector"), kong.Vars{"version": version},
		kong.Description("Answers tracking pixels and hands each event to Kafka.\n\nExample: ONEPX_KAFKA_BROKERS=localhost:9092 ONEPX_CONFIG=onepx.yaml ONEPX_SECRET=… collector run"),
		kong.ShortUsageOnError())
	parsed.FatalIfErrorf(parsed.Run())
}

type runCmd struct {
	settings
}

// Run serves until a signal comes.
func (c *runCmd) Run() error {
	ctx, stop := lifecycle.Notify(context.Background())
	defer stop()
	var listen net.ListenConfig
	public, err := listen.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for visitors: %w", err)
	}
	admin, err := listen.Listen(ctx, "tcp", c.AdminListen)
	if err != nil {
		return fmt.Errorf("listen for probes and metrics: %w", err)
	}
	return run(ctx, c.settings, public, admin, os.Stderr)
}

type checkCmd struct {
	File string `arg:"" help:"The file, such as onepx.yaml."`
}

// Run checks the file.
func (c *checkCmd) Run(k *kong.Kong) error {
	config, err := siteconfig.Load(c.File)
	if err != nil {
		return err
	}
	for _, warning := range config.Warnings {
		if _, err := fmt.Fprintf(k.Stdout, "warning: %s\n", warning); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(k.Stdout, "%s: %d sites, no problems\n", c.File, len(config.Sites))
	return err
}

type schemaCmd struct{}

// Run prints the schema.
func (*schemaCmd) Run(k *kong.Kong) error {
	_, err := k.Stdout.Write(siteconfig.Schema)
	return err
}
