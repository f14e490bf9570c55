package golden_test

import (
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
)

// seed makes the data set; ONEPX_GOLDEN_SEED draws another one.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("ONEPX_GOLDEN_SEED")
	if text == "" {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	return n
}

func TestTheDataSetIsMadeFromItsSeed(t *testing.T) {
	require.Equal(t, generate(7), generate(7))
	require.NotEqual(t, generate(7), generate(8))
}

func TestTheDataSetHasEveryCase(t *testing.T) {
	events := generate(seed(t))
	devices, ids, count := map[string]bool{}, map[string]bool{}, map[string]int{}
	latest := map[string]time.Time{} // of each device
	for _, e := range events {
		if e.Transport != answers.Server && !e.Bot {
			devices[e.Device] = true
		}
		note := func(name string, is bool) {
			if is {
				count[name]++
			}
		}
		note("repeated", e.ID != "" && ids[e.ID])
		note("late", !e.At.IsZero() && e.Arrived.Sub(e.At) > time.Hour && e.Arrived.Sub(e.At) <= 7*aDay)
		note("too old", !e.At.IsZero() && e.Arrived.Sub(e.At) > 7*aDay)
		note("ahead", e.At.Sub(e.Arrived) > 5*time.Minute)
		note("out of order", !e.At.IsZero() && e.At.Before(latest[e.Device]))
		note("without an id", e.ID == "")
		note("without a time", e.At.IsZero())
		note("answer lost", e.AnswerLost)
		note("blocked cookies", !e.KeepsCookies && e.Device != "")
		note("by a machine", e.Bot)
		note("refund", e.Name == "refund")
		note("cancel", e.Name == "cancel")
		note("restate", e.Name == "restate")
		note("no order id", e.Name == "purchase" && e.OrderID == "")
		note(e.Currency, true)
		ids[e.ID] = true
		if e.At.After(latest[e.Device]) {
			latest[e.Device] = e.At
		}
	}
	require.GreaterOrEqual(t, len(devices), 300, "visitors")
	for _, name := range []string{
		"repeated", "late", "too old", "ahead", "out of order", "without an id", "without a time", "answer lost", "blocked cookies", "by a machine",
		"refund", "cancel", "restate", "no order id", "USD", "JPY", "GBP", "CHF", "EURO",
	} {
		require.GreaterOrEqual(t, count[name], 10, name)
	}
}

func TestEachQuestionHasAnAnswerWorthComparing(t *testing.T) {
	a := answers.New(shop(), generate(seed(t)))
	for _, r := range ranges {
		for _, g := range goals {
			require.NotEmpty(t, a.Conversions(r, g.ID), "%s in %v", g.ID, r)
		}
		// Money is neither made nor lost on the way from conversions to campaigns, whatever the model.
		total := a.CampaignRevenue(r, answers.DefaultModel, "purchase")
		sum := func(rows []answers.CampaignRow) map[string]string {
			sums := map[string]answers.Amount{}
			for _, row := range rows {
				if sums[row.Currency] == nil {
					sums[row.Currency] = new(big.Int)
				}
				sums[row.Currency].Add(sums[row.Currency], row.Revenue)
			}
			texts := map[string]string{}
			for currency, s := range sums {
				texts[currency] = answers.Decimal(s)
			}
			return texts
		}
		for _, model := range answers.Models {
			require.Equal(t, sum(total), sum(a.CampaignRevenue(r, model, "purchase")), model)
		}
	}
	flags := map[string]bool{}
	persons := map[string]bool{}
	for _, c := range a.Conversions(ranges[0], "") {
		for _, flag := range c.Flags {
			flags[flag] = true
		}
		kind, _, _ := strings.Cut(string(c.Person), " ")
		persons[kind] = true
		flags["rate_missing"] = flags["rate_missing"] || c.RateMissing
	}
	require.Len(t, flags, 3)
	require.Len(t, persons, 5, "nobody, by user key, cookie, id of the shop, daily hash")
	touches := map[string]int{}
	for _, row := range a.CampaignRevenue(ranges[0], "linear", "") {
		touches["click"] += row.Clicks
		touches["view"] += row.Views
		touches[row.Channel]++
	}
	require.Positive(t, touches["click"])
	require.Greater(t, touches["view"], 10)
	for _, l := range landings {
		require.Contains(t, touches, l.channel)
	}
	ledger := a.RevenueLedger(ranges[0])
	require.True(t, slices.ContainsFunc(ledger, func(r answers.LedgerRow) bool { return r.Unknown > 0 && r.RateMissing }))
	require.True(t, slices.ContainsFunc(ledger, func(r answers.LedgerRow) bool { return r.WithoutSale > 0 }))
	require.True(t, slices.ContainsFunc(ledger, func(r answers.LedgerRow) bool { return r.OverRefunded > 0 }))
}
