package store

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/lookup"
	"github.com/onepx/onepx/services/console/internal/tailor"
)

// membership is one of a visitor, and what they may be shown for it.
type membership struct {
	*lookup.Membership
	candidates []tailor.Seen
}

// show says for each membership which product to show, by a few queries that are planned in no time. seen are the products by
// visitor, the newest first; sells tells that the site has a feed.
func (s *Store) show(ctx context.Context, site string, facts map[uuid.UUID]lookup.Facts, seen map[uuid.UUID][]tailor.Seen, sells bool) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_query_size": 64 << 20})) // of many long ids
	memberships := candidates(facts, seen)
	switch {
	case len(memberships) == 0:
		return nil
	case !sells:
		for _, m := range memberships {
			shown := tailor.WithoutFeed(m.candidates)
			m.Show = &shown
		}
		return nil
	}
	feed, prices, err := s.feed(ctx, site, memberships)
	if err != nil {
		return err
	}
	if feed.Stocked, err = s.stocked(ctx, site, feed, memberships); err != nil {
		return err
	}
	if feed.Nearest, err = s.nearest(ctx, site, feed, memberships); err != nil {
		return err
	}
	return s.choose(ctx, site, feed, prices, memberships)
}

// candidates are the memberships that count and have candidates.
func candidates(facts map[uuid.UUID]lookup.Facts, seen map[uuid.UUID][]tailor.Seen) []membership {
	var all []membership
	for visitor := range facts {
		for i := range facts[visitor].Memberships {
			m := &facts[visitor].Memberships[i]
			if candidates := tailor.Candidates(m.Products, seen[visitor]); !m.HeldOut && len(candidates) > 0 {
				all = append(all, membership{m, candidates})
			}
		}
	}
	return all
}

// price is the present price of a product.
type price struct {
	micros   int64
	currency string
}

// productRow is a product of the feed.
type productRow struct {
	ID        string `ch:"product_id"`
	Available bool   `ch:"available"`
	Category  string `ch:"category"`
	Micros    int64  `ch:"price_micros"`
	Present   int64  `ch:"present_micros"`
	Currency  string `ch:"currency"`
}

func (s *Store) products(ctx context.Context, site string, ids []string) ([]productRow, error) {
	var rows []productRow
	err := s.conn.Select(ctx, &rows, "SELECT product_id, availability != 'out_of_stock' AS available, category, price_micros, toString(currency) AS currency, "+
		"if(sale_micros IS NOT NULL AND sale_from <= now64(3) AND now64(3) < sale_until, assumeNotNull(sale_micros), price_micros) AS present_micros "+
		"FROM "+s.database+".products WHERE site_id = "+text(site)+" AND product_id IN "+texts(ids))
	if err != nil {
		return nil, failed("look products up", err)
	}
	return rows, nil
}

// feed is what the site offers of the candidates, and what that costs now by the product's id.
func (s *Store) feed(ctx context.Context, site string, memberships []membership) (tailor.Feed, map[string]price, error) {
	feed, prices := tailor.Feed{Offers: map[string]tailor.Offer{}}, map[string]price{}
	wanted := map[string]bool{}
	for _, m := range memberships {
		for _, c := range m.candidates {
			wanted[c.ID] = true
		}
	}
	rows, err := s.products(ctx, site, slices.Sorted(maps.Keys(wanted)))
	if err != nil {
		return feed, nil, err
	}
	for _, r := range rows {
		feed.Offers[r.ID] = tailor.Offer{ID: r.ID, Available: r.Available, Category: r.Category, PriceMicros: r.Micros}
		prices[r.ID] = price{r.Present, r.Currency}
		if r.Available || r.Category != "" {
			delete(wanted, r.ID) // its group would change nothing
		}
	}
	feed.Groups, err = s.groups(ctx, site, slices.Sorted(maps.Keys(wanted)))
	return feed, prices, err
}

// groups are what is offered of groups of products: of one that has something, the product with the lowest id that is not out
// of stock.
func (s *Store) groups(ctx context.Context, site string, ids []string) (map[string]tailor.Offer, error) {
	groups := map[string]tailor.Offer{}
	if len(ids) == 0 {
		return groups, nil
	}
	var rows []struct {
		Group     string `ch:"item_group_id"`
		ID        string `ch:"product"`
		Available bool   `ch:"available"`
		Category  string `ch:"first_category"`
		Micros    int64  `ch:"least_micros"`
	}
	err := s.conn.Select(ctx, &rows, "SELECT item_group_id, max(availability != 'out_of_stock') AS available, "+
		"if(available, minIf(product_id, availability != 'out_of_stock'), min(product_id)) AS product, min(category) AS first_category, min(price_micros) AS least_micros "+
		"FROM "+s.database+".products WHERE site_id = "+text(site)+" AND item_group_id != '' AND item_group_id IN "+texts(ids)+" GROUP BY item_group_id")
	if err != nil {
		return nil, failed("look groups of products up", err)
	}
	for _, r := range rows {
		groups[r.Group] = tailor.Offer{ID: r.ID, Available: r.Available, Category: r.Category, PriceMicros: r.Micros}
	}
	return groups, nil
}

// hasFeed tells whether the site has any products.
func (s *Store) hasFeed(ctx context.Context, site string) (bool, error) {
	var some bool
	err := s.conn.QueryRow(ctx, "SELECT count() > 0 FROM "+s.database+".products WHERE site_id = "+text(site)).Scan(&some)
	if err != nil {
		return false, failed("look for a feed", err)
	}
	return some, nil
}

// stocked are the categories of candidates that have a product in stock.
func (s *Store) stocked(ctx context.Context, site string, feed tailor.Feed, memberships []membership) (map[string]bool, error) {
	asked := map[string]bool{}
	for _, m := range memberships {
		for _, category := range feed.Categories(m.candidates) {
			asked[category] = true
		}
	}
	stocked := map[string]bool{}
	if len(asked) == 0 {
		return stocked, nil
	}
	var rows []struct {
		Category string `ch:"category"`
	}
	err := s.conn.Select(ctx, &rows, "SELECT DISTINCT category FROM "+s.database+".products WHERE site_id = "+text(site)+" AND availability = 'in_stock' AND category IN "+texts(slices.Sorted(maps.Keys(asked))))
	if err != nil {
		return nil, failed("look for categories in stock", err)
	}
	for _, r := range rows {
		stocked[r.Category] = true
	}
	return stocked, nil
}

// nearest are the products in stock that have to stand for others: of the next cheaper and the next dearer one the nearer.
func (s *Store) nearest(ctx context.Context, site string, feed tailor.Feed, memberships []membership) (map[tailor.Want]string, error) {
	nearest := map[tailor.Want]string{}
	var categories, prices []string
	for _, m := range memberships {
		want, needed := feed.Wanted(m.candidates)
		if _, asked := nearest[want]; needed && !asked {
			nearest[want] = ""
			categories, prices = append(categories, want.Category), append(prices, strconv.FormatInt(want.PriceMicros, 10))
		}
	}
	if len(categories) == 0 {
		return nearest, nil
	}
	var rows []struct {
		Category string `ch:"category"`
		Micros   int64  `ch:"near"`
		ID       string `ch:"product"`
	}
	stock := "(SELECT category, price_micros, min(product_id) AS product_id FROM " + s.database + ".products WHERE site_id = " + text(site) + " AND availability = 'in_stock' AND category IN " + texts(categories) + " GROUP BY category, price_micros)"
	err := s.conn.Select(ctx, &rows, "SELECT w.category AS category, w.near AS near, multiIf(below.product_id = '', above.product_id, above.product_id = '', below.product_id, "+
		"w.near - below.price_micros <= above.price_micros - w.near, below.product_id, above.product_id) AS product FROM "+
		"(SELECT want.1 AS category, want.2 AS near FROM (SELECT arrayJoin(arrayZip("+texts(categories)+", CAST(["+strings.Join(prices, ", ")+"], 'Array(Int64)'))) AS want)) AS w "+
		"ASOF LEFT JOIN "+stock+" AS below ON below.category = w.category AND below.price_micros <= w.near "+
		"ASOF LEFT JOIN "+stock+" AS above ON above.category = w.category AND above.price_micros >= w.near")
	if err != nil {
		return nil, failed("look for products of a category", err)
	}
	for _, r := range rows {
		nearest[tailor.Want{Category: r.Category, PriceMicros: r.Micros}] = r.ID
	}
	return nearest, nil
}

// choose sets what is shown, at its present price.
func (s *Store) choose(ctx context.Context, site string, feed tailor.Feed, prices map[string]price, memberships []membership) error {
	choices := map[*lookup.Membership]tailor.Choice{}
	unpriced := map[string]bool{}
	for _, m := range memberships {
		if choice, ok := feed.Choose(m.candidates); ok {
			choices[m.Membership] = choice
			if _, priced := prices[choice.ID]; !priced {
				unpriced[choice.ID] = true
			}
		}
	}
	if len(unpriced) > 0 {
		rows, err := s.products(ctx, site, slices.Sorted(maps.Keys(unpriced)))
		if err != nil {
			return err
		}
		for _, r := range rows {
			prices[r.ID] = price{r.Present, r.Currency}
		}
	}
	for m, choice := range choices {
		if p, ok := prices[choice.ID]; ok { // unless another feed has come meanwhile
			shown := choice.At(p.micros, p.currency)
			m.Show = &shown
		}
	}
	return nil
}
