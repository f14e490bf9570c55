package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/lookup"
	"github.com/onepx/onepx/services/console/internal/tailor"
	"github.com/onepx/onepx/services/shared/money"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Lookups knows visitors.
type Lookups interface {
	// Of returns what may be said of a visitor now; nothing of one who is suppressed or unknown. See lookup.Lookup.
	Of(ctx context.Context, site *siteconfig.Site, visitor uuid.UUID) (lookup.Facts, error)
	// OfPartner returns what may be said to a partner of the visitor whom it knows by the id.
	OfPartner(ctx context.Context, site *siteconfig.Site, partner, id string) (lookup.Facts, error)
}

// maxAnswer is how many bytes the answer about a visitor has at most: ad servers wait for it.
const maxAnswer = 1024

// visitorAudiences is what ad servers are told of a visitor.
type visitorAudiences struct {
	Audiences   []visitorAudience `json:"audiences" doc:"The audiences that the visitor is in, the latest to come in first."`
	Consent     visitorConsent    `json:"consent"`
	Impressions map[string]uint64 `json:"impressions" doc:"How many ads of each campaign the visitor has seen today, on the day of the site: for capping."`
	Truncated   bool              `json:"truncated,omitempty" doc:"Some audiences, products or campaigns are left out, so that the answer stays within 1024 bytes."`
}

type visitorAudience struct {
	ID       string    `json:"id" doc:"Id of the audience." example:"cart_abandoners"`
	EndsAt   time.Time `json:"ends_at" doc:"Until when the visitor stays in it, unless something happens before."`
	Show     *shown    `json:"show,omitempty" doc:"The product to show; not there if nothing can be."`
	Products []string  `json:"products,omitempty" doc:"Ids of the products by which the visitor is in it, the most recent first. Some may be out of stock." example:"[\"sku-1\"]"`
}

type shown struct {
	ID       string `json:"id" doc:"Id of the product in the feed." example:"sku-7"`
	Price    string `json:"price,omitempty" doc:"Present price of one piece, a sale's if there is one; not there if none is known." example:"4.90"`
	Currency string `json:"currency,omitempty" example:"EUR"`
	Reason   string `json:"reason" enum:"viewed,carted,bought,matched,price_changed,same_category,no_feed" doc:"Why this product: docs/audiences.md, tailored."`
	Seen     string `json:"seen,omitempty" doc:"The product that was seen, where another one is shown for it." example:"sku-1"`
}

func shownOf(s *tailor.Shown) *shown {
	if s == nil {
		return nil
	}
	one := &shown{ID: s.ID, Reason: s.Reason}
	if s.Currency != "" {
		one.Price, one.Currency = money.Text(s.PriceMicros), s.Currency
	}
	if s.Seen != s.ID {
		one.Seen = s.Seen
	}
	return one
}

type visitorConsent struct {
	Profile bool `json:"profile" doc:"The visitor may be shown ads made for them: true whenever there are audiences."`
	Share   bool `json:"share" doc:"What is said here may be handed to others."`
}

type visitorInput struct {
	Site    string `path:"site" doc:"Id of the site." example:"shop"`
	Visitor ID     `path:"visitor" doc:"Id of the visitor, as in column visitor_id." example:"0190b5ad-3c2e-7b1f-9d6a-5b0e3f1c2d4a"`
}

type partnerInput struct {
	SiteInput
	Partner string `path:"partner" doc:"Id of the partner: one of sync_partners in onepx.yaml." example:"adnet"`
	ID      string `path:"id" minLength:"1" maxLength:"512" pattern:"^[!-~]+$" doc:"The id of the visitor at the partner, as it told it at /sync; percent-encoded." example:"a1B2/c3=="`
}

type visitorOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         visitorAudiences
}

func (s *Server) registerVisitors() {
	register(s, operation("get-visitor-audiences", http.MethodGet, "/visitors/{visitor}/audiences", siteconfig.RightAudiences,
		"In which audiences is a visitor?",
		"For ad servers. At most 1024 bytes. Unknown visitors, those who do not allow profiling, who wish not to be counted or are held out get the same empty answer."),
		s.visitorAudiences)
	register(s, operation("get-partner-audiences", http.MethodGet, "/partners/{partner}/{id}/audiences", siteconfig.RightAudiences,
		"In which audiences is the visitor whom a partner knows by an id?",
		"For ad servers that know visitors by their own ids, of cookie sync. The answer is that of get-visitor-audiences; unknown ids and visitors who do not allow sharing get the empty one, too."),
		s.partnerAudiences)
}

func (s *Server) visitorAudiences(ctx context.Context, in *visitorInput) (*visitorOutput, error) {
	return told(s.deps.Lookups.Of(ctx, callerOf(ctx).site, uuid.UUID(in.Visitor)))
}

func (s *Server) partnerAudiences(ctx context.Context, in *partnerInput) (*visitorOutput, error) {
	site := callerOf(ctx).site
	if _, known := site.Partner(in.Partner); !known {
		return nil, errNotFound()
	}
	return told(s.deps.Lookups.OfPartner(ctx, site, in.Partner, in.ID))
}

// told is the answer to a lookup.
func told(facts lookup.Facts, err error) (*visitorOutput, error) {
	if errors.Is(err, lookup.ErrBusy) {
		return nil, errAgain(busy)
	}
	if err != nil {
		return nil, err
	}
	return &visitorOutput{CacheControl: "no-store", Body: answer(facts)}, nil
}

// answer has as much of the facts as fits, what is needed most first: the audiences, the product to show for each, campaigns by
// how often they were seen, the products of the audiences.
func answer(facts lookup.Facts) visitorAudiences {
	a := visitorAudiences{
		Audiences: []visitorAudience{}, Impressions: map[string]uint64{},
		Consent: visitorConsent{Profile: len(facts.Memberships) > 0, Share: facts.Share},
	}
	room := maxAnswer - encoded(a) - len(`,"truncated":true`) - 1 // the line's end
	fits := func(more int) bool {
		if more > room {
			a.Truncated = true
			return false
		}
		room -= more
		return true
	}
	for _, m := range facts.Memberships {
		one := visitorAudience{ID: m.Segment, EndsAt: m.EndsAt.UTC()}
		if !fits(encoded(one) + 1) {
			break
		}
		a.Audiences = append(a.Audiences, one)
	}
	for i := range a.Audiences {
		if one := shownOf(facts.Memberships[i].Show); one != nil && fits(encoded(one)+len(`,"show":`)) {
			a.Audiences[i].Show = one
		}
	}
	for _, campaign := range slices.SortedFunc(maps.Keys(facts.Views), func(x, y string) int {
		return cmp.Or(cmp.Compare(facts.Views[y], facts.Views[x]), cmp.Compare(x, y))
	}) {
		if fits(encoded(campaign) + encoded(facts.Views[campaign]) + len(":,")) {
			a.Impressions[campaign] = facts.Views[campaign]
		}
	}
	field := len(`,"products":[],`) // of the first one
	for n := range maxProducts {
		for i := range a.Audiences {
			all, one := facts.Memberships[i].Products, &a.Audiences[i]
			if n < len(all) && len(one.Products) == n && fits(encoded(all[n])+field) {
				one.Products = append(one.Products, all[n])
			}
		}
		field = len(`,`)
	}
	return a
}

// maxProducts is how many products of an audience there are at most.
const maxProducts = 10

// encoded is how many bytes a value takes; nothing that is encoded here can fail.
func encoded(value any) int {
	text, _ := json.Marshal(value)
	return len(text)
}
