//go:build integration

// Package golden_test holds a data set of one shop over six weeks, made from a seed. The events go through the whole
// pipeline, collector, Kafka, consumer and ClickHouse, and the answer to every question must be the one that the reference
// (tools/internal/answers) computes from the same list.
package golden_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/tools/internal/answers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryAnswerIsThatOfTheReference(t *testing.T) {
	events, site := generate(seed(t)), shop()
	w := open(t)
	browsed := shoppers(seed(t))
	require.NoError(t, w.push(t.Context(), siteID, events))
	require.NoError(t, w.push(t.Context(), audienceSite, browsed))
	require.NoError(t, w.imports(t.Context(), site))
	mails := newsletters(seed(t))
	w.pushMail(t, mails)
	w.await(t, len(events)+len(browsed)+mails.events())
	compareAudiences(t, w, browsed)
	compareLift(t, w, browsed)
	compareMail(t, w, mails)
	askDashboards(t, w)
	require.NoError(t, w.rollup(t.Context()))
	c := newComparison(w.clickHouse, siteID, events)
	reference := answers.New(site, events)
	for i, r := range ranges {
		for _, q := range questions(reference, r, i == 0) {
			for _, kept := range []string{"", "rollup_"} {
				if kept != "" && !rolledUp[q.view] {
					continue
				}
				q := question{kept + q.view, q.more, q.want}
				t.Run(fmt.Sprintf("%s from %s to %s%s", q.view, r.From, r.To, q.more), func(t *testing.T) {
					t.Parallel() // ClickHouse plans a query on one core
					c.compare(t, q, r)
				})
			}
		}
	}
}

// rolledUp are the questions that the sums by day answer too.
var rolledUp = map[string]bool{
	"traffic": true, "campaign_revenue": true, "model_comparison": true, "conversion_rate": true, "time_to_convert": true,
	"sessions_daily": true, "channel_daily": true, "new_vs_returning": true, "roas": true, "view_through": true,
}

// question is a view with its parameters, and the rows that the reference expects.
type question struct {
	view, more string
	want       any
}

// questions are those of a range, with all parameters if there is time for them.
func questions(a *answers.Answers, r answers.Range, all bool) []question {
	steps := []string{"/product", "add_to_cart", "purchase"}
	list := []question{
		{"traffic", "", a.Traffic(r)},
		{"conversions", "", a.Conversions(r, "")},
		{"revenue_ledger", "", a.RevenueLedger(r)},
		{"campaign_revenue", "", a.CampaignRevenue(r, answers.DefaultModel, "")},
		{"model_comparison", "", a.ModelComparison(r, "")},
		{"conversion_rate", "", a.ConversionRate(r, "")},
		{"time_to_convert", "", a.TimeToConvert(r, "")},
		{"funnel", ", steps = ['/product', 'add_to_cart', 'purchase']", a.Funnel(r, steps, 7)},
		{"sessions_daily", "", a.SessionsDaily(r)},
		{"channel_daily", "", a.ChannelDaily(r)},
		{"new_vs_returning", "", a.NewVsReturning(r)},
		{"roas", "", a.Roas(r, answers.DefaultModel, "")},
		{"why_not_counted", "", a.WhyNotCounted(r, "")},
		{"view_through", "", a.ViewThrough(r, "")},
	}
	if !all {
		return list
	}
	for _, model := range answers.Models {
		list = append(list, question{"campaign_revenue", ", model = '" + model + "'", a.CampaignRevenue(r, model, "")})
	}
	return append(list,
		question{"conversions", ", goal = 'lead'", a.Conversions(r, "lead")},
		question{"campaign_revenue", ", goal = 'pro'", a.CampaignRevenue(r, answers.DefaultModel, "pro")},
		question{"model_comparison", ", goal = 'signup'", a.ModelComparison(r, "signup")},
		question{"conversion_rate", ", goal = 'product'", a.ConversionRate(r, "product")},
		question{"time_to_convert", ", goal = 'purchase'", a.TimeToConvert(r, "purchase")},
		question{"funnel", ", steps = ['/product', 'add_to_cart', 'purchase'], window_days = 1", a.Funnel(r, steps, 1)},
		question{"funnel", ", steps = ['page_view', 'page_view', 'page_view', '/cart']", a.Funnel(r, []string{"page_view", "page_view", "page_view", "/cart"}, 7)},
		question{"roas", ", model = 'linear', goal = 'purchase'", a.Roas(r, "linear", "purchase")},
		question{"why_not_counted", ", goal = 'lead'", a.WhyNotCounted(r, "lead")},
		question{"view_through", ", goal = 'purchase'", a.ViewThrough(r, "purchase")},
	)
}
