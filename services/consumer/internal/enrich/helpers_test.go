package enrich_test

import (
	"sync"
	"testing"
	"time"

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

// config has a site in Berlin, one in New York and one at the edge of the world.
func config() *siteconfig.Config {
	config, err := siteconfig.Parse("onepx.yaml", []byte(`
sites:
  - {id: shop, timezone: Europe/Berlin, currency: EUR}
  - {id: york, timezone: America/New_York, currency: USD, retention_days: 30}
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
