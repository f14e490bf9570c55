package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/tools/internal/answers"
)

// shop makes the hits of a small web shop: people come from somewhere, are shown ads, look at products, and some buy.
type shop struct {
	site     string
	filler   []string
	visitors []*visitor

	mu sync.Mutex // guards sales
	// sales are the latest purchases, for what becomes of them.
	sales []sale
}

// keptSales is how many sales a shop remembers.
const keptSales = 100

// sale is a purchase and who made it.
type sale struct {
	visitor *visitor
	event   *answers.Event
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
	visitor *visitor
	event   *answers.Event
	query   url.Values
}

var userAgents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
	"Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
}

// arrivals are the ways into the shop.
var arrivals = []answers.Event{
	{},
	{Referrer: "https://www.google.com/", Origin: answers.Origin{Channel: "Organic Search", Source: "google", Medium: "organic"}},
	{Referrer: "https://www.google.com/", UTM: utm("google", "cpc", "brand-2026"), Origin: answers.Origin{Channel: "Paid Search", Source: "google", Medium: "cpc", Campaign: "brand-2026"}},
	{Referrer: "https://www.facebook.com/", UTM: utm("facebook", "paid_social", "autumn"), Origin: answers.Origin{Channel: "Paid Social", Source: "facebook", Medium: "paid_social", Campaign: "autumn"}},
	{UTM: utm("newsletter", "email", "weekly-47"), Origin: answers.Origin{Channel: "Email", Source: "newsletter", Medium: "email", Campaign: "weekly-47"}},
	{Referrer: "https://blog.example.org/best-shops", Origin: answers.Origin{Channel: "Referral", Source: "blog.example.org", Medium: "referral"}},
}

// ads are what is shown on other sites.
var ads = []answers.Event{
	{UTM: utm("adnet", "cpm", "autumn"), Props: map[string]string{"creative": "teapot", "placement": "top"}, Origin: answers.Origin{Channel: "Display", Source: "adnet", Medium: "cpm", Campaign: "autumn"}},
	{UTM: utm("adnet", "cpm", "brand-2026"), Props: map[string]string{"creative": "cup", "placement": "side"}, Origin: answers.Origin{Channel: "Display", Source: "adnet", Medium: "cpm", Campaign: "brand-2026"}},
}

func utm(source, medium, campaign string) map[string]string {
	return map[string]string{"source": source, "medium": medium, "campaign": campaign}
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

// hit makes the hit of an event: mostly page views, now and then an ad, a product in the cart, an order, or what becomes of
// one.
func (s *shop) hit(random *rand.Rand, id uuid.UUID) hit {
	v := s.visitors[random.IntN(len(s.visitors))]
	product := products[random.IntN(len(products))]
	e := &answers.Event{Name: "page_view", URL: "https://shop.example.com/p/" + url.PathEscape(product)}
	switch roll := random.Float64(); {
	case roll < 0.68:
		arrival := arrivals[random.IntN(len(arrivals))]
		e.Referrer, e.UTM, e.Origin = arrival.Referrer, arrival.UTM, arrival.Origin
	case roll < 0.75:
		*e = ads[random.IntN(len(ads))]
		e.Name = "impression"
	case roll < 0.87:
		e.Name, e.Props = "add_to_cart", map[string]string{"product": product}
	case roll < 0.97:
		buy(e, random, id, product)
	default:
		if of, found := s.sold(random); found {
			v = of.visitor
			followUp(e, random, of.event)
		} else {
			buy(e, random, id, product)
		}
	}
	e.ID, e.At, e.Transport = id.String(), time.Now().UTC().Truncate(time.Millisecond), answers.Pixel
	e.Arrived, e.Device, e.KeepsCookies = e.At, v.address+" "+v.userAgent, v.takesCookies
	if e.Name == "purchase" {
		s.keep(sale{v, e})
	}
	return hit{visitor: v, event: e, query: s.query(e)}
}

func buy(e *answers.Event, random *rand.Rand, id uuid.UUID, product string) {
	e.Name, e.URL = "purchase", "https://shop.example.com/thank-you"
	e.OrderID = "T-" + id.String()[:8]
	e.Value, e.Currency = fmt.Sprintf("%d.%02d", 5+random.IntN(95), random.IntN(100)), "EUR"
	e.Items = []answers.Item{{ID: product, Quantity: "1", Price: "9.90"}}
}

// followUp makes the event what becomes of a sale: the page is loaded again, a part or all of the money goes back, or the
// order is cancelled.
func followUp(e *answers.Event, random *rand.Rand, sale *answers.Event) {
	e.Name, e.URL, e.OrderID = "refund", "https://shop.example.com/account", sale.OrderID
	switch random.IntN(6) {
	case 0, 1:
		e.Name, e.URL, e.Value, e.Currency, e.Items = sale.Name, sale.URL, sale.Value, sale.Currency, sale.Items
	case 2:
		e.Value, e.Currency = fmt.Sprintf("%d.%06d", random.IntN(5), random.IntN(1_000_000)), "EUR"
	case 3: // half of what was sold, at its price
		e.Items = []answers.Item{{ID: sale.Items[0].ID, Quantity: "0.5"}}
	case 4: // all that is left
	default:
		e.Name = "cancel"
	}
}

// sold returns one of the latest sales, if there is any.
func (s *shop) sold(random *rand.Rand) (of sale, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sales) == 0 {
		return sale{}, false
	}
	return s.sales[random.IntN(len(s.sales))], true
}

// keep remembers a sale.
func (s *shop) keep(one sale) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sales = append(s.sales, one)
	if len(s.sales) > keptSales {
		s.sales = s.sales[1:]
	}
}

// query are the parameters of the pixel.
func (s *shop) query(e *answers.Event) url.Values {
	query := url.Values{"site": {s.site}, "t": {"Tea & more"}}
	for name, value := range e.Parameters() {
		query.Set(name, value)
	}
	for i, text := range s.filler {
		query.Set(fmt.Sprint("p.filler", i), text)
	}
	return query
}

// request is the hit as a request to a collector.
func (h hit) request(target string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target+"/p.gif?"+h.query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", h.visitor.userAgent)
	req.Header.Set("X-Forwarded-For", h.visitor.address)
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
