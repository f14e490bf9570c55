package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/onepx/onepx/services/console/internal/api"
	"github.com/onepx/onepx/services/console/internal/lookup"
	"github.com/onepx/onepx/services/shared/refdocs"
	"github.com/onepx/onepx/services/shared/reload"
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
		"metrics-console.md":       metricsPage,
	})
}

func configurationPage(page *bytes.Buffer) error {
	page.WriteString(`# Settings of the console

Each is an environment variable or a flag of ` + "`console run`" + `; the flag goes first. Wrong ones end the start with exit code 2
and all problems named. Secrets have no default and are never logged.

`)
	return table.Markdown(page, &cli{}, parserOptions()...)
}

// newServer is a server that knows nothing and nobody.
func newServer(meter metric.Meter) (*api.Server, error) {
	return api.New(api.Deps{
		Sites: &siteconfig.Config{}, Version: "dev", Meter: meter, Tracer: tracenoop.Tracer{}, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
}

// apiDocument is the OpenAPI document.
func apiDocument(page *bytes.Buffer) error {
	server, err := newServer(metricnoop.Meter{})
	if err != nil {
		return err
	}
	document, err := server.OpenAPI()
	page.Write(document)
	return err
}

func metricsPage(page *bytes.Buffer) (err error) {
	file, err := os.CreateTemp("", "onepx-*.yaml")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.WriteString("sites: [{id: shop, timezone: UTC, currency: EUR}]\n")
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	page.WriteString("# Metrics of the console\n\n")
	return refdocs.Metrics(page, func(meter metric.Meter) error {
		if _, err := reload.Open(file.Name(), "console", slog.New(slog.DiscardHandler), meter); err != nil {
			return err
		}
		server, err := newServer(meter)
		if err != nil {
			return err
		}
		server.Sample()
		lookups, err := lookup.New(lookup.Config{Meter: meter, Kept: 1})
		if err != nil {
			return err
		}
		defer lookups.Close()
		lookups.Sample()
		return nil
	})
}
