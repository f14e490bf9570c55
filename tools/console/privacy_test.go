//go:build integration

package console_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// erase has an erasure done and returns its proof, rows before and after by table.
func (w *world) erase(body string) map[string][2]int {
	w.t.Helper()
	status, answer := w.ask(http.MethodPost, shopKey, "shop/privacy/erasures", body)
	require.Equal(w.t, http.StatusAccepted, status, answer)
	var taken struct{ ID uuid.UUID }
	require.NoError(w.t, json.Unmarshal([]byte(answer), &taken))
	var state struct {
		Step   string
		Tables []struct {
			Table         string
			Before, After int
		}
	}
	w.eventually("the erasure is done", patience, func() bool {
		w.get("/privacy/erasures/"+taken.ID.String(), &state)
		return state.Step == "done"
	})
	status, _ = w.ask(http.MethodGet, blogKey, "blog/privacy/erasures/"+taken.ID.String(), "")
	require.Equal(w.t, http.StatusNotFound, status, "it is another site's")
	proof := map[string][2]int{}
	for _, t := range state.Tables {
		proof[t.Table] = [2]int{t.Before, t.After}
	}
	return proof
}

// held returns how many rows of events a site's access has.
func (w *world) held(key, site, body string) int {
	w.t.Helper()
	status, answer := w.ask(http.MethodPost, key, site+"/privacy/access", body)
	require.Equal(w.t, http.StatusOK, status, answer)
	return strings.Count(answer, `{"table":"events",`)
}

func testPrivacy(t *testing.T, w *world) {
	const anna = "anna@example.com"
	own, both, theirs := uuid.New(), uuid.New(), uuid.New()
	w.hit("shop", "page_view", own, "uid", anna)
	w.hit("shop", "page_view", own)
	w.hit("shop", "page_view", both)
	w.hit("blog", "page_view", both)
	w.hit("blog", "page_view", theirs, "uid", anna)
	w.hit("blog", "page_view", theirs)
	w.await(own, both, theirs)
	erasedBefore, accessedBefore := w.logged()
	about := func(ids ...uuid.UUID) string {
		text, err := json.Marshal(map[string]any{"visitors": ids})
		require.NoError(t, err)
		return string(text)
	}
	byAddress := `{"uids":[" Anna@example.com "]}`

	require.Equal(t, 1, w.held(shopKey, "shop", byAddress))
	require.Equal(t, 1, w.held(blogKey, "blog", byAddress))
	require.Equal(t, 1, w.held(shopKey, "shop", about(both)), "rows of the site only")
	require.Equal(t, 0, w.held(shopKey, "shop", about(theirs)))
	status, links := w.ask(http.MethodPost, shopKey, "shop/privacy/links", byAddress)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, links, own.String())
	require.NotContains(t, links, theirs.String())

	status, answer := w.ask(http.MethodPost, shopKey, "shop/privacy/erasures", about(own, both))
	require.Equal(t, http.StatusConflict, status, answer)
	for table, rows := range w.erase(about(theirs)) {
		require.Equal(t, [2]int{0, 0}, rows, "%s: what is another site's looks like what there is not", table)
	}
	require.Equal(t, 2, w.held(blogKey, "blog", about(theirs)))

	proof := w.erase(about(own))
	require.Equal(t, [2]int{2, 0}, proof["events"])
	require.Equal(t, 0, w.held(shopKey, "shop", about(own)))
	require.Equal(t, 0, w.held(shopKey, "shop", byAddress))
	require.Equal(t, 1, w.held(blogKey, "blog", byAddress), "the other site's customer stays")
	erasures, accesses := w.logged()
	require.Equal(t, 2, erasures-erasedBefore)
	require.Equal(t, 8, accesses-accessedBefore)

	log, err := os.ReadFile(w.console.LogFile())
	require.NoError(t, err)
	for _, personal := range []string{"nna@", own.String(), both.String(), theirs.String()} {
		require.NotContains(t, string(log), personal)
	}
}

// await waits until every visitor is known.
func (w *world) await(visitors ...uuid.UUID) {
	w.t.Helper()
	for _, v := range visitors {
		w.eventually("events of "+v.String(), patience, func() bool {
			var row struct{ N int }
			require.NoError(w.t, w.clickHouse.One(w.t.Context(), "SELECT count() AS N FROM onepx.events WHERE visitor_id = '"+v.String()+"'", &row))
			return row.N == 2
		})
	}
}

// logged are how many erasures and accesses keys have asked for.
func (w *world) logged() (erasures, accesses int) {
	w.t.Helper()
	var logged struct{ Erasures, Accesses int }
	require.NoError(w.t, w.clickHouse.One(w.t.Context(), "SELECT uniqExactIf(request_id, kind = 'erase') AS Erasures, uniqExactIf(request_id, kind = 'access') AS Accesses FROM onepx.privacy_requests WHERE startsWith(asked_by, 'key ')", &logged))
	return logged.Erasures, logged.Accesses
}
