package enrich_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Browsers of people.
const (
	chromeOnWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	safariOnPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
)

// noon is 2026-11-25 12:00 UTC.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// config has a site in Berlin, with goals of all kinds and segments, one in New York without any, and one at the edge of the world.
func config() *siteconfig.Config {
	config, err := siteconfig.Parse("onepx.yaml", []byte(`
sites:
  - id: shop
    timezone: Europe/Berlin
    currency: EUR
    goals:
      - {id: purchase, event: purchase}
      - {id: thanks, url: '^https://shop\.example/(de/)?thanks', once_per: session, value: none}
      - {id: pro, event: signup, props: {plan: pro, paid: "1"}, once_per: event, value: "9.90", currency: CHF, click_window_days: 7}
      - {id: big, event: purchase, url: '/thanks\?', props: {size: big}, once_per: hit, click_window_days: 90, view_window_days: 90}
      - {id: test, props: {test: "yes"}, value: "0"}
    segments:
      - {id: carts, enter: {event: add_to_cart}, leave: {event: purchase}, same_product: true}
      - {id: tea, enter: {url: /tea/, any: [{category: tea}, {price: {max: "9.90"}}]}, then: {event: purchase}, then_within: 7d}
  - {id: york, timezone: America/New_York, currency: USD, retention_days: 30, goals: []}
  - {id: kiribati, timezone: Pacific/Kiritimati, currency: AUD}
`))
	if err != nil {
		panic(err)
	}
	return config
}

// shared is one enricher for all tests: it takes a while to make.
var shared = sync.OnceValues(func() (*enrich.Enricher, error) { return enrich.New(enrich.NewRules(config())) })

func facts(t *testing.T, event *onepxv1.Event) enrich.Facts {
	t.Helper()
	enricher, err := shared()
	require.NoError(t, err)
	return enricher.Facts(event)
}

// hit is a page view of the shop at noon.
func hit(userAgent string, options ...func(*onepxv1.Event)) *onepxv1.Event {
	event := &onepxv1.Event{
		SiteId:       "shop",
		Kind:         onepxv1.EventKind_EVENT_KIND_PAGE_VIEW,
		Name:         "page_view",
		OccurredAtMs: noon.UnixMilli(),
		Page:         &onepxv1.Page{},
		Marketing:    &onepxv1.Marketing{},
		Client:       &onepxv1.Client{UserAgent: userAgent},
		Transport:    &onepxv1.Transport{Kind: onepxv1.TransportKind_TRANSPORT_KIND_GIF},
	}
	for _, option := range options {
		option(event)
	}
	return event
}

func kind(kind onepxv1.EventKind) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) { event.Kind = kind }
}

func transport(kind onepxv1.TransportKind) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) { event.Transport.Kind = kind }
}

func prefetch(event *onepxv1.Event) { event.Transport.Prefetch = true }

func fromDatacenter(event *onepxv1.Event) {
	event.Client.NetworkClass = onepxv1.NetworkClass_NETWORK_CLASS_DATACENTER
}

func page(url, referrer string) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) { event.Page.Url, event.Page.Referrer = url, referrer }
}

func utm(source, medium, campaign string) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) {
		event.Marketing.UtmSource, event.Marketing.UtmMedium, event.Marketing.UtmCampaign = source, medium, campaign
	}
}

func clicked(param, network string) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) {
		event.Marketing.ClickId, event.Marketing.ClickIdParam, event.Marketing.ClickNetwork = "id", param, network
	}
}

// named gives the event its name, and the kind that goes with it.
func named(name string) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) {
		event.Name, event.Kind = name, onepxv1.EventKind_EVENT_KIND_CUSTOM
		if name == "purchase" || name == "refund" {
			event.Kind = onepxv1.EventKind_EVENT_KIND_ORDER
		}
	}
}

func worth(micros int64, currency string) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) {
		event.Commerce = &onepxv1.Commerce{ValueMicros: &micros, Currency: currency}
	}
}

// props are names and values by turns.
func props(pairs ...string) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) {
		event.Props = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			event.Props[pairs[i]] = pairs[i+1]
		}
	}
}

// allowing gives the event a visitor who allows profiling.
func allowing(visitor string) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) {
		id := uuid.NewSHA1(uuid.Nil, []byte(visitor))
		event.Visitor = &onepxv1.Visitor{VisitorId: id[:], Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE}
		event.Consent = &onepxv1.Consent{Measure: true, Profile: true}
	}
}

// item adds an item to the event, one piece of it.
func item(id, category string, price int64) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) {
		if event.Commerce == nil {
			event.Commerce = &onepxv1.Commerce{}
		}
		event.Commerce.Items = append(event.Commerce.Items, &onepxv1.Item{Id: id, Category: category, QuantityMicros: 1_000_000, PriceMicros: &price})
	}
}

func site(id string) func(*onepxv1.Event) { return func(event *onepxv1.Event) { event.SiteId = id } }
