//go:build integration

package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// item is the parameter items of one product.
func item(id string) string { return fmt.Sprintf(`[{"id":%q,"qty":1,"price":"9.90"}]`, id) }

// lookedUp is the answer about a visitor.
type lookedUp struct {
	Audiences []struct {
		ID       string
		Products []string
		EndsAt   time.Time `json:"ends_at"`
	}
	Consent     struct{ Profile, Share bool }
	Impressions map[string]int
}

// products returns those of the visitor's one audience; nil without an audience.
func (w *world) products(visitor uuid.UUID) []string {
	w.t.Helper()
	var got lookedUp
	w.get("/visitors/"+visitor.String()+"/audiences", &got)
	if len(got.Audiences) == 0 {
		return nil
	}
	return got.Audiences[0].Products
}

func testAudiences(t *testing.T, w *world) {
	visitor, other := uuid.New(), uuid.New()
	require.Nil(t, w.products(visitor), "not known yet")
	w.hit("shop", "impression", visitor, "utm_source", "adnet", "utm_campaign", "autumn")
	w.hit("shop", "impression", visitor, "utm_source", "adnet", "utm_campaign", "autumn")
	w.hit("shop", "add_to_cart", visitor, "items", item("sku-1"))
	w.hit("shop", "add_to_cart", visitor, "items", item("sku-2"))
	w.hit("shop", "add_to_cart", other, "items", item("sku-3"))
	w.eventually("both products, the latest first", patience, func() bool {
		return fmt.Sprint(w.products(visitor)) == "[sku-2 sku-1]" && fmt.Sprint(w.products(other)) == "[sku-3]"
	})
	var got lookedUp
	w.get("/visitors/"+visitor.String()+"/audiences", &got)
	require.Equal(t, "cart", got.Audiences[0].ID)
	require.True(t, got.Consent.Profile && got.Consent.Share)
	require.Equal(t, map[string]int{"autumn": 2}, got.Impressions)
	require.WithinDuration(t, time.Now().Add(30*24*time.Hour), got.Audiences[0].EndsAt, time.Hour)

	var list struct {
		Audiences []struct{ ID, Version string }
	}
	w.get("/audiences", &list)
	require.Len(t, list.Audiences, 1)
	require.Equal(t, "cart", list.Audiences[0].ID)
	var one struct {
		Members int
		Rule    struct{ ID string }
	}
	w.get("/audiences/cart", &one)
	require.Equal(t, 2, one.Members)
	require.Equal(t, "cart", one.Rule.ID)
	today := time.Now().In(berlin(t)).Format(time.DateOnly)
	var sizes struct {
		Days []struct {
			Day             string
			Members, Enters int
		}
	}
	w.get("/audiences/cart/sizes?from="+today+"&to="+today, &sizes)
	require.Len(t, sizes.Days, 1)
	require.Equal(t, 2, sizes.Days[0].Members)
	require.Equal(t, 2, sizes.Days[0].Enters)
	var why struct {
		Steps []struct {
			Step, Product, Note string
			Counted             bool
			Consent             []string
		}
	}
	w.get("/audiences/cart/explain/"+visitor.String(), &why)
	require.Len(t, why.Steps, 2)
	require.Equal(t, "sku-1", why.Steps[0].Product)
	require.Equal(t, "lets_in", why.Steps[0].Note)
	require.True(t, why.Steps[0].Counted)
	require.Contains(t, why.Steps[0].Consent, "profile")

	require.ElementsMatch(t, []uuid.UUID{visitor, other}, w.members(1))
	status, _ := w.ask(http.MethodGet, blogKey, "shop/audiences", "")
	require.Equal(t, http.StatusNotFound, status)

	w.previews(t, `{id: cart, enter: {event: add_to_cart}, leave: {event: purchase}, same_product: true}`, 2, visitor, other)
	w.previews(t, `{id: dear, enter: {event: add_to_cart}, times: {min: 2}, value: {max: "0"}}`, 1, visitor)
	w.previews(t, `{id: never, enter: {event: "it's"}, then: {event: purchase}, then_within: 1h, lives: 2d}`, 0)

	w.hit("shop", "purchase", visitor, "items", item("sku-2"), "order_id", "1")
	w.eventually("what is bought is gone", patience, func() bool { return fmt.Sprint(w.products(visitor)) == "[sku-1]" })
	w.refuse("shop", other)
	w.eventually("and so is who refuses", patience, func() bool { return w.products(other) == nil })
}

// previews looks at a rule that no consumer knows, by command and by API: the number of its members, and those that are named.
func (w *world) previews(t *testing.T, rule string, members int, named ...uuid.UUID) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rule.yaml")
	require.NoError(t, os.WriteFile(file, []byte(rule), 0o600))
	out, err := w.pipeline.Console(t.Context(), "segments", "preview", file, "--site", "shop", "--days", "2", "--clickhouse-user", user)
	require.NoError(t, err, out)
	require.Regexp(t, fmt.Sprintf(`^members +minted +held out\n%d +`, members), out)
	require.Regexp(t, fmt.Sprintf(`\n%s +%d `, time.Now().In(berlin(t)).Format(time.DateOnly), members), out)
	status, body := w.ask(http.MethodPost, shopKey, "shop/audiences/preview", rule)
	require.Equal(t, http.StatusOK, status, body)
	var answer struct {
		Members int
		Days    []struct{ Members int }
		Samples []struct{ Visitor uuid.UUID }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Equal(t, members, answer.Members)
	require.Len(t, answer.Days, 30)
	require.Equal(t, members, answer.Days[29].Members)
	require.Len(t, answer.Samples, len(named))
	for _, visitor := range named {
		require.Contains(t, out, "\n"+visitor.String())
		require.Contains(t, answer.Samples, struct{ Visitor uuid.UUID }{visitor})
	}
}

// members are all of the audience, in pages of some.
func (w *world) members(limit int) []uuid.UUID {
	w.t.Helper()
	var all []uuid.UUID
	for cursor := ""; ; {
		var page struct {
			Members []struct{ Visitor uuid.UUID }
			Next    string
		}
		w.get(fmt.Sprintf("/audiences/cart/members?limit=%d%s", limit, cursor), &page)
		for _, m := range page.Members {
			all = append(all, m.Visitor)
		}
		if page.Next == "" {
			return all
		}
		cursor = "&cursor=" + page.Next
	}
}

// testOutage is last: it stops the database for a while.
func testOutage(t *testing.T, w *world) {
	require.NoError(t, w.database.Pause())
	begin := time.Now()
	status, body := w.ask(http.MethodGet, shopKey, "shop/visitors/"+uuid.NewString()+"/audiences", "")
	require.Equal(t, http.StatusServiceUnavailable, status, body)
	require.Less(t, time.Since(begin), patience/2)
	require.NoError(t, w.database.Resume())
	w.eventually("it answers again", patience, func() bool {
		status, body := w.ask(http.MethodGet, shopKey, "shop/visitors/"+uuid.NewString()+"/audiences", "")
		return status == http.StatusOK && json.Valid([]byte(body))
	})
}

func berlin(t *testing.T) *time.Location {
	t.Helper()
	location, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	return location
}
