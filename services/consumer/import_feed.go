package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/consumer/internal/imports"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// importFeedCmd are the settings of `consumer import feed`.
type importFeedCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`
	Site       string         `required:"" help:"Id of the site that sells the products."`
	BadRows    int            `default:"0" help:"How many rows with a mistake may be left out; with more the feed is refused and the products stay as they are."`
	File       string         `arg:"" help:"CSV or TSV file, also with .gz; - is standard input, not compressed."`
}

// Validate is called by kong.
func (c *importFeedCmd) Validate() error {
	if !imports.IsSiteID(c.Site) {
		return fmt.Errorf("--site %q is not the id of a site", c.Site)
	}
	if c.BadRows < 0 {
		return fmt.Errorf("--bad-rows %d is negative", c.BadRows)
	}
	return nil
}

// productBlock is the number of products of one insert.
const productBlock = 20_000

// Run is `consumer import feed`. The file is read once, into a table of its own that takes the place of the products of the
// site when all is well.
func (c *importFeedCmd) Run(ctx context.Context, k *kong.Kong) (err error) {
	file, err := openFeed(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	target, conn, err := importTarget(ctx, c.ClickHouse)
	if err != nil {
		return err
	}
	defer conn.Close()
	next, err := target.NewFeed(ctx, c.ClickHouse.Schema(nil), c.Site, time.Now())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, next.Drop(ctx)) }()
	read, err := c.stage(ctx, file, next)
	if err != nil {
		return refused(c.File, err)
	}
	if err := next.Publish(ctx); err != nil {
		return fmt.Errorf("%w\nthe products are those of before or those of this feed; repeat the import", err)
	}
	if read.BadRows > 0 {
		fmt.Fprintf(k.Stderr, "%s: rows left out: %d\n%s\n", c.File, read.BadRows, read.Mistakes)
	}
	fmt.Fprintf(k.Stdout, "imported %d products of %s\n", read.Products, c.Site)
	return nil
}

// stage reads the whole file into the table of the feed.
func (c *importFeedCmd) stage(ctx context.Context, file io.Reader, next *store.Feed) (imports.Feed, error) {
	block := make([]store.Product, 0, productBlock)
	flush := func() error {
		err := next.Add(ctx, block)
		block = block[:0]
		return err
	}
	read, err := imports.ReadFeed(file, c.BadRows, func(p *store.Product) error {
		if block = append(block, *p); len(block) < productBlock {
			return nil
		}
		return flush()
	})
	if err == nil && len(block) > 0 {
		err = flush()
	}
	return read, err
}

// feedFile is a file that may be compressed.
type feedFile struct {
	io.Reader
	file *os.File
}

func (f feedFile) Close() error { return f.file.Close() }

// openFeed opens the file; one whose name ends in .gz is unpacked as it is read.
func openFeed(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	file, err := os.Open(name)
	if err != nil || !strings.HasSuffix(strings.ToLower(name), ".gz") {
		return file, err
	}
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	return feedFile{unpacked, file}, nil
}
