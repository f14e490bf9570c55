package imports_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/consumer/internal/imports"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is 25 November in UTC+14.
var now = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// rates reads a file and shows each rate as `2026-11-24 USD 1.25`, or the mistakes.
func rates(file string) ([]string, error) {
	list, err := imports.ReadRates(strings.NewReader(file), now)
	var all []string
	for _, rate := range list {
		all = append(all, rate.Day.Format(time.DateOnly)+" "+rate.Currency+" "+rate.Rate.String())
	}
	return all, err
}

func TestRatesAreReadAsTheEuropeanCentralBankPublishesThem(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		want       []string
	}{
		{"all days, with a comma at the end of each line and currencies of other times", "Date,USD,CYP,BGN,ISK,\n2026-11-24,1.1612,N/A,,142.5,\n2007-12-31,1.4721,0.585274,1.9558,N/A,\n",
			[]string{"2026-11-24 USD 1.1612", "2026-11-24 ISK 142.5", "2007-12-31 USD 1.4721", "2007-12-31 CYP 0.585274", "2007-12-31 BGN 1.9558"}},
		{"the latest day, with spaces and the month in words", "Date, USD, JPY, \n24 November 2026, 1.1612, 180.05, \n", []string{"2026-11-24 USD 1.1612", "2026-11-24 JPY 180.05"}},
		{"as spreadsheets write it: byte order mark, CRLF, quotes, empty lines, no comma at the end", "\ufeff\"Date\",\"USD\"\r\n\r\n\"2026-11-23\",\"1.1\"\r\n", []string{"2026-11-23 USD 1.1"}},
		{"a day that has begun in the easternmost zone", "Date,USD\n2026-11-25,1\n", []string{"2026-11-25 USD 1"}},
		{"all places that are stored", "Date,USD\n2026-11-24,12345678901234.123456789012\n", []string{"2026-11-24 USD 12345678901234.123456789012"}},
		{"a day without a rate beside one that has", "Date,USD\n2026-11-22,N/A\n2026-11-23,2\n", []string{"2026-11-23 USD 2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := rates(tc.file)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestRatesWithMistakesAreRefusedWithAllOfThem(t *testing.T) {
	const notARate = ` is not a rate, a decimal number above 0 with at most 14 digits before and 12 after the point`
	for _, tc := range []struct{ name, file, want string }{
		{"an empty file", "", "line 1: the file is empty"},
		{"a header alone", "Date,USD\n", "line 1: there are no rates in the file"},
		{"lines without a rate", "Date,USD\n2026-11-24,\n", "line 2: there are no rates in the file"},
		{"no header", "2026-11-24,1.1\n", `line 1: the first column is "2026-11-24", not Date`},
		{"no currency", "Date,\n2026-11-24,\n", "line 1: there is no currency after Date"},
		{"currencies that are none, and mistakes below them", "Date,usd,ZZZ,EUR,USD,USD,,JPY\n2026-11-24,,,,,,,x\n", "line 1: \"usd\" is not a currency (ISO 4217)\nline 1: \"ZZZ\" is not a currency (ISO 4217)\n" +
			"line 1: EUR has a column; the euro's rate is always 1\nline 1: USD has two columns\nline 1: \"\" is not a currency (ISO 4217)\nline 2: JPY: \"x\"" + notARate},
		{"rates that are none", "Date,USD\n2026-11-24,0\n2026-11-23,-1\n2026-11-20,1e3\n2026-11-19,\"1,1\"\n2026-11-18,1.0000000000001\n2026-11-17,NaN\n2026-11-16,+1\n",
			"line 2: USD: \"0\"" + notARate + "\nline 3: USD: \"-1\"" + notARate + "\nline 4: USD: \"1e3\"" + notARate + "\nline 5: USD: \"1,1\"" + notARate +
				"\nline 6: USD: \"1.0000000000001\"" + notARate + "\nline 7: USD: \"NaN\"" + notARate + "\nline 8: USD: \"+1\"" + notARate},
		{"days that are none", "Date,USD\n2026-11-26,1\n2026-02-30,1\n24.11.2026,1\n,1\n1998-12-31,1\n2026-11-24,1\n2026-11-24,2\n24 November 2026,1\n", "line 2: 2026-11-26 is in the future\n" +
			"line 3: \"2026-02-30\" is not a day such as 2026-11-24\nline 4: \"24.11.2026\" is not a day such as 2026-11-24\nline 5: \"\" is not a day such as 2026-11-24\n" +
			"line 6: 1998-12-31 is before 1999-01-01\nline 8: 2026-11-24 is on line 7 already\nline 9: 2026-11-24 is on line 7 already"},
		{"lines of another length", "Date,USD,JPY\n2026-11-24,1\n2026-11-23,1,2,3\n", "line 2: ends before JPY\nline 3: has 4 fields, the header has 3"},
		{"a line that is no CSV", "Date,USD\n2026-11-24,\"1\n", "line 2: is no CSV: extraneous or missing \" in quoted-field"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := rates(tc.file)
			require.Empty(t, got)
			require.EqualError(t, err, tc.want)
		})
	}
}

func TestOfManyMistakesTheFirstAreListedAndTheOthersCounted(t *testing.T) {
	_, err := rates("Date,USD\n" + strings.Repeat("x,1\n", 60))
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 51)
	require.Equal(t, `line 51: "x" is not a day such as 2026-11-24`, lines[49])
	require.Equal(t, "and 10 more", lines[50])
}

const header = "site,day,source,medium,campaign,currency,cost\n"

func costs(file string) (all []store.Cost, err error) {
	err = imports.ReadCosts(strings.NewReader(file), now, func(c store.Cost) error {
		all = append(all, c)
		return nil
	})
	return all, err
}

func TestCostsAreReadWithNamesInLowerCase(t *testing.T) {
	got, err := costs("\ufeffSite,Day,Source,Medium,Campaign,Currency,Cost\nshop,2026-11-24,Google,CPC,\"Sommer, GRÖSSER\",EUR,120.5\nshop,2026-11-23,newsletter,,,USD,0.000001\nshop,2026-11-22,x,y,z,USD,999999999999.999999\n")
	require.NoError(t, err)
	at := func(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }
	require.Equal(t, []store.Cost{
		{SiteID: "shop", Day: at(24), Source: "google", Medium: "cpc", Campaign: "sommer, grösser", Currency: "EUR", CostMicros: 120500000},
		{SiteID: "shop", Day: at(23), Source: "newsletter", Currency: "USD", CostMicros: 1},
		{SiteID: "shop", Day: at(22), Source: "x", Medium: "y", Campaign: "z", Currency: "USD", CostMicros: 999999999999999999},
	}, got)
}

func TestCostsWithMistakesAreRefusedWithAllOfThem(t *testing.T) {
	const notACost = ` is not a cost, a decimal number with at most 12 digits before and 6 after the point`
	for _, tc := range []struct{ name, file, want string }{
		{"an empty file", "", "line 1: the file is empty"},
		{"a header alone", header, "line 1: there are no costs in the file"},
		{"another header", "day,site\n", `line 1: the header is "day,site", not ` + strings.TrimSpace(header)},
		{"everything at once", header + "Shop!,2026-13-01,,m,c,euro,1e3\nshop,2026-11-24,s,m,c,EUR,-1\nshop,2026-11-24,s,m,c,EUR,1000000000000\nshop,2026-11-24,s,m,c,EUR,0.0000001\nshop,2026-11-24,s\n",
			"line 2: \"Shop!\" is not the id of a site\nline 2: \"2026-13-01\" is not a day such as 2026-11-24\nline 2: the source is empty\nline 2: \"euro\" is not a currency (ISO 4217)\nline 2: \"1e3\"" + notACost +
				"\nline 3: the cost -1 is negative\nline 4: \"1000000000000\"" + notACost + "\nline 5: \"0.0000001\"" + notACost + "\nline 6: has 3 fields, the header has 7"},
		{"the same key twice", header + "shop,2026-11-24,s,m,c,EUR,1\nshop,2026-11-24,S,M,C,EUR,2\nshop,2026-11-24,s,m,c,USD,2\n",
			"line 3: has the site, day, source, medium, campaign and currency of line 2 (case does not matter)"},
		{"names that can't be stored", header + "shop,2026-11-24,\xff," + strings.Repeat("ä", 513) + ",\x00,EUR,1\n", "line 2: \"\\xff\" is not a name of at most 512 characters in UTF-8\n" +
			"line 2: \"" + strings.Repeat("ä", 40) + "…\" is not a name of at most 512 characters in UTF-8\nline 2: \"\\x00\" is not a name of at most 512 characters in UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := costs(tc.file)
			require.EqualError(t, err, tc.want)
		})
	}
}

func TestWhoTakesTheCostsCanStop(t *testing.T) {
	stop := errors.New("enough")
	err := imports.ReadCosts(strings.NewReader(header+"shop,2026-11-24,s,m,c,EUR,1\n"), now, func(store.Cost) error { return stop })
	require.ErrorIs(t, err, stop)
}

func FuzzReadRates(f *testing.F) {
	f.Add("Date,USD,CYP,\n2026-11-24,1.1612,N/A,\n")
	f.Add("Date, USD\n24 November 2026, 1.5\n")
	f.Add("\ufeff\"Date\",USD\n2026-11-24,\"1\n")
	f.Fuzz(func(t *testing.T, file string) {
		list, err := imports.ReadRates(strings.NewReader(file), now)
		require.Equal(t, err != nil, len(list) == 0, "rates or mistakes")
		seen := map[string]bool{}
		for _, rate := range list {
			key := rate.Day.Format(time.DateOnly) + rate.Currency
			require.False(t, seen[key], key)
			seen[key] = true
			require.Positive(t, rate.Rate.Sign())
			require.LessOrEqual(t, rate.Rate.NumDigits(), 26)
			require.GreaterOrEqual(t, rate.Rate.Exponent(), int32(-12))
			require.False(t, rate.Day.After(now.AddDate(0, 0, 1)))
		}
	})
}

func FuzzReadCosts(f *testing.F) {
	f.Add(header + "shop,2026-11-24,Google,cpc,\"a,b\",EUR,1.5\n")
	f.Add(header + "shop,2026-11-24,s,m,c,EUR,-1\nshop,2026-11-24,s\n")
	f.Fuzz(func(t *testing.T, file string) {
		list, err := costs(file)
		require.True(t, err != nil || len(list) > 0, "costs or mistakes")
		seen := map[store.Cost]bool{}
		for _, cost := range list {
			require.GreaterOrEqual(t, cost.CostMicros, int64(0))
			require.Equal(t, strings.ToLower(cost.Source+cost.Medium+cost.Campaign), cost.Source+cost.Medium+cost.Campaign)
			cost.CostMicros = 0
			require.False(t, seen[cost], cost)
			seen[cost] = true
		}
	})
}
