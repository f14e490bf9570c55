//go:build integration

package secure_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

const days = "(from = today() - 1, to = today() + 1)"

// testLedger stops one collector and kills another: the first has told all, and what the second has not told is no gap.
func testLedger(t *testing.T, w *world) {
	stopped, err := w.pipeline.StartCollector(t.Context(), "stopped", w.as("collector")...)
	require.NoError(t, err)
	killed, err := w.pipeline.StartCollector(t.Context(), "killed", w.as("collector")...)
	require.NoError(t, err)
	for range 5 {
		for _, collector := range []string{stopped.URL, killed.URL} {
			status, _, _ := ask(t, http.MethodGet, collector+"/p.gif?"+url.Values{"site": {"shop"}, "id": {uuid.NewString()}}.Encode(), "")
			require.Equal(t, http.StatusOK, status)
		}
		status, _, _ := ask(t, http.MethodGet, stopped.URL+"/p.gif?site=nobody", "")
		require.Equal(t, http.StatusBadRequest, status)
	}
	require.NoError(t, killed.Kill())
	require.NoError(t, stopped.Stop())

	var told struct{ Accounts, Received, Stored, Unknown, Published uint64 }
	require.Eventually(t, func() bool {
		err := w.clickHouse.One(t.Context(), "SELECT count() AS Accounts, sum(received) AS Received, sum(stored) AS Stored, sum(reasons['site_unknown']) AS Unknown, sum(published) AS Published FROM onepx.ledger_accounts"+days+
			" WHERE collector IN (SELECT collector FROM onepx.ledger_minutes WHERE last)", &told)
		return err == nil && told.Accounts > 0
	}, patience, glance)
	require.Equal(t, []uint64{10, 5, 5, 5}, []uint64{told.Received, told.Stored, told.Unknown, told.Published})
	var row struct{ Untold int64 }
	require.Eventually(t, func() bool {
		err := w.clickHouse.One(t.Context(), "SELECT toInt64(sum(rows)) - toInt64(sum(accounts)) - toInt64(sum(published)) AS Untold FROM onepx.ledger"+days, &row)
		return err == nil && row.Untold >= 5
	}, patience, glance)
	var gaps struct{ N int }
	require.NoError(t, w.clickHouse.One(t.Context(), "SELECT count() AS N FROM onepx.ledger_gaps"+days+" WHERE difference != 'unknown'", &gaps))
	require.Zero(t, gaps.N)
}
