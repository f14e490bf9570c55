//go:build integration

package store_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// shopper makes the rows of one visitor's events with products.
type shopper struct {
	visitor uuid.UUID
	rows    []store.Row
}

// did adds an event at a time of the day, such as 10:30, with items such as `tea`, `tea 4.90` or `tea 4.90 drinks`.
func (s *shopper) did(clock, name string, items ...string) *shopper {
	row := batch(0, 1)[0]
	hour, err := time.Parse("15:04", clock)
	if err != nil {
		panic(err)
	}
	row.OccurredAt = day.Add(hour.Sub(hour.Truncate(24 * time.Hour)))
	row.Name, row.Kind, row.Currency, row.SiteCurrency = name, "custom", "EUR", "EUR"
	row.VisitorID, row.ConsentProfile = s.visitor, true
	row.EventID = uuid.NewSHA1(s.visitor, fmt.Append(nil, clock, name))
	for _, item := range items {
		part := append(strings.Fields(item), "", "")
		row.ItemIDs, row.ItemQuantityMicros = append(row.ItemIDs, part[0]), append(row.ItemQuantityMicros, 1_000_000)
		row.ItemPriceMicros, row.ItemCategories = append(row.ItemPriceMicros, euros(part[1])), append(row.ItemCategories, part[2])
	}
	s.rows = append(s.rows, row)
	return s
}

// euros reads an amount such as 4.90; "" and - are none.
func euros(text string) *int64 {
	if text == "" || text == "-" {
		return nil
	}
	var whole, cents int64
	if _, err := fmt.Sscanf(text, "%d.%02d", &whole, &cents); err != nil {
		panic(err)
	}
	return new(whole*1_000_000 + cents*10_000)
}

// but changes the event that was added last.
func (s *shopper) but(change func(*store.Row)) *shopper {
	change(&s.rows[len(s.rows)-1])
	return s
}

// keep stores rows, numbered anew, as one block.
func (d db) keep(first int64, rows []store.Row) {
	d.t.Helper()
	for i := range rows {
		rows[i].KafkaOffset, rows[i].BatchFirst, rows[i].BatchLast = first+int64(i), first, first+int64(len(rows))-1
	}
	require.NoError(d.t, d.Insert(within(d.t), fmt.Sprint("interest/", first), rows))
}

// answer are the rows of a query of one text, in their order; `%s` stands for the database.
func (d db) answer(query string) (texts []string) {
	d.t.Helper()
	rows, err := d.conn.Query(d.t.Context(), strings.ReplaceAll(query, "%s", d.name))
	require.NoError(d.t, err)
	for rows.Next() {
		var text string
		require.NoError(d.t, rows.Scan(&text))
		texts = append(texts, text)
	}
	require.NoError(d.t, rows.Err())
	require.NoError(d.t, rows.Close())
	return texts
}

// interest are the products of a visitor: product, state, moment, counts, price and category.
func (d db) interest(visitor uuid.UUID) []string {
	d.t.Helper()
	return d.answer("SELECT concatWithSeparator('|', product, state, formatDateTime(newest_at, '%H:%i'), ifNull(concat(toString(views), '/', toString(carts), '/', toString(purchases)), '-'), " +
		"ifNull(concat(toString(price_micros / 1000000), currency), '-'), category) FROM %s.product_interest_of(site = 'shop', visitor = '" + visitor.String() + "')")
}

func TestProductsOfAVisitor(t *testing.T) {
	d := migrated(t)
	next := int64(0)
	for _, tc := range []struct {
		name string
		did  func(s *shopper)
		want []string
	}{
		{"newest first, with the newest price and category", func(s *shopper) {
			s.did("10:00", "view_item", "tea 4.90 drinks").did("10:10", "product_view", "cup 7.00 dishes").did("10:20", "view_item", "tea 5.10 hot")
		}, []string{"tea|viewed|10:20|2/0/0|5.1EUR|hot", "cup|viewed|10:10|1/0/0|7EUR|dishes"}},
		{"what is in the cart stays so when it is viewed again", func(s *shopper) { s.did("10:00", "add_to_cart", "tea").did("10:10", "view_item", "tea") }, []string{"tea|carted|10:10|1/1/0|-|"}},
		{"bought after the last view and cart", func(s *shopper) {
			s.did("10:00", "view_item", "tea").did("10:05", "add_to_cart", "tea").did("10:10", "purchase", "tea")
		}, []string{"tea|bought|10:10|1/1/1|-|"}},
		{"bought and viewed again", func(s *shopper) { s.did("10:10", "purchase", "tea").did("10:20", "view_item", "tea") }, []string{"tea|viewed|10:20|1/0/1|-|"}},
		{"bought and put in the cart again", func(s *shopper) {
			s.did("10:00", "add_to_cart", "tea").did("10:10", "purchase", "tea").did("10:20", "add_to_cart", "tea")
		}, []string{"tea|carted|10:20|0/2/1|-|"}},
		{"of a moment at which all happens it is bought", func(s *shopper) { s.did("10:10", "purchase", "tea").did("10:10", "view_item", "tea") }, []string{"tea|bought|10:10|1/0/1|-|"}},
		{"a price that is not given leaves the one before", func(s *shopper) { s.did("10:00", "view_item", "tea 4.90").did("10:10", "view_item", "tea - drinks") }, []string{"tea|viewed|10:10|2/0/0|4.9EUR|drinks"}},
		{"the same product twice in an order is one purchase", func(s *shopper) { s.did("10:00", "purchase", "tea 1.00", "tea 2.00", "cup") }, []string{"cup|bought|10:00|0/0/1|-|", "tea|bought|10:00|0/0/1|2EUR|"}},
		{"events of other names, without items, of machines and without consent say nothing", func(s *shopper) {
			s.did("10:00", "refund", "tea").did("10:01", "view_item").did("10:02", "view_item", "tea").but(func(r *store.Row) { r.IsBot = true })
			s.did("10:03", "view_item", "tea").but(func(r *store.Row) { r.ConsentProfile, r.VisitorID = false, uuid.Nil })
			s.did("10:04", "view_item", "tea").but(func(r *store.Row) { r.Outcome = store.OutcomeDuplicate })
		}, nil},
		{"nothing of before a refusal or at its moment counts, and the counts are not known", func(s *shopper) {
			s.did("10:00", "view_item", "tea 4.90 drinks", "cup").did("10:10", "page_view").but(func(r *store.Row) { r.ConsentProfile = false }).did("10:10", "add_to_cart", "cup").did("10:20", "view_item", "tea")
		}, []string{"tea|viewed|10:20|-|-|"}},
	} {
		d := d.of(t)
		s := &shopper{visitor: uuid.NewSHA1(uuid.Nil, []byte(tc.name))}
		tc.did(s)
		for round := range 3 {
			if round > 0 { // once more, in another order
				rand.Shuffle(len(s.rows), func(i, j int) { s.rows[i], s.rows[j] = s.rows[j], s.rows[i] })
			}
			d.keep(next, s.rows)
			next += int64(len(s.rows))
			require.Equal(t, tc.want, d.interest(s.visitor), "%s, round %d", tc.name, round)
		}
	}
}

func TestVisitorsWhoAreSuppressedHaveNoProducts(t *testing.T) {
	d := migrated(t)
	s := &shopper{visitor: uuid.New()}
	d.keep(0, s.did("10:00", "view_item", "tea").rows)
	wish := func(wished bool, position int) {
		d.exec(fmt.Sprintf("INSERT INTO %s.suppressed_visitors SELECT cityHash64(toUUID('%s')), %t, %d, now64(3)", d.name, s.visitor, wished, position))
	}
	wish(false, 1)
	require.Len(t, d.interest(s.visitor), 1)
	wish(true, 2)
	require.Empty(t, d.interest(s.visitor))
	wish(false, 3)
	require.Len(t, d.interest(s.visitor), 1)
}

func TestAnyOrderAndRepetitionOfEventsGivesTheSameInterest(t *testing.T) {
	d, other := migrated(t), fresh(t).migrate()
	rows := crowd(450)
	d.keep(0, rows)
	repeated := append(append([]store.Row(nil), rows...), rows[:150]...)
	rand.Shuffle(len(repeated), func(i, j int) { repeated[i], repeated[j] = repeated[j], repeated[i] })
	for first := 0; first < len(repeated); first += 50 {
		other.keep(int64(first), repeated[first:first+50])
	}
	require.Equal(t, d.contents("product_interest"), other.contents("product_interest"))
	require.Greater(t, d.number("SELECT count() FROM %s.product_interest FINAL"), int64(20))
}
