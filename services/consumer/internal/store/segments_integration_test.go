//go:build integration

package store_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/segments"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// dice makes conditions and events of few words, so that they meet often, and of words that are hard to quote.
type dice struct{ *rand.Rand }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

var (
	someNames    = []string{"view_item", "add_to_cart", "purchase", "it's", `back\slash`}
	someProducts = []string{"p-1", "p-2", "größe", `it's "q"\`, "?", "{id:String}", "$1 @name -- x", "a\nb\t\x00c"}
	somePatterns = []string{
		"/tea/", "^https://shop", "p-[0-9]+$", "(?i)STRASSE|straße", `\bsale\b`, "a.b", "(?s)a.b", "[[:alpha:]]{3,}/", `\pL\pN`, "(de|en)/(tea|coffee)", "x*$", `\Qa?b\E`,
		"ſ", "(?i)k", "^$", "[^/]+/$", "(ab)+c", `\x{1F375}`, "(?m)^b$", `shop\.example/?\?`, "tea|^x", `'`,
	}
	someURLs = []string{
		"", "https://shop.example/de/tea/p-1", "https://shop.example/en/coffee/p-22", "https://shop.example/?utm=sale", "https://shop.example/STRASSE/", "https://shop.example/straße/7",
		"https://shop.example/a\nb", "a?b", "https://shop.example/\u212a/", "https://shop.example/ſ", "ababc", "https://shop.example/tea/🍵", "x\nb\ny", "it's", "https://SHOP.example/Tea/",
	}
	someAmounts = []int64{0, 1, 499_999, 500_000, 9_900_000, 10_000_000, 999_999_999_999_999_999, -1, -500_000, math.MinInt64, math.MaxInt64}
)

func (d dice) band() *siteconfig.Band {
	low, high := siteconfig.Micros(pick(d, someAmounts[:7]...)), siteconfig.Micros(pick(d, someAmounts[:7]...))
	if low > high {
		low, high = high, low
	}
	return pick(d, &siteconfig.Band{Min: &low}, &siteconfig.Band{Max: &high}, &siteconfig.Band{Min: &low, Max: &high})
}

func (d dice) condition(depth int) siteconfig.Condition {
	var c siteconfig.Condition
	for range 1 + d.IntN(2) {
		switch d.IntN(7 + 3*min(depth, 1)) {
		case 0:
			c.Event = pick(d, someNames...)
		case 1:
			c.URL = pick(d, somePatterns...)
		case 2:
			c.Props = map[string]string{pick(d, "plan", "it's"): pick(d, "pro", "it's", `\`)}
		case 3:
			c.Products = []string{pick(d, someProducts...), pick(d, someProducts...)}
		case 4:
			c.Category = pick(d, "tea", "it's", "Tea > Grün")
		case 5:
			c.Price = d.band()
		case 6:
			c.Value = d.band()
		case 7:
			c.All = []siteconfig.Condition{d.condition(depth - 1), d.condition(depth - 1)}
		case 8:
			c.Any = []siteconfig.Condition{d.condition(depth - 1), d.condition(depth - 1)}
		case 9:
			c.Not = new(d.condition(depth - 1))
		}
	}
	return c
}

func (d dice) definition(i int) segments.Definition {
	s := siteconfig.Segment{ID: fmt.Sprint("s", i), Enter: d.condition(3)}
	if d.IntN(2) == 0 {
		s.Leave = new(d.condition(2))
	}
	if d.IntN(3) == 0 {
		s.Then = new(d.condition(2))
	}
	return segments.NewDefinition(s, pick(d, "EUR", "EUR", "EUR", "USD"))
}

func (d dice) event(i int) *onepxv1.Event {
	id, visitor := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "event", i)), uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "visitor", i%7))
	e := &onepxv1.Event{
		SiteId: "shop", EventId: id[:], Name: pick(d, someNames...), OccurredAtMs: day.Add(time.Duration(i) * time.Second).UnixMilli(),
		Visitor:   &onepxv1.Visitor{VisitorId: visitor[:], Kind: onepxv1.VisitorKind(pick(d, 1, 1, 1, 2, 2, 3, 4, 5, 0))},
		Page:      &onepxv1.Page{Url: pick(d, someURLs...)},
		Client:    &onepxv1.Client{UserAgent: pick(d, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", "", "Googlebot/2.1")},
		Transport: &onepxv1.Transport{Kind: onepxv1.TransportKind_TRANSPORT_KIND_SERVER},
		Consent:   &onepxv1.Consent{Measure: true, Profile: d.IntN(8) > 0},
		Commerce:  &onepxv1.Commerce{Currency: pick(d, "", "EUR", "USD")},
	}
	if d.IntN(2) == 0 {
		e.Props = map[string]string{pick(d, "plan", "it's"): pick(d, "pro", "it's", `\`, "")}
	}
	if d.IntN(9) == 0 {
		e.Visitor.VisitorId = pick(d, nil, make([]byte, 16), []byte("short"))
	}
	if d.IntN(3) > 0 {
		e.Commerce.ValueMicros = new(pick(d, someAmounts...))
	}
	for range max(d.IntN(6)-1, 0) {
		item := &onepxv1.Item{
			Id: pick(d, someProducts...), Category: pick(d, "", "tea", "it's", "Tea > Grün"),
			QuantityMicros: pick[int64](d, 0, 1, 500_000, 500_001, 1_000_000, 2_500_000, math.MaxInt64),
		}
		if d.IntN(4) > 0 {
			item.PriceMicros = new(pick(d, someAmounts...))
		}
		e.Commerce.Items = append(e.Commerce.Items, item)
	}
	return e
}

// TestSQLAndGoAgreeOnEveryEvent: what the consumer judges when it stores an event is what a query over the stored row says later.
func TestSQLAndGoAgreeOnEveryEvent(t *testing.T) {
	const definitions, events = 120, 800
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	d, roll := migrated(t), dice{rand.New(rand.NewPCG(7, seed))}
	config, err := siteconfig.Parse("f", []byte("sites: [{id: shop, timezone: UTC, currency: EUR}]"))
	require.NoError(t, err)
	rules := enrich.NewRules(config)
	var all []segments.Definition
	for i := range definitions {
		all = append(all, roll.definition(i))
	}
	rules.AddSegments("shop", all...)
	enricher, err := enrich.New(rules)
	require.NoError(t, err)
	rows := batch(0, events)
	for i := range rows {
		event := roll.event(i)
		rows[i].Fill(event, enricher.Facts(event))
		rows[i].Outcome = pick(roll, store.OutcomeEvent, store.OutcomeEvent, store.OutcomeEvent, store.OutcomeDuplicate)
	}
	require.NoError(t, d.Insert(within(t), "token", rows))
	require.Greater(t, d.number("SELECT count() FROM %s.segment_hits"), int64(1000))

	const line = "formatRowNoNewline('CSV', site_id, segment, version, toString(step), visitor_kind, visitor_id, product, nth, occurred_at, event_id, value_micros, item_micros, kafka_topic, kafka_partition, kafka_offset, expires_at)"
	lines := func(from string) (lines []string) {
		require.NoError(t, d.conn.QueryRow(t.Context(), "SELECT arraySort(groupArray("+line+")) FROM "+from).Scan(&lines))
		return lines
	}
	for _, one := range all {
		query := segments.HitsQuery(&one, d.name+".events", "site_id = 'shop'")
		require.Equal(t, lines(d.name+".segment_hits WHERE segment = '"+one.ID+"'"), lines("("+query+")"), query)
	}
	ofVisitors := func(from string) (lines []string) {
		require.NoError(t, d.conn.QueryRow(t.Context(), "SELECT arraySort(groupArray(formatRowNoNewline('CSV', visitor_id, segment, version, toString(step), product, nth, occurred_at, event_id, value_micros, item_micros))) FROM "+from).Scan(&lines))
		return lines
	}
	require.Equal(t, ofVisitors(d.name+".segment_hits WHERE site_id = 'shop' AND visitor_id != toUUID('"+uuid.Nil.String()+"')"), ofVisitors("("+segments.HitsOfVisitors(d.name, "site_id = 'shop'")+")"))
}

func TestRefusalsAreKeptByVisitorWhoeverRefused(t *testing.T) {
	d := migrated(t)
	rows := batch(0, 6)
	visitor := uuid.New()
	for i := range rows {
		rows[i].VisitorID, rows[i].ConsentProfile, rows[i].OccurredAt = visitor, false, day.Add(time.Duration(i)*time.Millisecond)
	}
	rows[0].OccurredAt = day.Add(-time.Hour)
	rows[2].IsBot = true
	rows[3].ConsentProfile = true
	rows[4].Outcome = store.OutcomeDuplicate
	rows[5].VisitorID = uuid.Nil
	require.NoError(t, d.Insert(within(t), "a", rows[3:]))
	require.NoError(t, d.Insert(within(t), "b", rows[:3]))
	require.EqualValues(t, 1, d.number("SELECT uniqExact(visitor_id) FROM %s.profile_refusals"))
	require.Equal(t, rows[2].OccurredAt.UnixMilli(), d.number("SELECT toUnixTimestamp64Milli(max(refused_at)) FROM %s.profile_refusals WHERE visitor_id = '"+visitor.String()+"'"))
}

func TestSegmentsAreReadAsTheyWereSaved(t *testing.T) {
	d := migrated(t)
	known, err := d.Segments(t.Context())
	require.NoError(t, err)
	require.Empty(t, known)
	require.NoError(t, d.SaveSegments(t.Context(), nil))
	micros, at := int64(5), time.UnixMilli(1_795_608_000_123).UTC()
	active := store.Segment{SiteID: "shop", Segment: "s", Version: "1", Name: "S", State: store.SegmentActive, SameProduct: true, TimesMin: 1, WithinMs: 2, ValueMinMicros: &micros, LivesMs: 3, HoldoutPermille: 4, Stream: true, Timezone: "Europe/Berlin", Rule: "{}", SavedAt: at}
	filling := active
	filling.Version, filling.State, filling.HasThen, filling.ThenWithinMs, filling.SavedAt = "2", store.SegmentFilling, true, 9, at.Add(time.Millisecond)
	other := active
	other.SiteID = "other"
	require.NoError(t, d.SaveSegments(t.Context(), []store.Segment{filling, active, other}))
	known, err = d.Segments(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[[2]string]*store.SegmentNow{
		{"shop", "s"}:  {Newest: filling, Active: &active},
		{"other", "s"}: {Newest: other, Active: &other},
	}, known)
}
