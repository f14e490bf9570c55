package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

// demoFeed is the product feed of the shop.
const demoFeed = `id	title	link	availability	price	product type
tea	Green tea	https://shop.localhost/tea	in stock	4.90 EUR	Tea
kettle	Kettle of steel	https://shop.localhost/kettle	in stock	39.00 EUR	Kettles
cup	Red cup	https://shop.localhost/cup	out of stock	7.00 EUR	Cups
mug	Blue mug	https://shop.localhost/mug	in stock	7.50 EUR	Cups
bowl	White bowl	https://shop.localhost/bowl	in stock	12.00 EUR	Cups
`

// importFeed brings the feed into the site of the shoppers.
func importFeed(ctx context.Context, p *pipeline.Pipeline) error {
	file := filepath.Join(p.Dir, "products.tsv")
	if err := os.WriteFile(file, []byte(demoFeed), 0o600); err != nil {
		return err
	}
	if out, err := p.Consumer(ctx, "import", "feed", "--site", shopperSite, file); err != nil {
		return fmt.Errorf("consumer import feed: %w\n%s", err, out)
	}
	return nil
}

// shopper is somebody who shops.
type shopper struct {
	name string
	did  []deed
	// products is what they are interested in, newest first: product and state.
	products []string
	// shown is what they are to be shown as members of the segment, and why; empty for who is no member.
	shown string
}

// deed is an event with a product, or without.
type deed struct {
	event string
	item  serverItem
	// before is how long ago it was.
	before time.Duration
	// refuses is true when it does not allow audiences.
	refuses bool
}

// shoppers are those whose truth is known.
var shoppers = []shopper{
	{
		name: "Anna puts tea into the cart and leaves", products: []string{"tea carted"}, shown: "tea carted",
		did: []deed{{"view_item", tea, 50 * time.Minute, false}, {"add_to_cart", tea, 49 * time.Minute, false}},
	},
	{
		name: "Ben buys what is in his cart, and looks at a mug", products: []string{"mug viewed", "tea bought"},
		did: []deed{{"add_to_cart", tea, 48 * time.Minute, false}, {"purchase", tea, 47 * time.Minute, false}, {"view_item", mug, 46 * time.Minute, false}},
	},
	{
		name: "Cleo leaves a kettle, which has become cheaper", products: []string{"kettle carted"}, shown: "kettle price_changed",
		did: []deed{{"add_to_cart", serverItem{"kettle", "45.00", "Kettles"}, 45 * time.Minute, false}},
	},
	{
		name: "Dan leaves a cup, which is sold out, and looks at tea", products: []string{"tea viewed", "cup carted"}, shown: "mug same_category",
		did: []deed{{"add_to_cart", serverItem{"cup", "7.00", "Cups"}, 44 * time.Minute, false}, {"view_item", tea, 43 * time.Minute, false}},
	},
	{
		name: "Eve looks at a mug only", products: []string{"mug viewed"},
		did: []deed{{"view_item", mug, 42 * time.Minute, false}},
	},
	{
		name: "Finn puts tea into the cart, and then wants no audiences",
		did:  []deed{{"add_to_cart", tea, 41 * time.Minute, false}, {"page_view", serverItem{}, 40 * time.Minute, true}},
	},
}

var (
	tea = serverItem{"tea", "4.90", "Tea"}
	mug = serverItem{"mug", "7.50", "Cups"}
)

// id is their visitor id.
func (s shopper) id() uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(s.name)) }

// events are what they do, seen from now.
func (s shopper) events(now time.Time) []serverEvent {
	var all []serverEvent
	for i, d := range s.did {
		e := serverEvent{
			Name: d.event, ID: fmt.Sprintf("%s, %d", s.name, i+1), At: now.Add(-d.before), Visitor: s.id().String(), UserAgent: personAgent,
			URL: "https://shop.localhost/" + d.item.ID, Choice: "1", Currency: "EUR",
		}
		if d.refuses {
			e.Choice = ""
		}
		if d.item.ID != "" {
			e.Items = []serverItem{d.item}
		}
		if d.event == "purchase" {
			e.OrderID, e.Value = s.name, d.item.Price
		}
		all = append(all, e)
	}
	return all
}

// playShoppers sends the events of all shoppers.
func playShoppers(ctx context.Context, collector, key string, now time.Time) error {
	var all []serverEvent
	for _, s := range shoppers {
		all = append(all, s.events(now)...)
	}
	return send(ctx, collector, key, all)
}

// outcome is what reports say of a shopper.
type outcome struct {
	products []string
	shown    string
}

// printShoppers prints what the shoppers are interested in, the audience that some of them are, and what these are to be shown.
// The error says where that differs from what it must be.
func printShoppers(ctx context.Context, sql ledger.ClickHouse) error {
	outcomes, err := settledOutcomes(ctx, sql)
	if err != nil {
		return err
	}
	fmt.Println("\nWhat shoppers did with products: SELECT * FROM onepx.product_interest_of(site, visitor), once for each of them")
	for i, s := range shoppers {
		fmt.Printf("  %s: %s\n", s.name, strings.Join(outcomes[i].products, ", "))
	}
	of := "(site='" + shopperSite + "', segment='" + shopperSegment + "')"
	for _, r := range []struct{ title, query string }{
		{"Who has put something into the cart and not bought it: SELECT * FROM onepx.audience_members(site, segment)",
			"SELECT visitor_id, products, formatDateTime(qualified_at, '%H:%i') AS since, toDate(ends_at) AS ends, hits FROM onepx.audience_members" + of + " ORDER BY qualified_at"},
		{"The product to show to each of them: SELECT * FROM onepx.tailored(site, segment)",
			"SELECT visitor_id, product_id, title, price_micros / 1000000 AS price, currency, price_seen_micros / 1000000 AS price_seen, reason, seen_product_id AS seen FROM onepx.tailored" + of + " ORDER BY visitor_id"},
		{"Why is the first of them in: SELECT * FROM onepx.audience_explained(site, segment, visitor)",
			"SELECT formatDateTime(at, '%H:%i') AS time, step, product, counted, note, consent, decided_by FROM onepx.audience_explained" + strings.TrimSuffix(of, ")") + ", visitor='" + shoppers[0].id().String() + "')"},
	} {
		fmt.Println("\n" + r.title)
		if err := printTable(ctx, sql, r.query); err != nil {
			return err
		}
	}
	return compareOutcomes(outcomes)
}

// settledOutcomes waits until reports say of the shoppers what they must, and returns what they said last.
func settledOutcomes(ctx context.Context, sql ledger.ClickHouse) (outcomes []outcome, err error) {
	err = until(ctx, func() (bool, error) {
		outcomes, err = askOutcomes(ctx, sql)
		return err == nil && compareOutcomes(outcomes) == nil, err
	})
	return outcomes, err
}

// askOutcomes asks for the outcomes of the shoppers, in their order.
func askOutcomes(ctx context.Context, sql ledger.ClickHouse) ([]outcome, error) {
	shown := map[string]string{}
	query := "SELECT toString(visitor_id) AS id, concat(product_id, ' ', reason) AS product FROM onepx.tailored(site='" + shopperSite + "', segment='" + shopperSegment + "')"
	err := sql.Query(ctx, query, func(raw json.RawMessage) error {
		var row struct{ ID, Product string }
		err := json.Unmarshal(raw, &row)
		shown[row.ID] = row.Product
		return err
	})
	if err != nil {
		return nil, err
	}
	var outcomes []outcome
	for _, s := range shoppers {
		products, err := askInterest(ctx, sql, s.id())
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, outcome{products, shown[s.id().String()]})
	}
	return outcomes, nil
}

func askInterest(ctx context.Context, sql ledger.ClickHouse, visitor uuid.UUID) (products []string, err error) {
	query := "SELECT product, state FROM onepx.product_interest_of(site='" + shopperSite + "', visitor='" + visitor.String() + "')"
	err = sql.Query(ctx, query, func(raw json.RawMessage) error {
		var row struct{ Product, State string }
		if err := json.Unmarshal(raw, &row); err != nil {
			return err
		}
		products = append(products, row.Product+" "+row.State)
		return nil
	})
	return products, err
}

// compareOutcomes says where the outcomes of the shoppers, in their order, are not what they must be, or nil.
func compareOutcomes(outcomes []outcome) error {
	var wrong []error
	for i, s := range shoppers {
		if got := outcomes[i].products; !slices.Equal(got, s.products) {
			wrong = append(wrong, fmt.Errorf("%s: interested in %q, not %q", s.name, got, s.products))
		}
		if got := outcomes[i].shown; got != s.shown {
			wrong = append(wrong, fmt.Errorf("%s: to be shown %q, not %q", s.name, got, s.shown))
		}
	}
	return errors.Join(wrong...)
}
