//go:build integration

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// csvFile writes a file and returns its path.
func csvFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "import.csv")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestImportedRatesCanBeRepeatedAndCorrected(t *testing.T) {
	w := empty(t)
	file := csvFile(t, "Date,USD,CHF,\n2025-11-24,1.1612,N/A,\n2025-11-21,1.1520,0.9301,\n")
	early := command(t, "import", "rates", file)
	require.Equal(t, 1, early.code)
	require.Contains(t, early.errOut, "run `consumer migrate`")
	require.Zero(t, command(t, "migrate").code)

	const stored = "SELECT toString(day) AS day, currency, toString(rate) AS rate FROM %s.currency_rates FINAL ORDER BY day, currency"
	want := []string{
		`{"day":"2025-11-21","currency":"CHF","rate":"0.9301"}`, `{"day":"2025-11-21","currency":"USD","rate":"1.152"}`, `{"day":"2025-11-24","currency":"USD","rate":"1.1612"}`,
	}
	for range 2 {
		got := command(t, "import", "rates", file)
		require.Zero(t, got.code, got.errOut)
		require.Equal(t, "imported 3 rates (currencies: 2) of 2025-11-21 to 2025-11-24\n", got.out)
		require.Equal(t, want, w.query(stored), "a repeated import changes nothing")
	}

	refused := command(t, "import", "rates", csvFile(t, "Date,USD\n2025-11-24,9\n2999-01-01,1\n2025-11-20,x\n"))
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "nothing was imported\nline 3: 2999-01-01 is in the future\nline 4: USD: \"x\" is not a rate")
	require.Equal(t, want, w.query(stored), "not even the good line")

	require.Zero(t, command(t, "import", "rates", csvFile(t, "Date,USD\n2025-11-24,1.25\n")).code)
	require.Equal(t, []string{`{"rate":"1.25"}`}, w.query("SELECT toString(rate) AS rate FROM %s.currency_rates FINAL WHERE day = '2025-11-24'"))
	// The same file as at first, which ClickHouse has seen: it counts again, being the last.
	require.Zero(t, command(t, "import", "rates", file).code)
	require.Equal(t, want, w.query(stored))
}

func TestImportedCostsReplaceThoseOfTheSameKey(t *testing.T) {
	w := empty(t)
	require.Zero(t, command(t, "migrate").code)
	const head = "site,day,source,medium,campaign,currency,cost\n"
	stdin, err := os.Open(csvFile(t, head+"shop,2025-11-24,Google,cpc,Sale,EUR,10.5\nshop,2025-11-23,Google,cpc,Sale,EUR,7\nblog,2025-11-23,bing,cpc,,USD,1\n"))
	require.NoError(t, err)
	defer func(before *os.File) {
		os.Stdin = before
		require.NoError(t, stdin.Close())
	}(os.Stdin)
	os.Stdin = stdin
	got := command(t, "import", "costs", "-")
	require.Zero(t, got.code, got.errOut)
	require.Equal(t, "imported 3 costs (sites: 2) of 2025-11-23 to 2025-11-24\n", got.out)

	corrected := command(t, "import", "costs", csvFile(t, head+"shop,2025-11-24,GOOGLE,CPC,sale,EUR,11\n"))
	require.Zero(t, corrected.code, corrected.errOut)
	refused := command(t, "import", "costs", csvFile(t, head+"shop,2025-11-24,google,cpc,sale,EUR,99\nshop,2025-11-24,google,cpc,other,EUR,-1\n"))
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "line 3: the cost -1 is negative")
	require.Equal(t, []string{
		`{"site_id":"blog","day":"2025-11-23","campaign":"","cost_micros":1000000}`, `{"site_id":"shop","day":"2025-11-23","campaign":"sale","cost_micros":7000000}`,
		`{"site_id":"shop","day":"2025-11-24","campaign":"sale","cost_micros":11000000}`,
	}, w.query("SELECT site_id, toString(day) AS day, campaign, cost_micros FROM %s.ad_costs FINAL ORDER BY site_id, day"))
}

func TestManyCostsAreImportedInBlocks(t *testing.T) {
	w := empty(t)
	require.Zero(t, command(t, "migrate").code)
	var file strings.Builder
	file.WriteString("site,day,source,medium,campaign,currency,cost\n")
	const n = 2*costBlock + 1
	for i := range n {
		fmt.Fprintf(&file, "shop,2025-11-24,google,cpc,campaign %d,EUR,0.01\n", i)
	}
	got := command(t, "import", "costs", csvFile(t, file.String()))
	require.Zero(t, got.code, got.errOut)
	require.Equal(t, []string{fmt.Sprintf(`{"rows":%d,"micros":%d}`, n, n*10_000)}, w.query("SELECT count() AS rows, sum(cost_micros) AS micros FROM %s.ad_costs"))
}

func TestAFileThatIsNotThereIsNamed(t *testing.T) {
	t.Setenv("ONEPX_CLICKHOUSE_ADDR", "127.0.0.1:1")
	for _, kind := range []string{"rates", "costs", "feed --site=shop"} {
		got := command(t, append(append([]string{"import"}, strings.Fields(kind)...), filepath.Join(t.TempDir(), "missing.csv"))...)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.errOut, "missing.csv")
	}
}
