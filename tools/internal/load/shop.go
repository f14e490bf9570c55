package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"

	"github.com/google/uuid"
)

// shop makes the hits of a small web shop: people come from somewhere, look at products, and some buy.
type shop struct {
	site     string
	filler   []string
	visitors []*visitor
}

// fillerBytes is the size of a property that fills an event: as long as a property may be.
const fillerBytes = 1024

// visitor is one person with one browser.
type visitor struct {
	userAgent, address string
	takesCookies       bool

	mu  sync.Mutex
	jar *http.Cookie
}

// hit is one request for the pixel.
type hit struct {
	visitor            *visitor
	query              url.Values
	userAgent, address string
}

var userAgents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
	"Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
}

// arrivals are the ways into the shop: referrer, utm_source, utm_medium, utm_campaign.
var arrivals = [][4]string{
	{},
	{"https://www.google.com/"},
	{"https://www.google.com/", "google", "cpc", "brand-2026"},
	{"https://www.facebook.com/", "facebook", "paid_social", "autumn"},
	{"", "newsletter", "email", "weekly-47"},
	{"https://blog.example.org/best-shops"},
}

var products = []string{"kettle-steel", "teapot-blue", "cup-set-6", "tea-green-100g", "tea-black-250g", "Tee-Löffel"}

func newShop(cfg Config) *shop {
	random := rand.New(rand.NewPCG(cfg.Seed, 0))
	s := &shop{site: cfg.Site, visitors: make([]*visitor, cfg.Visitors)}
	for range cfg.Filler / fillerBytes {
		text := make([]byte, fillerBytes)
		for i := range text {
			text[i] = 'a' + byte(random.IntN(26))
		}
		s.filler = append(s.filler, string(text))
	}
	for i := range s.visitors {
		s.visitors[i] = &visitor{
			userAgent:    userAgents[random.IntN(len(userAgents))],
			address:      fmt.Sprintf("198.51.%d.%d", random.IntN(256), 1+random.IntN(254)),
			takesCookies: random.Float64() < 0.8,
		}
	}
	return s
}

// hit makes the hit of an event: mostly page views, now and then a product in the cart or an order.
func (s *shop) hit(random *rand.Rand, id uuid.UUID) hit {
	v := s.visitors[random.IntN(len(s.visitors))]
	product := products[random.IntN(len(products))]
	query := url.Values{"site": {s.site}, "id": {id.String()}, "t": {"Tea & more"}}
	page := url.URL{Scheme: "https", Host: "shop.example.com", Path: "/p/" + product}
	switch roll := random.Float64(); {
	case roll < 0.75:
		arrival := arrivals[random.IntN(len(arrivals))]
		query.Set("r", arrival[0])
		params := url.Values{}
		for i, name := range []string{"utm_source", "utm_medium", "utm_campaign"} {
			if arrival[i+1] != "" {
				params.Set(name, arrival[i+1])
			}
		}
		page.RawQuery = params.Encode()
	case roll < 0.9:
		query.Set("e", "add_to_cart")
		query.Set("p.product", product)
	default:
		page.Path = "/thank-you"
		query.Set("e", "purchase")
		query.Set("order_id", "T-"+id.String()[:8])
		query.Set("value", fmt.Sprintf("%d.%02d", 5+random.IntN(95), random.IntN(100)))
		query.Set("currency", "EUR")
		query.Set("items", fmt.Sprintf(`[{"id":%q,"qty":1,"price":"9.90"}]`, product))
	}
	query.Set("u", page.String())
	for i, text := range s.filler {
		query.Set(fmt.Sprint("p.filler", i), text)
	}
	return hit{visitor: v, query: query, userAgent: v.userAgent, address: v.address}
}

// request is the hit as a request to a collector.
func (h hit) request(target string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target+"/p.gif?"+h.query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", h.userAgent)
	req.Header.Set("X-Forwarded-For", h.address)
	if cookie := h.visitor.cookie(); cookie != nil {
		req.AddCookie(cookie)
	}
	return req, nil
}

func (v *visitor) cookie() *http.Cookie {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.jar
}

func (v *visitor) keep(cookies []*http.Cookie) {
	if !v.takesCookies {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range cookies {
		if c.Name == "onepx_v" {
			v.jar = &http.Cookie{Name: c.Name, Value: c.Value}
		}
	}
}
