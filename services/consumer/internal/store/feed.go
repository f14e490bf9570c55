package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// Product is a row of products, as its feed has it.
type Product struct {
	SiteID       string    `ch:"site_id"`
	ID           string    `ch:"product_id"`
	Title        string    `ch:"title"`
	Link         string    `ch:"link"`
	ImageLink    string    `ch:"image_link"`
	PriceMicros  int64     `ch:"price_micros"`
	Currency     string    `ch:"currency"`
	SaleMicros   *int64    `ch:"sale_micros"`
	SaleFrom     time.Time `ch:"sale_from"`
	SaleUntil    time.Time `ch:"sale_until"`
	Availability string    `ch:"availability"`
	Category     string    `ch:"category"`
	GroupID      string    `ch:"item_group_id"`
	Line         uint32    `ch:"line"`
	FeedID       uuid.UUID `ch:"feed_id"`
	ImportedAt   time.Time `ch:"imported_at"`
}

const (
	productsTable = "products"
	// stagedProducts begins the names of the tables of feeds that are on their way.
	stagedProducts = "products_staged_"
	// stagedFor is how long an import may take: what is older was left by a process that was killed.
	stagedFor = 24 * time.Hour
)

// Feed brings the products of a site from one feed into a table of its own first, and then in the place of all products that
// the site has: whoever asks sees the former feed or this one, never parts of both.
type Feed struct {
	store  *Store
	schema Schema
	site   string
	id     uuid.UUID
	at     time.Time
	rows   uint64
}

// NewFeed makes the table. Drop must be called at the end, also after an error of any other method.
func (s *Store) NewFeed(ctx context.Context, schema Schema, site string, now time.Time) (*Feed, error) {
	f := &Feed{store: s, schema: schema, site: site, id: uuid.New(), at: now.UTC()}
	if err := f.dropForgotten(ctx); err != nil {
		return nil, err
	}
	engine, err := schema.engineOf(ctx, s.conn, productsTable)
	if err != nil {
		return nil, err
	}
	err = f.exec(ctx, "make a table for the feed", "CREATE TABLE", f.staged(), schema.OnCluster(), "AS", s.database+"."+productsTable, "ENGINE =", engine)
	return f, err
}

func (f *Feed) staged() string {
	return f.store.database + "." + stagedProducts + strings.ReplaceAll(f.id.String(), "-", "")
}

func (f *Feed) exec(ctx context.Context, what string, parts ...string) error {
	if err := f.store.conn.Exec(ctx, strings.Join(parts, " ")); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Add stores products beside those that hold, as one block.
func (f *Feed) Add(ctx context.Context, products []Product) error {
	for i := range products {
		products[i].SiteID, products[i].FeedID, products[i].ImportedAt = f.site, f.id, f.at
	}
	_, table, _ := strings.Cut(f.staged(), ".")
	if err := insertImport(ctx, f.store, table+" ("+strings.Join(clickhouseconn.Columns[Product](), ", ")+")", products); err != nil {
		return err
	}
	f.rows += uint64(len(products))
	return nil
}

// Publish makes the products that were added those of the site, and no others.
func (f *Feed) Publish(ctx context.Context) error {
	var rows uint64
	if err := f.store.conn.QueryRow(ctx, "SELECT count() FROM "+f.staged()).Scan(&rows); err != nil {
		return fmt.Errorf("count the products: %w", err)
	}
	if rows != f.rows || rows == 0 {
		return fmt.Errorf("ClickHouse has %d of the %d products that it was given", rows, f.rows)
	}
	return f.exec(ctx, "put the feed in place", "ALTER TABLE", f.store.database+"."+productsTable, "REPLACE PARTITION", clickhouseconn.Literal(f.site), "FROM", f.staged())
}

// Drop removes the table of the feed, also when ctx has ended.
func (f *Feed) Drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return f.drop(ctx, f.staged())
}

func (f *Feed) drop(ctx context.Context, table string) error {
	return f.exec(ctx, "drop the table of a feed", "DROP TABLE IF EXISTS", table, f.schema.OnCluster(), "SYNC SETTINGS max_table_size_to_drop = 0")
}

// dropForgotten removes the tables of imports that were killed.
func (f *Feed) dropForgotten(ctx context.Context) error {
	var tables []string
	err := f.store.conn.QueryRow(ctx, "SELECT groupArray(name) FROM system.tables WHERE database = ? AND startsWith(name, ?) AND metadata_modification_time < now() - ?",
		f.store.database, stagedProducts, int64(stagedFor/time.Second)).Scan(&tables)
	if err != nil {
		return fmt.Errorf("look for tables of earlier imports: %w", err)
	}
	for _, table := range tables {
		if err := f.drop(ctx, f.store.database+"."+table); err != nil {
			return err
		}
	}
	return nil
}
