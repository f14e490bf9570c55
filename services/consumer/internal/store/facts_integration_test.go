//go:build integration

package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// lines are the rows of a table, its columns as CSV, in the order of the lines.
func (d db) lines(columns, table string) []string {
	d.t.Helper()
	var rows []string
	require.NoError(d.t, d.conn.QueryRow(d.t.Context(),
		"SELECT arraySort(groupArray(formatRowNoNewline('CSV', "+columns+"))) FROM "+d.name+"."+table).Scan(&rows))
	return rows
}

// order makes the row an order event of a visitor who bought with the given goals.
func order(entry, orderID string, micros *int64, goals ...string) func(*store.Row) {
	return func(r *store.Row) {
		r.Kind, r.Name, r.OrderID, r.ValueMicros, r.Currency, r.SiteCurrency, r.Transport = "order", entry, orderID, micros, "USD", "EUR", "gif"
		for _, goal := range goals {
			r.GoalIDs, r.GoalOncePer, r.GoalValues = append(r.GoalIDs, goal), append(r.GoalOncePer, "order"), append(r.GoalValues, "event")
			r.GoalValueMicros, r.GoalCurrencies = append(r.GoalValueMicros, micros), append(r.GoalCurrencies, "USD")
			r.GoalClickWindowDays, r.GoalViewWindowDays = append(r.GoalClickWindowDays, 30), append(r.GoalViewWindowDays, 1)
		}
	}
}

func both(changes ...func(*store.Row)) func(*store.Row) {
	return func(r *store.Row) {
		for _, change := range changes {
			change(r)
		}
	}
}

func TestGoalsOfAnEventAreStoredBesideIt(t *testing.T) {
	d := migrated(t)
	config, err := siteconfig.Parse("f", []byte(`
sites:
  - id: shop
    timezone: UTC
    currency: EUR
    goals:
      - {id: purchase, event: purchase}
      - {id: lead, event: purchase, once_per: session, value: "9.9", currency: CHF, click_window_days: 90, view_window_days: 7}
      - {id: seen, event: purchase, once_per: hit, value: none}
`))
	require.NoError(t, err)
	enricher, err := enrich.New(enrich.NewRules(config))
	require.NoError(t, err)
	micros := int64(5_000_000)
	for offset, event := range []*onepxv1.Event{
		{SiteId: "shop", Name: "purchase", Commerce: &onepxv1.Commerce{ValueMicros: &micros, Currency: "USD"}},
		{SiteId: "shop", Name: "purchase"},
		{SiteId: "shop", Name: "page_view"},
		{SiteId: "gone", Name: "purchase"},
	} {
		d.insertOne(int64(offset), func(r *store.Row) { r.Fill(event, enricher.Facts(event)) })
	}
	require.Equal(t, []string{
		`0,"EUR","['purchase','lead','seen']","['order','session','hit']","['event','fixed','none']","[5000000,9900000,NULL]","['USD','CHF','EUR']","[30,90,30]","[1,7,1]"`,
		`1,"EUR","['purchase','lead','seen']","['order','session','hit']","['event','fixed','none']","[NULL,9900000,NULL]","['EUR','CHF','EUR']","[30,90,30]","[1,7,1]"`,
		`2,"EUR","[]","[]","[]","[]","[]","[]","[]"`,
		`3,"","[]","[]","[]","[]","[]","[]","[]"`,
	}, d.lines("kafka_offset, site_currency, goals.id, goals.once_per, goals.value, goals.value_micros, goals.currency, goals.click_window_days, goals.view_window_days", "events"))
	require.Len(t, d.lines("goal", "conversion_hits"), 6)
}

func TestEveryHitIsAFactWithWhatDecidesWhetherItCounts(t *testing.T) {
	d := migrated(t)
	value := int64(7)
	d.insertOne(0, both(visitor("cookie", "anna", "a"), order("purchase", "o1", &value, "purchase", "big")))
	d.insertOne(1, both(order("purchase", "o1", nil, "purchase"), func(r *store.Row) { r.Outcome = store.OutcomeDuplicate }))
	d.insertOne(2, both(order("purchase", "o2", &value, "purchase"), func(r *store.Row) { r.IsBot = true }))
	d.insertOne(3, both(order("purchase", "o3", &value, "purchase"), func(r *store.Row) { r.Outcome = store.OutcomeSuppressed }))
	d.insertOne(4, order("purchase", "o4", &value))
	require.Equal(t, []string{
		`0,"big","order","event",7,"USD","EUR",30,1,"o1","order","gif","event",false`,
		`0,"purchase","order","event",7,"USD","EUR",30,1,"o1","order","gif","event",false`,
		`1,"purchase","order","event",\N,"USD","EUR",30,1,"o1","order","gif","duplicate",false`,
		`2,"purchase","order","event",7,"USD","EUR",30,1,"o2","order","gif","event",true`,
	}, d.lines("kafka_offset, goal, once_per, value, value_micros, currency, site_currency, click_window_days, view_window_days, order_id, kind, transport, outcome, is_bot", "conversion_hits"))
	require.EqualValues(t, 2, d.number("SELECT count() FROM %s.conversion_hits WHERE visitor_kind = 'cookie' AND visitor_id = '"+id("anna").String()+"' AND site_id = 'shop' AND site_day = '2026-11-24'"))
}

func TestOrderEntriesAreWhatCountsOfOrders(t *testing.T) {
	d := migrated(t)
	value, price := int64(7), int64(3)
	d.insertOne(0, both(order("purchase", "o1", &value), func(r *store.Row) {
		r.ItemIDs, r.ItemQuantityMicros, r.ItemPriceMicros, r.ItemCategories = []string{"a", "b"}, []int64{1, 2}, []*int64{&price, nil}, []string{"", ""}
	}))
	for i, flag := range []string{"value_invalid", "currency_invalid", "items_invalid", "text_truncated"} {
		d.insertOne(int64(1+i), both(order("refund", "o1", nil), func(r *store.Row) { r.Flags = []string{flag} }))
	}
	d.insertOne(5, both(order("cancel", "", nil), func(r *store.Row) { r.IsBot = true }))
	d.insertOne(6, both(order("purchase", "o1", &value), func(r *store.Row) { r.Outcome = store.OutcomeDuplicate }))
	d.insertOne(7, func(r *store.Row) { r.Kind, r.Name = "custom", "purchase" })
	require.Equal(t, []string{
		`0,"o1","purchase",7,false,"USD","EUR","['a','b']","[1,2]","[3,NULL]",false`,
		`1,"o1","refund",\N,true,"USD","EUR","[]","[]","[]",false`,
		`2,"o1","refund",\N,true,"USD","EUR","[]","[]","[]",false`,
		`3,"o1","refund",\N,true,"USD","EUR","[]","[]","[]",false`,
		`4,"o1","refund",\N,false,"USD","EUR","[]","[]","[]",false`,
		`5,"","cancel",\N,false,"USD","EUR","[]","[]","[]",true`,
	}, d.lines("kafka_offset, order_id, entry, value_micros, value_unreadable, currency, site_currency, items.id, items.quantity_micros, items.price_micros, is_bot", "order_entries"))
}

func TestTouchesAreWherePeopleCameFrom(t *testing.T) {
	d := migrated(t)
	from := func(kind, source, medium, campaign, referrer string) func(*store.Row) {
		return func(r *store.Row) {
			r.Kind, r.Source, r.Medium, r.Campaign, r.Referrer = kind, source, medium, campaign, referrer
		}
	}
	d.insertOne(0, both(from("page_view", "google", "cpc", "spring", "https://www.google.com/"), func(r *store.Row) { r.ClickID, r.UTMContent, r.Channel = "abc", "button", "Paid Search" }))
	d.insertOne(1, from("page_view", "", "", "", ""))
	d.insertOne(2, from("page_view", "", "", "", "https://shop.example/before"))
	d.insertOne(3, both(from("impression", "partner", "display", "spring", ""), func(r *store.Row) { r.Props = map[string]string{"creative": "red", "placement": "top"} }))
	d.insertOne(4, both(from("impression", "", "", "", ""), func(r *store.Row) { r.UTMContent, r.Props = "blue", map[string]string{"creative": "red"} }))
	d.insertOne(5, from("email_click", "email", "email", "may", ""))
	d.insertOne(6, from("custom", "google", "cpc", "spring", ""))
	d.insertOne(7, both(from("page_view", "google", "cpc", "spring", ""), func(r *store.Row) { r.IsBot = true }))
	d.insertOne(8, both(from("page_view", "google", "cpc", "spring", ""), func(r *store.Row) { r.Outcome = store.OutcomeDuplicate }))
	require.Equal(t, []string{
		`0,"click","Paid Search","google","cpc","spring","abc","button",""`,
		`1,"direct","Direct","","","","","",""`,
		`3,"view","Direct","partner","display","spring","","red","top"`,
		`4,"view","Direct","","","","","blue",""`,
		`5,"click","Direct","email","email","may","","",""`,
	}, d.lines("kafka_offset, kind, channel, source, medium, campaign, click_id, creative, placement", "touches"))
}

func TestIdentitiesJoinVisitorsToTheirUserKeys(t *testing.T) {
	d := migrated(t)
	known := func(r *store.Row) { r.UserKey = id("customer") }
	d.insertOne(0, both(visitor("cookie", "anna", "a"), known))
	d.insertOne(1, both(visitor("daily_hash", "", "b"), known))
	d.insertOne(2, visitor("cookie", "anna", "a"))
	d.insertOne(3, both(visitor("none", "", ""), known))
	d.insertOne(4, both(visitor("cookie", "robot", "c"), known, func(r *store.Row) { r.IsBot = true }))
	d.insertOne(5, both(visitor("cookie", "bert", "d"), known, func(r *store.Row) { r.Outcome = store.OutcomeDuplicate }))
	key := id("customer").String()
	require.ElementsMatch(t, []string{
		`"shop","` + key + `","cookie","` + id("anna").String() + `","` + id("a").String() + `"`,
		`"shop","` + key + `","daily_hash","` + uuid.UUID{}.String() + `","` + id("b").String() + `"`,
	}, d.lines("site_id, user_key, visitor_kind, visitor_id, daily_hash", "identities"))
}

func TestVisitorsTellWhetherAnIDHasComeBackAndWasOnTheSite(t *testing.T) {
	d := migrated(t)
	later := func(days int) func(*store.Row) {
		return func(r *store.Row) { r.SiteDay = r.SiteDay.AddDate(0, 0, days) }
	}
	impression := func(r *store.Row) { r.Kind = "impression" }
	d.insertOne(0, both(visitor("cookie", "anna", "a"), later(3)))
	d.insertOne(1, visitor("minted", "anna", "a"))
	d.insertOne(2, both(visitor("minted", "bert", "b"), impression))
	d.insertOne(3, both(visitor("provided", "carl", "c"), impression, later(1)))
	d.insertOne(4, visitor("daily_hash", "", "d"))
	d.insertOne(5, both(visitor("cookie", "robot", "e"), func(r *store.Row) { r.IsBot = true }))
	require.ElementsMatch(t, []string{
		`"` + id("anna").String() + `","2026-11-24","2026-11-27",1,1`,
		`"` + id("bert").String() + `","2026-11-24","2026-11-24",0,0`,
		`"` + id("carl").String() + `","2026-11-25","2026-11-25",1,0`,
	}, d.lines("visitor_id, first_day, last_day, returned, on_site", "visitors FINAL"))
}

func TestVisitorEventsAreThoseThatSessionsConsistOf(t *testing.T) {
	d := migrated(t)
	value := int64(1)
	pixel := func(kind, transport string) func(*store.Row) {
		return func(r *store.Row) { r.Kind, r.Transport, r.PagePath = kind, transport, "/p" }
	}
	d.insertOne(0, pixel("page_view", "gif"))
	d.insertOne(1, both(pixel("custom", "beacon"), func(r *store.Row) { r.UTMID = "c42" }))
	d.insertOne(2, both(pixel("identify", "beacon"), func(r *store.Row) { r.ClickID = "abc" }))
	d.insertOne(3, order("purchase", "o1", &value))
	d.insertOne(4, order("refund", "o1", &value))
	d.insertOne(5, pixel("page_view", "server"))
	d.insertOne(6, pixel("impression", "gif"))
	d.insertOne(7, pixel("email_click", "redirect"))
	d.insertOne(8, both(pixel("page_view", "gif"), func(r *store.Row) { r.IsBot = true }))
	d.insertOne(9, both(pixel("page_view", "gif"), func(r *store.Row) { r.Outcome = store.OutcomeDuplicate }))
	require.Equal(t, []string{
		`"custom","page_view","/p",true,false`,
		`"identify","page_view","/p",true,false`,
		`"order","purchase","",false,false`,
		`"page_view","page_view","/p",false,false`,
		`"page_view","page_view","/p",false,true`,
	}, d.lines("kind, name, page_path, with_campaign, is_bot", "visitor_events"))
}

func TestFactsAreFilledOncePerBatchAndGoWithItsRows(t *testing.T) {
	d := migrated(t)
	value := int64(1)
	rows := batch(0, 3)
	for i := range rows {
		rows[i].UserKey = id("customer")
		rows[i].DeclaredAt, rows[i].RetentionDays = time.Now().UTC().AddDate(0, 0, -10), 9
	}
	rows[2].DeclaredAt = time.Now().UTC()
	order("purchase", "o1", &value, "purchase")(&rows[0])
	order("purchase", "o2", &value, "purchase")(&rows[2])
	for range 2 {
		require.NoError(t, d.Insert(within(t), "token", rows))
	}
	for table, kept := range map[string]int64{"conversion_hits": 1, "order_entries": 1, "touches": 0, "identities": 1, "visitor_events": 1, "visitors": 1} {
		d.exec("OPTIMIZE TABLE " + d.name + "." + table + " FINAL")
		require.Equal(t, kept, d.number("SELECT count() FROM %s."+table), table)
	}
}
