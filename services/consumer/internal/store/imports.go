package store

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// Rate is a row of currency_rates; imported_at is ClickHouse's time of the insert.
type Rate struct {
	Day      time.Time `ch:"day"`
	Currency string    `ch:"currency"`
	// Rate is units of the currency for one euro.
	Rate decimal.Decimal `ch:"rate"`
}

// Cost is a row of ad_costs.
type Cost struct {
	SiteID     string    `ch:"site_id"`
	Day        time.Time `ch:"day"`
	Source     string    `ch:"source"`
	Medium     string    `ch:"medium"`
	Campaign   string    `ch:"campaign"`
	Currency   string    `ch:"currency"`
	CostMicros int64     `ch:"cost_micros"`
}

// InsertRates stores the rates as one block; each takes the place of the earlier one of the same day and currency.
func (s *Store) InsertRates(ctx context.Context, rates []Rate) error {
	return insertImport(ctx, s, "currency_rates (day, currency, rate)", rates)
}

// InsertCosts stores the costs as one block; each takes the place of the earlier one of the same site, day, source, medium,
// campaign and currency.
func (s *Store) InsertCosts(ctx context.Context, costs []Cost) error {
	return insertImport(ctx, s, "ad_costs (site_id, day, source, medium, campaign, currency, cost_micros)", costs)
}

// insertImport inserts rows under a token of their own, so that a block that was inserted before counts again: another import
// may have come between.
func insertImport[T any](ctx context.Context, s *Store, into string, rows []T) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": uuid.NewString(), "async_insert": 0}))
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO "+s.database+"."+into)
	if err != nil {
		return classify(fmt.Errorf("insert into %s: %w", into, err))
	}
	defer func() { _ = batch.Close() }()
	for i := range rows {
		if err := batch.AppendStruct(&rows[i]); err != nil {
			return fmt.Errorf("insert into %s: %w", into, err)
		}
	}
	if err := batch.Send(); err != nil {
		return classify(fmt.Errorf("insert into %s: %w", into, err))
	}
	return nil
}
