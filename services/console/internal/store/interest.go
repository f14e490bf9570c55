package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/tailor"
)

// interestRow is what a visitor did with a product, as the table product_interest has it: moments in ms, 0 for none.
type interestRow struct {
	Visitor  uuid.UUID `ch:"visitor_id"`
	Product  string    `ch:"product"`
	Viewed   int64     `ch:"viewed_ms"`
	Carted   int64     `ch:"carted_ms"`
	Bought   int64     `ch:"bought_ms"`
	Price    string    `ch:"newest_price"`
	Category string    `ch:"newest_category"`
}

// mostSeen is how many products of a visitor are known, the newest.
const mostSeen = 1000

func (s *Store) interest(ctx context.Context, site string, visitors []uuid.UUID) ([]interestRow, error) {
	var rows []interestRow
	err := s.conn.Select(ctx, &rows, "SELECT visitor_id, product, toUnixTimestamp64Milli(max(viewed_at)) AS viewed_ms, toUnixTimestamp64Milli(max(carted_at)) AS carted_ms, "+
		"toUnixTimestamp64Milli(max(bought_at)) AS bought_ms, max(price) AS newest_price, max(category) AS newest_category FROM "+s.database+".product_interest "+
		ofVisitors(site, visitors)+" GROUP BY visitor_id, product "+
		"ORDER BY greatest(viewed_ms, carted_ms, bought_ms) DESC LIMIT "+strconv.Itoa(mostSeen)+" BY visitor_id")
	if err != nil {
		return nil, failed("list products that were seen", err)
	}
	return rows, nil
}

// seen are the products by visitor, the newest first, without what was done until the newest refusal: what the view
// product_interest_of says of a visitor.
func seen(rows []interestRow, refused map[uuid.UUID]int64, now time.Time) map[uuid.UUID][]tailor.Seen {
	type dated struct {
		tailor.Seen
		newest int64
	}
	of, until := map[uuid.UUID][]dated{}, now.UnixMilli()
	for _, r := range rows {
		since := refused[r.Visitor]
		if since > until {
			since = 0
		}
		counted := func(moment int64) int64 {
			if moment <= since || moment > until {
				return 0
			}
			return moment
		}
		viewed, carted, bought := counted(r.Viewed), counted(r.Carted), counted(r.Bought)
		one := dated{tailor.Seen{ID: r.Product, State: "viewed"}, max(viewed, carted, bought)}
		switch {
		case one.newest == 0:
			continue
		case bought >= viewed && bought >= carted:
			one.State = tailor.StateBought
		case carted > bought:
			one.State = "carted"
		}
		if currency, micros, found := strings.Cut(said(r.Price, since, until), " "); found {
			one.Currency = currency
			one.PriceMicros, _ = strconv.ParseInt(micros, 10, 64) // 0 for what is no number, as in SQL
		}
		one.Category = said(r.Category, since, until)
		of[r.Visitor] = append(of[r.Visitor], one)
	}
	all := map[uuid.UUID][]tailor.Seen{}
	for visitor, list := range of {
		slices.SortFunc(list, func(a, b dated) int { return cmp.Or(cmp.Compare(b.newest, a.newest), cmp.Compare(a.ID, b.ID)) })
		for _, one := range list {
			all[visitor] = append(all[visitor], one.Seen)
		}
	}
	return all
}

// said is what follows a moment in a text of product_interest, "" if the moment does not count. Such moments are in the order
// of their texts.
func said(text string, since, until int64) string {
	const form = "2006-01-02 15:04:05.000"
	moment := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(form) }
	if len(text) <= len(form) || text[:len(form)] <= moment(since) || text[:len(form)] > moment(until) {
		return ""
	}
	return text[len(form)+1:]
}
