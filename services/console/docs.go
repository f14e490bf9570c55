package main

import (
	"bytes"
	"log/slog"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/onepx/onepx/services/console/internal/api"
	"github.com/onepx/onepx/services/shared/refdocs"
	table "github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// docsCmd writes the reference pages that are made from the code.
type docsCmd struct {
	Dir string `help:"Folder to write to." default:"docs"`
}

// Run writes the pages.
func (c *docsCmd) Run() error {
	return refdocs.Write(c.Dir, "console docs", map[string]func(*bytes.Buffer) error{
		"configuration-console.md": configurationPage,
		"console-api.yaml":         apiDocument,
	})
}

func configurationPage(page *bytes.Buffer) error {
	page.WriteString(`# Settings of the console

Each is an environment variable or a flag of ` + "`console run`" + `; the flag goes first. Wrong ones end the start with exit code 2
and all problems named. Secrets have no default and are never logged.

`)
	return table.Markdown(page, &cli{}, parserOptions()...)
}

// apiDocument is the OpenAPI document of a server that knows nothing and nobody.
func apiDocument(page *bytes.Buffer) error {
	server, err := api.New(api.Deps{
		Sites: &siteconfig.Config{}, Version: "dev", Meter: metricnoop.Meter{}, Tracer: tracenoop.Tracer{}, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		return err
	}
	document, err := server.OpenAPI()
	page.Write(document)
	return err
}
