//go:build integration

package console_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// bazaar makes up a site market: visitors, what they have done with products, and products that are alike in all that can decide.
type bazaar struct {
	*rand.Rand
	w     *world
	begin time.Time
}

func (b *bazaar) insert(table, columns string, rows []string) {
	b.w.t.Helper()
	require.NoError(b.w.t, b.w.clickHouse.Query(b.w.t.Context(), "INSERT INTO onepx."+table+" ("+columns+") VALUES "+strings.Join(rows, ", "), nil))
}

// one is one of the words.
func (b *bazaar) one(words ...string) string { return words[b.IntN(len(words))] }

// minute is one of few moments, as text and as a value in SQL.
func (b *bazaar) minute() (text, value string) {
	text = b.begin.Add(time.Duration(b.IntN(20)) * time.Minute).Format("2006-01-02 15:04:05.000")
	return text, "'" + text + "'"
}

// variety is how many products there are, with so few categories and prices that several are as near; wanted how many of them
// visitors see.
const (
	variety = 40
	wanted  = 12
)

// product is an id of a product, of a group, or of what the feed does not have.
func (b *bazaar) product() string {
	return fmt.Sprintf("%s%d", b.one("p", "p", "p", "g", "x"), b.IntN(wanted))
}

func (b *bazaar) category() string { return b.one("tea", "cups", "it's", "") }

// visitors come into segments, and see products.
func (b *bazaar) visitors(n int) []uuid.UUID {
	var hits, seen, refusals []string
	all := make([]uuid.UUID, n)
	for i := range all {
		all[i] = uuid.New()
		n := b.IntN(8)
		if i == 0 {
			n = 2200 // more of a segment than a lookup judges itself
		}
		for range n {
			product := b.product()
			if b.IntN(4) == 0 {
				product = ""
			}
			_, at := b.minute()
			hits = append(hits, fmt.Sprintf("('market', 's%d', 'v', 'enter', 'cookie', '%s', '%s', %s, '%s', now() + 9999)", b.IntN(2), all[i], product, at, uuid.New()))
		}
		known := map[string]bool{}
		for range b.IntN(12) {
			product := b.product()
			if known[product] {
				continue
			}
			known[product] = true
			did := []string{"0", "0", "0"}
			for j := range did {
				if b.IntN(2) == 0 {
					_, did[j] = b.minute()
				}
			}
			priceAt, _ := b.minute()
			categoryAt, _ := b.minute()
			price := fmt.Sprintf("%s %s %d", priceAt, b.one("EUR", "USD"), b.IntN(10)*1e6)
			category := categoryAt + " " + strings.ReplaceAll(b.category(), "'", `\'`)
			seen = append(seen, fmt.Sprintf("('market', '%s', '%s', %s, '%s', '%s', now() + 9999)", all[i], product, strings.Join(did, ", "), b.one(price, price, ""), b.one(category, category, "")))
		}
		if b.IntN(5) == 0 {
			_, at := b.minute()
			refusals = append(refusals, fmt.Sprintf("('market', '%s', %s, now() + 9999)", all[i], at))
		}
	}
	// More rows than a lookup reads of a visitor, before those that count.
	before := "'" + b.begin.Add(-time.Minute).Format("2006-01-02 15:04:05.000") + "'"
	for i := range 1100 {
		hits = append(hits, fmt.Sprintf("('market', 'r', 'v', 'enter', 'cookie', '%s', 'p1', %s, '%s', now() + 9999)", all[1], before, uuid.New()))
		seen = append(seen, fmt.Sprintf("('market', '%s', 'a%d', %s, 0, 0, '', '', now() + 9999)", all[2], i, before))
	}
	b.insert("segment_hits", "site_id, segment, version, step, visitor_kind, visitor_id, product, occurred_at, event_id, expires_at", hits)
	b.insert("product_interest", "site_id, visitor_id, product, viewed_at, carted_at, bought_at, price, category, expires_at", seen)
	b.insert("profile_refusals", "site_id, visitor_id, refused_at, expires_at", refusals)
	return all
}

// feed sells some of the products, at few prices.
func (b *bazaar) feed() {
	var rows []string
	for i := range variety {
		sale, from, until := "NULL", "now() - 9999", "now() + 9999"
		switch b.IntN(6) {
		case 0:
			sale = fmt.Sprint(b.IntN(6) * 1e6)
		case 1:
			sale, until = "500000", "now() - 999"
		case 2:
			sale, from = "500000", "now() + 999"
		}
		rows = append(rows, fmt.Sprintf("('market', 'p%d', %d, '%s', %s, %s, %s, '%s', '%s', '%s')", i, b.IntN(10)*1e6, b.one("EUR", "EUR", "USD"), sale, from, until,
			b.one("in_stock", "in_stock", "out_of_stock", "out_of_stock", "out_of_stock", "preorder", "backorder"), strings.ReplaceAll(b.category(), "'", `\'`), b.one("", fmt.Sprint("g", b.IntN(wanted)), fmt.Sprint("p", b.IntN(wanted)))))
	}
	b.insert("products", "site_id, product_id, price_micros, currency, sale_micros, sale_from, sale_until, availability, category, item_group_id", rows)
}

// tailored is what the view tailored_of says, by visitor and segment.
func (w *world) tailored(visitors []uuid.UUID) map[string]string {
	w.t.Helper()
	list := make([]string, len(visitors))
	for i, v := range visitors {
		list[i] = "'" + v.String() + "'"
	}
	all := map[string]string{}
	for _, segment := range []string{"s0", "s1"} {
		err := w.clickHouse.Query(w.t.Context(), "SELECT visitor_id, product_id, reason, if(price_micros IS NULL, '', toString(price_micros / 1000000)) AS price, currency, if(seen_product_id = product_id, '', seen_product_id) AS seen "+
			"FROM onepx.tailored_of(site = 'market', segment = '"+segment+"', visitors = ["+strings.Join(list, ", ")+"])", func(row json.RawMessage) error {
			var r struct {
				Visitor                                uuid.UUID `json:"visitor_id"`
				Product                                string    `json:"product_id"`
				Reason, Price, Currency, Seen, Segment string
			}
			err := json.Unmarshal(row, &r)
			all[r.Visitor.String()+" "+segment] = strings.Join([]string{r.Product, r.Reason, r.Price, r.Currency, r.Seen}, "|")
			return err
		})
		require.NoError(w.t, err)
	}
	return all
}

// shown is what lookups say.
func (w *world) shown(visitors []uuid.UUID) map[string]string {
	w.t.Helper()
	answers := make([]string, len(visitors))
	var asking errgroup.Group
	asking.SetLimit(64)
	for i, v := range visitors {
		asking.Go(func() error {
			for begin := time.Now(); ; {
				status, body := w.ask(http.MethodGet, marketKey, "market/visitors/"+v.String()+"/audiences", "")
				switch {
				case status == http.StatusOK:
					answers[i] = body
					return nil
				case status != http.StatusServiceUnavailable || time.Since(begin) > patience: // a busy machine may need another try
					return fmt.Errorf("%d %s", status, body)
				}
			}
		})
	}
	require.NoError(w.t, asking.Wait())
	all := map[string]string{}
	for i, body := range answers {
		require.LessOrEqual(w.t, len(body), 1024)
		var answer struct {
			Audiences []struct {
				ID   string
				Show *struct{ ID, Reason, Price, Currency, Seen string }
			}
		}
		require.NoError(w.t, json.Unmarshal([]byte(body), &answer))
		for _, a := range answer.Audiences {
			if s := a.Show; s != nil {
				all[visitors[i].String()+" "+a.ID] = strings.Join([]string{s.ID, s.Reason, s.Price, s.Currency, s.Seen}, "|")
			}
		}
	}
	return all
}

// testShown compares what lookups show with the view that defines it, with and without a feed.
func testShown(t *testing.T, w *world) {
	const seed = 7
	b := &bazaar{rand.New(rand.NewPCG(seed, seed)), w, time.Now().UTC().Add(-time.Hour).Truncate(time.Minute)}
	for _, statement := range pipeline.FactsWithoutEvents() {
		require.NoError(t, w.clickHouse.Query(t.Context(), statement, nil))
	}
	var segments []string
	for i := range 2 {
		segments = append(segments, fmt.Sprintf("('market', 's%d', 'v', 'active', 1, 86400000, 86400000, now64(3))", i))
	}
	b.insert("segments", "site_id, segment, version, state, times_min, within_ms, lives_ms, saved_at", segments)
	reasons := map[string]int{}
	for round := range 3 {
		if round > 0 {
			require.NoError(t, w.clickHouse.Query(t.Context(), "ALTER TABLE onepx.products DROP PARTITION 'market'", nil))
			b.feed()
		}
		visitors := b.visitors(150)
		want := w.tailored(visitors)
		require.Equal(t, want, w.shown(visitors), "round %d", round)
		for _, shown := range want {
			reasons[strings.Split(shown, "|")[1]]++
		}
	}
	for _, reason := range []string{"viewed", "carted", "bought", "matched", "price_changed", "same_category", "no_feed"} {
		require.Greater(t, reasons[reason], 5, "%v", reasons)
	}
	w.knowsACrawler(b)
}

// knowsACrawler asks for a visitor of whom more is known than a lookup reads as it is: what can matter is found all the same.
func (w *world) knowsACrawler(b *bazaar) {
	t := w.t
	t.Helper()
	crawler := uuid.NewString()
	today := time.Now().UTC()
	seen := func(ads int, day time.Time) {
		require.NoError(t, w.clickHouse.Query(t.Context(), fmt.Sprintf("INSERT INTO onepx.touches (site_id, kind, site_day, occurred_at, event_id, visitor_kind, visitor_id, campaign, expires_at) "+
			"SELECT 'market', 'view', '%s', now64(3), reinterpret(sipHash128(number), 'UUID'), 'cookie', '%s', 'autumn', now() + 9999 FROM numbers(%d)", day.Format(time.DateOnly), crawler, ads), nil))
	}
	seen(120_000, today.AddDate(0, 0, -1))
	seen(2, today)
	b.insert("segment_hits", "site_id, segment, version, step, visitor_kind, visitor_id, occurred_at, event_id, expires_at",
		[]string{fmt.Sprintf("('market', 's0', 'v', 'enter', 'cookie', '%s', now64(3), '%s', now() + 9999)", crawler, uuid.New())})
	status, body := w.ask(http.MethodGet, marketKey, "market/visitors/"+crawler+"/audiences", "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"id":"s0"`)
	require.Contains(t, body, `"impressions":{"autumn":2}`)
}
