//go:build integration

package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// shopFeed are products: id, price, availability, category, group and sale price.
var shopFeed = []string{
	"green 4.90 in_stock Tea", "black 5.00 in_stock Tea", "white 9.00 in_stock Tea", "mint 5.20 out_of_stock Tea", "sage 4.95 out_of_stock Tea",
	"red-cup 7.00 out_of_stock Cups cups", "blue-cup 7.50 in_stock Cups cups", "cups-2 6.00 in_stock Cups",
	"steel-pot 30.00 preorder Pots", "clay-pot 25.00 out_of_stock Pots", "glass-pot 20.00 backorder Pots", "odd-pot 20.00 out_of_stock",
	"mug 10.00 in_stock Mugs - 8.00", "jug 10.00 in_stock Jugs - 8.00 over", "twin-a 3.00 in_stock Twins", "twin-b 3.00 in_stock Twins", "twin-c 3.00 out_of_stock Twins",
}

// feed puts products in the place of the site's.
func (d db) feed(site string, lines ...string) {
	d.t.Helper()
	next, err := d.NewFeed(d.t.Context(), d.schema, site, time.Now())
	require.NoError(d.t, err)
	var products []store.Product
	for i, line := range lines {
		part := append(strings.Fields(line), "", "", "", "")
		p := store.Product{
			ID: part[0], Title: strings.ToUpper(part[0]), Link: "https://shop.example/" + part[0], PriceMicros: *euros(part[1]), Currency: "EUR",
			Availability: part[2], Category: part[3], GroupID: strings.Trim(part[4], "-"), SaleMicros: euros(part[5]), Line: uint32(i + 2),
			SaleFrom: day.AddDate(0, 0, -1), SaleUntil: day.AddDate(0, 0, 1),
		}
		if part[6] == "over" {
			p.SaleUntil = day
		}
		products = append(products, p)
	}
	require.NoError(d.t, next.Add(d.t.Context(), products))
	require.NoError(d.t, next.Publish(d.t.Context()))
	require.NoError(d.t, next.Drop(d.t.Context()))
}

// noon is the moment at which tailored products are asked for.
var noon = day.Add(12 * time.Hour)

// tailored is what is to be shown to each of the visitors, by both views: product, title, price, price seen, reason, whether
// held out, and what was seen where that is another product.
func (d db) tailored(site, segment string, visitors ...uuid.UUID) map[uuid.UUID]string {
	d.t.Helper()
	const line = "SELECT concat(toString(visitor_id), concatWithSeparator('|', product_id, title, ifNull(toString(price_micros / 1000000), '-'), currency, ifNull(toString(price_seen_micros / 1000000), '-'), " +
		"reason, if(held_out, 'held out', ''), if(seen_product_id = product_id, '', seen_product_id))) AS line FROM %s."
	at := "', segment = '" + segment + "', at = '" + noon.Format("2006-01-02 15:04:05.000") + "'"
	var ids []string
	for _, visitor := range visitors {
		ids = append(ids, visitor.String())
	}
	all := d.answer(line + "tailored(site = '" + site + at + ") ORDER BY line")
	some := d.answer(line + "tailored_of(site = '" + site + at + ", visitors = ['" + strings.Join(ids, "', '") + "', '" + uuid.NewString() + "']) ORDER BY line")
	require.Equal(d.t, all, some)
	shown := map[uuid.UUID]string{}
	for _, line := range all {
		visitor := uuid.MustParse(line[:36])
		require.Empty(d.t, shown[visitor], "one product a visitor")
		shown[visitor] = line[36:]
	}
	return shown
}

func TestTheProductThatIsShown(t *testing.T) {
	d := withoutEvents(t)
	d.segment("s", 0)
	d.feed("shop", shopFeed...)
	d.feed("blog", "green 99.00 out_of_stock Tea")
	cases := []struct {
		name     string
		products string
		did      func(s *shopper)
		want     string
	}{
		{"in stock, at the price that was seen", "green", func(s *shopper) { s.did("10:00", "view_item", "green 4.90") }, "green|GREEN|4.9|EUR|4.9|viewed||"},
		{"put in the cart", "green", func(s *shopper) { s.did("10:00", "add_to_cart", "green 4.90") }, "green|GREEN|4.9|EUR|4.9|carted||"},
		{"bought, where the segment wants it", "green", func(s *shopper) { s.did("10:00", "purchase", "green 4.90") }, "green|GREEN|4.9|EUR|4.9|bought||"},
		{"in the membership by an event of another name", "green", func(*shopper) {}, "green|GREEN|4.9|EUR|-|matched||"},
		{"seen at another price", "green", func(s *shopper) { s.did("10:00", "add_to_cart", "green 4.80") }, "green|GREEN|4.9|EUR|4.8|price_changed||"},
		{"seen at a price in another currency", "green", func(s *shopper) {
			s.did("10:00", "view_item", "green 4.80").but(func(r *store.Row) { r.Currency = "USD" })
		}, "green|GREEN|4.9|EUR|-|viewed||"},
		{"for sale, as it was when it was seen", "mug", func(s *shopper) { s.did("10:00", "view_item", "mug 8.00") }, "mug|MUG|8|EUR|8|viewed||"},
		{"for sale no more", "jug", func(s *shopper) { s.did("10:00", "view_item", "jug 8.00") }, "jug|JUG|10|EUR|8|price_changed||"},
		{"to be ordered before it is there", "steel-pot", func(s *shopper) { s.did("10:00", "view_item", "steel-pot") }, "steel-pot|STEEL-POT|30|EUR|-|viewed||"},
		{"out of stock: of its category the one with the nearest price", "mint", func(s *shopper) { s.did("10:00", "view_item", "mint 1.00") }, "black|BLACK|5|EUR|1|same_category||mint"},
		{"out of stock: of two as near the cheaper one", "sage", func(s *shopper) { s.did("10:00", "view_item", "sage") }, "green|GREEN|4.9|EUR|-|same_category||sage"},
		{"out of stock: of two at one price the lower id", "twin-c", func(s *shopper) { s.did("10:00", "view_item", "twin-c") }, "twin-a|TWIN-A|3|EUR|-|same_category||twin-c"},
		{"gone: by the category and the price of the event", "oolong", func(s *shopper) { s.did("10:00", "view_item", "oolong 8.00 Tea") }, "white|WHITE|9|EUR|8|same_category||oolong"},
		{"gone, at a price above all", "oolong", func(s *shopper) { s.did("10:00", "view_item", "oolong 80.00 Tea") }, "white|WHITE|9|EUR|80|same_category||oolong"},
		{"gone, without a price: the cheapest", "oolong", func(s *shopper) { s.did("10:00", "view_item", "oolong - Tea") }, "green|GREEN|4.9|EUR|-|same_category||oolong"},
		{"out of stock with nothing in its category: the next product", "clay-pot green", func(s *shopper) { s.did("10:00", "view_item", "green", "clay-pot") }, "green|GREEN|4.9|EUR|-|viewed||"},
		{"out of stock in the feed's category, of which only the event tells", "odd-pot", func(s *shopper) { s.did("10:00", "view_item", "odd-pot 1.00 Tea") }, "white|WHITE|9|EUR|1|same_category||odd-pot"},
		{"gone, with nothing else to show", "oolong", func(s *shopper) { s.did("10:00", "view_item", "oolong") }, ""},
		{"known by the id of its group: a variant that is in stock", "cups", func(s *shopper) { s.did("10:00", "view_item", "cups 7.50") }, "blue-cup|BLUE-CUP|7.5|EUR|7.5|viewed||cups"},
		{"a variant that is out of stock: its category", "red-cup", func(s *shopper) { s.did("10:00", "view_item", "red-cup 7.00") }, "blue-cup|BLUE-CUP|7.5|EUR|7|same_category||red-cup"},
		{"of a membership without products the newest that is not bought", "", func(s *shopper) {
			s.did("10:00", "view_item", "green", "black").did("10:10", "view_item", "white").did("10:20", "view_item", "mug").did("10:30", "purchase", "mug")
		}, "white|WHITE|9|EUR|-|viewed||"},
		{"of two seen at once the lower id", "", func(s *shopper) { s.did("10:00", "view_item", "green", "black") }, "black|BLACK|5|EUR|-|viewed||"},
		{"the membership's before what was seen later", "green", func(s *shopper) { s.did("10:00", "view_item", "green").did("10:10", "view_item", "white") }, "green|GREEN|4.9|EUR|-|viewed||"},
		{"what is later than the moment is not known yet", "", func(s *shopper) { s.did("10:00", "view_item", "green 4.90").did("12:01", "view_item", "white") }, "green|GREEN|4.9|EUR|4.9|viewed||"},
		{"what was seen before a refusal is forgotten", "", func(s *shopper) {
			s.did("10:00", "view_item", "green").did("10:10", "page_view").but(func(r *store.Row) { r.ConsentProfile = false })
		}, ""},
	}
	var rows []store.Row
	var visitors []uuid.UUID
	for _, tc := range cases {
		s := &shopper{visitor: uuid.NewSHA1(uuid.Nil, []byte(tc.name))}
		tc.did(s)
		d.member("s", s.visitor, strings.Fields(tc.products)...)
		rows, visitors = append(rows, s.rows...), append(visitors, s.visitor)
	}
	d.keep(0, rows)
	shown := d.tailored("shop", "s", visitors...)
	for i, tc := range cases {
		require.Equal(t, tc.want, shown[visitors[i]], tc.name)
	}
}

func TestWithoutAFeedProductsAreShownAsTheyWereSeen(t *testing.T) {
	d := withoutEvents(t)
	d.segment("s", 0)
	d.segment("held", 1000)
	s := &shopper{visitor: uuid.New()}
	d.keep(0, s.did("10:00", "view_item", "tea 4.90 Tea").did("10:10", "view_item", "cup").rows)
	d.member("s", s.visitor)
	require.Equal(t, "cup||-||-|no_feed||", d.tailored("shop", "s", s.visitor)[s.visitor])
	d.member("held", s.visitor, "tea")
	require.Equal(t, "tea||4.9|EUR|4.9|no_feed|held out|", d.tailored("shop", "held", s.visitor)[s.visitor])
	d.member("s", s.visitor, "tea")
	require.Equal(t, "tea||4.9|EUR|4.9|no_feed||", d.tailored("shop", "s", s.visitor)[s.visitor])
	d.feed("blog", "tea 4.90 in_stock Tea")
	require.Equal(t, "tea||4.9|EUR|4.9|no_feed||", d.tailored("shop", "s", s.visitor)[s.visitor], "another site's feed is none")
	d.feed("shop", "tea 4.90 in_stock Tea")
	require.Equal(t, "tea|TEA|4.9|EUR|4.9|viewed||", d.tailored("shop", "s", s.visitor)[s.visitor])
}

// segment saves a segment of the site shop in which every hit of the last 30 days lets in.
func (d db) segment(id string, heldOutPermille int) {
	d.t.Helper()
	d.exec(fmt.Sprintf("INSERT INTO %s.segments (site_id, segment, version, state, times_min, within_ms, lives_ms, holdout_permille, saved_at) SELECT 'shop', '%s', 'v', 'active', 1, %d, %d, %d, now64(3)",
		d.name, id, (30 * 24 * time.Hour).Milliseconds(), (30 * 24 * time.Hour).Milliseconds(), heldOutPermille))
}

// member puts the visitor into the segment by hits with the products, the last one first.
func (d db) member(segment string, visitor uuid.UUID, products ...string) {
	d.t.Helper()
	list := "['" + strings.Join(products, "', '") + "']" // one without a product, where there is none
	d.exec(fmt.Sprintf("INSERT INTO %s.segment_hits (site_id, segment, version, step, visitor_kind, visitor_id, product, occurred_at, event_id, expires_at) "+
		"SELECT 'shop', '%s', 'v', 'enter', 'cookie', '%s', hit.1, toDateTime64('%s', 3, 'UTC') - hit.2, generateUUIDv4(), now() + 9999 FROM (SELECT arrayJoin(arrayZip(%s, arrayEnumerate(%[5]s))) AS hit)",
		d.name, segment, visitor, noon.Format("2006-01-02 15:04:05.000"), list))
}
