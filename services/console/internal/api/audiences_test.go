package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/console/internal/lookup"
	"github.com/onepx/onepx/services/console/internal/store"
	"github.com/onepx/onepx/services/console/internal/tailor"
)

func TestAVisitorsAudiences(t *testing.T) {
	w := newWorld(t)
	w.facts[visitor(1)] = lookup.Facts{
		Memberships: []lookup.Membership{{Segment: "cart", Products: []string{"sku-1", "sku-2"}, EndsAt: now.Add(time.Hour)}, {Segment: "viewed", EndsAt: now.Add(2 * time.Hour)}},
		Share:       true, Views: map[string]uint64{"autumn": 3},
	}
	answer := w.get(shopKey, "/v1/sites/shop/visitors/"+visitor(1).String()+"/audiences")
	require.Equal(t, http.StatusOK, answer.status)
	require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
	require.Equal(t, "application/json", answer.header.Get("Content-Type"))
	require.JSONEq(t, `{"audiences":[{"id":"cart","ends_at":"2026-11-26T13:00:00Z","products":["sku-1","sku-2"]},{"id":"viewed","ends_at":"2026-11-26T14:00:00Z"}],
		"consent":{"profile":true,"share":true},"impressions":{"autumn":3}}`, answer.body)
	require.Equal(t, []string{"lookup shop"}, w.asked)

	show := &tailor.Shown{ID: "sku-1", PriceMicros: 4_900_000, Currency: "EUR", Reason: "carted", Seen: "sku-1"}
	w.facts[visitor(3)] = lookup.Facts{Memberships: []lookup.Membership{
		{Segment: "cart", Products: []string{"sku-1"}, Show: show, EndsAt: now}, {Segment: "other", Show: &tailor.Shown{ID: "sku-9", Reason: "same_category", Seen: "sku-8"}, EndsAt: now},
	}}
	require.JSONEq(t, `{"audiences":[{"id":"cart","ends_at":"2026-11-26T12:00:00Z","show":{"id":"sku-1","price":"4.9","currency":"EUR","reason":"carted"},"products":["sku-1"]},
		{"id":"other","ends_at":"2026-11-26T12:00:00Z","show":{"id":"sku-9","reason":"same_category","seen":"sku-8"}}],"consent":{"profile":true,"share":false},"impressions":{}}`,
		w.get(shopKey, "/v1/sites/shop/visitors/"+visitor(3).String()+"/audiences").body)

	unknown := w.get(shopKey, "/v1/sites/shop/visitors/"+visitor(2).String()+"/audiences")
	require.Equal(t, http.StatusOK, unknown.status)
	require.JSONEq(t, `{"audiences":[],"consent":{"profile":false,"share":false},"impressions":{}}`, unknown.body)
}

func TestAVisitorOfAPartner(t *testing.T) {
	w := newWorld(t)
	var all strings.Builder // every character that an id may have
	for c := '!'; c <= '~'; c++ {
		all.WriteRune(c)
	}
	w.ofPartner = map[string]lookup.Facts{}
	for name, id := range map[string]string{
		"plain": "7", "all characters": all.String(), "a path": "../a//b/audiences", "escaped itself": "%2F%00%", "the longest": strings.Repeat("/", 512), "a name of a path": "audiences", "quotes": `'\");--`,
	} {
		t.Run(name, func(t *testing.T) {
			w.ofPartner[id] = lookup.Facts{Memberships: []lookup.Membership{{Segment: "cart", EndsAt: now}}, Share: true}
			path := "/v1/sites/shop/partners/adnet/" + url.PathEscape(id) + "/audiences"
			answer := w.get(adsKey, path)
			require.Equal(t, http.StatusOK, answer.status, answer.body)
			require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
			require.JSONEq(t, `{"audiences":[{"id":"cart","ends_at":"2026-11-26T12:00:00Z"}],"consent":{"profile":true,"share":true},"impressions":{}}`, answer.body)
			require.Equal(t, "partner shop adnet "+id, w.asked[len(w.asked)-1])
			delete(w.ofPartner, id)
			require.JSONEq(t, `{"audiences":[],"consent":{"profile":false,"share":false},"impressions":{}}`, w.get(adsKey, path).body)
		})
	}
	w.asked = nil
	for name, id := range map[string]string{
		"empty": "", "too long": strings.Repeat("a", 513), "not ASCII": "é", "not UTF-8": "\xff", "a space": "a b", "a zero byte": "a\x00", "a new line": "a\n",
	} {
		answer := w.get(adsKey, "/v1/sites/shop/partners/adnet/"+url.PathEscape(id)+"/audiences")
		require.Equal(t, http.StatusUnprocessableEntity, answer.status, name)
		require.Contains(t, answer.problem(t), "path.id", name)
	}
	for path, status := range map[string]int{
		"shop/partners/other/7/audiences": 404, "shop/partners//7/audiences": 422, "shop/partners/%2e%2e/7/audiences": 404, "blog/partners/other/7/audiences": 404,
		"shop/partners/adnet/a/b/audiences": 404, "shop/partners/adnet/7": 404, "sh%6fp%2f/partners/adnet/7/audiences": 404,
	} {
		require.Equal(t, status, w.get(adsKey, "/v1/sites/"+path).status, path)
	}
	require.Equal(t, http.StatusForbidden, w.get(privacyKey, "/v1/sites/shop/partners/adnet/7/audiences").status)
	require.Empty(t, w.asked)
	w.err = lookup.ErrBusy
	require.Equal(t, http.StatusServiceUnavailable, w.get(adsKey, "/v1/sites/shop/partners/adnet/7/audiences").status)
}

func TestAnAnswerHasAtMost1024BytesAndWhatIsNeededMost(t *testing.T) {
	w := newWorld(t)
	var facts lookup.Facts
	for i := range 100 {
		m := lookup.Membership{Segment: fmt.Sprintf("segment_%d_with_a_long_name", i), EndsAt: now.Add(123456789)}
		for n := range 10 {
			m.Products = append(m.Products, fmt.Sprintf("sku-%d-<\"é\u2028%d", i, n))
		}
		m.Show = &tailor.Shown{ID: m.Products[0], PriceMicros: 123_456_789, Currency: "EUR", Reason: "same_category", Seen: m.Products[1]}
		facts.Memberships = append(facts.Memberships, m)
	}
	for _, test := range []struct {
		name                string
		memberships, views  int
		products, truncated string
	}{
		{"few, with all products", 1, 2, "10", "false"},
		{"some, with some products", 6, 3, "", "true"},
		{"too many", 100, 100, "", "true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			some := lookup.Facts{Memberships: facts.Memberships[:test.memberships], Views: map[string]uint64{}}
			for i := range test.views {
				some.Views[fmt.Sprint("campaign-", i)] = uint64(i)
			}
			w.facts[visitor(1)] = some
			answer := w.get(shopKey, "/v1/sites/shop/visitors/"+visitor(1).String()+"/audiences")
			require.LessOrEqual(t, len(answer.body), 1024)
			var got struct {
				Audiences []struct {
					ID       string
					Products []string
				}
				Impressions map[string]uint64
				Truncated   bool
			}
			answer.into(t, &got)
			require.Equal(t, test.truncated, fmt.Sprint(got.Truncated))
			require.NotEmpty(t, got.Audiences)
			for i, a := range got.Audiences {
				require.Equal(t, facts.Memberships[i].Segment, a.ID)
				require.Equal(t, facts.Memberships[i].Products[:len(a.Products)], append([]string{}, a.Products...))
			}
			if test.products != "" {
				require.Len(t, got.Audiences[0].Products, 10)
				require.Len(t, got.Impressions, test.views)
			}
			if got.Truncated {
				require.Greater(t, len(answer.body), 1024-128, "the room is used")
			}
		})
	}
}

func TestIDsThatAreNone(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"x", "0190b5ad3c2e7b1f9d6a5b0e3f1c2d4a", "urn:uuid:" + visitor(1).String(), "{" + visitor(1).String() + "}", visitor(1).String()[:35], "00000000-0000-0000-0000-000000000000", "anna@example.com", "%00"} {
		answer := w.get(shopKey, "/v1/sites/shop/visitors/"+id+"/audiences")
		require.Equal(t, http.StatusUnprocessableEntity, answer.status, id)
		detail := answer.problem(t)
		require.Contains(t, detail, "path.visitor")
		require.NotContains(t, detail, "anna")
	}
	for path, location := range map[string]string{
		"/audiences/Cart":                                     "path.audience",
		"/audiences/" + strings.Repeat("a", 65):               "path.audience",
		"/audiences/a'b":                                      "path.audience",
		"/audiences/cart/members?limit=0":                     "query.limit",
		"/audiences/cart/members?limit=10001":                 "query.limit",
		"/audiences/cart/members?limit=99999999999999999":     "query.limit",
		"/audiences/cart/members?limit=-1":                    "query.limit",
		"/audiences/cart/members?limt=5":                      "query.limt",
		"/audiences/cart/sizes":                               "query.from",
		"/audiences/cart/sizes?from=2026-11-01&to=2026-10-31": "query.to",
		"/audiences/cart/sizes?from=2026-13-01&to=2026-10-31": "query.from",
		"/audiences/cart/sizes?from=2025-01-01&to=2026-10-31": "query.from",
		"/audiences/cart/explain/x":                           "path.visitor",
	} {
		answer := w.get(shopKey, "/v1/sites/shop"+path)
		require.Equal(t, http.StatusUnprocessableEntity, answer.status, path)
		require.Contains(t, answer.problem(t), location, path)
	}
	require.Empty(t, w.asked)
}

func TestLookupsThatWaitTooLongOrAreTooMany(t *testing.T) {
	w := newWorld(t)
	for err, want := range map[error]string{lookup.ErrBusy: "too many requests wait; try again", context.DeadlineExceeded: "no answer in time; try again"} {
		w.err = err
		answer := w.get(shopKey, "/v1/sites/shop/visitors/"+visitor(1).String()+"/audiences")
		require.Equal(t, http.StatusServiceUnavailable, answer.status)
		require.Equal(t, "1", answer.header.Get("Retry-After"))
		require.Equal(t, want, answer.problem(t))
	}
}

func TestAudiencesTheirSizesAndExplanations(t *testing.T) {
	w := newWorld(t)
	list := w.get(shopKey, "/v1/sites/shop/audiences")
	require.JSONEq(t, `{"audiences":[{"id":"cart","name":"In the cart","version":"v1","since":"2026-11-26T12:00:00Z","lives":"24h0m0s","holdout":12.5},
		{"id":"viewed","version":"v1","since":"2026-11-26T12:00:00Z","lives":"0s","holdout":0}]}`, list.body)
	one := w.get(shopKey, "/v1/sites/shop/audiences/cart")
	require.JSONEq(t, `{"id":"cart","name":"In the cart","version":"v1","since":"2026-11-26T12:00:00Z","lives":"24h0m0s","holdout":12.5,
		"rule":{"id":"cart"},"members":10,"minted":3,"held_out":1}`, one.body)
	require.Equal(t, http.StatusOK, w.get(shopKey, "/v1/sites/shop/audiences/viewed").status)
	sizes := w.get(shopKey, "/v1/sites/shop/audiences/cart/sizes?from=2026-11-01&to=2026-11-02")
	require.JSONEq(t, `{"version":"v1","days":[{"day":"2026-11-01","members":1,"minted":0,"enters":1,"exits":0,"expiries":0},
		{"day":"2026-11-02","members":2,"minted":1,"enters":3,"exits":1,"expiries":1}]}`, sizes.body)
	why := "/v1/sites/shop/audiences/cart/explain/" + visitor(1).String()
	require.JSONEq(t, `{"steps":[{"at":"2026-11-26T12:00:00Z","event_id":"`+visitor(1).String()+`","step":"enter","product":"sku-1","counted":true,"note":"lets_in","consent":["measure","profile"],"decided_by":"tcf"}]}`, w.get(shopKey, why).body)
	w.suppress(visitor(1))
	require.JSONEq(t, `{"steps":[]}`, w.get(shopKey, why).body)
	for _, path := range []string{"", "/members", "/sizes?from=2026-11-01&to=2026-11-02", "/explain/" + visitor(1).String()} {
		answer := w.get(shopKey, "/v1/sites/shop/audiences/nothing"+path)
		require.Equal(t, http.StatusNotFound, answer.status, path)
		answer.problem(t)
	}
}

type page struct {
	Version, Next string
	At            time.Time
	Members       []struct{ Visitor uuid.UUID }
}

func (w *world) crowd(n int) {
	for i := range n {
		w.members = append(w.members, store.Member{Visitor: visitor(i), QualifiedAt: now, EndsAt: now})
	}
	slices.SortFunc(w.members, func(a, b store.Member) int { return strings.Compare(a.Visitor.String(), b.Visitor.String()) })
}

const members = "/v1/sites/shop/audiences/cart/members"

func TestPagesAreOfOneInstantAndOneVersion(t *testing.T) {
	w := newWorld(t)
	w.crowd(25)
	w.suppress(w.members[3].Visitor)
	var got []uuid.UUID
	path := members + "?limit=10"
	for pages := 1; ; pages++ {
		var p page
		w.get(shopKey, path).into(t, &p)
		require.Equal(t, "v1", p.Version)
		require.Equal(t, now, p.At)
		for _, m := range p.Members {
			got = append(got, m.Visitor)
		}
		if p.Next == "" {
			require.Equal(t, 3, pages)
			break
		}
		path = members + "?limit=10&cursor=" + p.Next
		w.now, w.version = w.now.Add(time.Hour), "v2"
	}
	var want []uuid.UUID
	for i, m := range w.members {
		if i != 3 {
			want = append(want, m.Visitor)
		}
	}
	require.Equal(t, want, got)
	require.Equal(t, []string{"audiences shop", "members shop/cart v1 1795694400000", "members shop/cart v1 1795694400000", "members shop/cart v1 1795694400000"}, w.asked)
}

func TestACursorThatWasChangedIsRefused(t *testing.T) {
	w := newWorld(t)
	w.crowd(5)
	var p page
	w.get(shopKey, members+"?limit=2").into(t, &p)
	require.NotContains(t, p.Next, w.members[1].Visitor.String())
	refused := func(path, cursor, why string) {
		t.Helper()
		answer := w.get(shopKey, path+"?limit=2&cursor="+cursor)
		require.Equal(t, http.StatusUnprocessableEntity, answer.status)
		require.Contains(t, answer.problem(t), "query.cursor "+why)
	}
	for i := range p.Next {
		changed := []byte(p.Next)
		if changed[i]++; changed[i] == '{' || changed[i] == '[' {
			changed[i] = '_'
		}
		if string(changed) != p.Next {
			refused(members, string(changed), "is not one")
		}
	}
	refused(members, "x", "is not one")
	refused(members, strings.Repeat("A", 1024), "is not one")
	refused(members, strings.Repeat("A", 1025), "expected length")
	refused("/v1/sites/shop/audiences/viewed/members", p.Next, "is not one")
	require.Equal(t, http.StatusOK, w.get(shopKey, members+"?limit=2&cursor="+p.Next).status)
	w.now = w.now.Add(24*time.Hour + time.Second)
	refused(members, p.Next, "is older than 24 hours")
}

func TestTheLargestPageIsWhole(t *testing.T) {
	w := newWorld(t)
	w.crowd(10_050)
	var p page
	w.get(shopKey, members+"?limit=10000").into(t, &p)
	require.Len(t, p.Members, 10_000)
	w.get(shopKey, members+"?limit=10000&cursor="+p.Next).into(t, &p)
	require.Len(t, p.Members, 50)
}

func TestTheDocumentIsServedAndHasEveryOperation(t *testing.T) {
	w := newWorld(t)
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Security []map[string][]string
		}
	}
	answer := w.get("", "/openapi.json")
	require.NoError(t, json.Unmarshal([]byte(answer.body), &document))
	require.Equal(t, "3.1.0", document.OpenAPI)
	require.Len(t, document.Paths, 17)
	for path, methods := range document.Paths {
		for method, operation := range methods {
			require.Len(t, operation.Security, 1, path+" "+method)
		}
	}
}
