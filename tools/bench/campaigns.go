package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	campaignTouches     = 10_000_000
	campaignConversions = 200_000
	// campaignGrowth is how many times as much the second shop has.
	campaignGrowth = 10
	// patience is what a question may take so that it is asked again for a median.
	patience = 20 * time.Second
)

// thirtyDays is the range that questions are asked for; the data begin thirty days before and end with it.
const thirtyDays = "from = '2026-10-31', to = '2026-11-29'"

// attributionModels are those of docs/questions.md.
var attributionModels = []string{"first", "last", "last_non_direct", "linear", "position", "time_decay"}

// campaignFacts fills the tables that attribution reads: touches over sixty days of a quarter as many visitors, and orders of
// the last thirty. %[1]s is the site, %[2]d the touches, %[3]d the visitors, %[4]d the conversions. Ids are 128-bit hashes.
var campaignFacts = []string{
	`INSERT INTO onepx.touches (site_id, kind, site_day, occurred_at, event_id, visitor_kind, visitor_id, daily_hash, channel, source, medium, campaign, expires_at)
	SELECT '%[1]s', multiIf(number %% 10 < 6, 'click', number %% 10 < 8, 'direct', 'view'), toDate('2026-10-01') + cityHash64(number, 1) %% 60 AS day,
		toDateTime64(day, 3, 'UTC') + toIntervalMillisecond(cityHash64(number, 2) %% 86400000), generateUUIDv4(), if(cityHash64(number, 4) %% 10 < 3, 'minted', 'cookie'),
		reinterpret(sipHash128(toUInt64(cityHash64(number, 3) %% %[3]d) AS visitor), 'UUID'), reinterpret(sipHash128(visitor, day), 'UUID'),
		'Paid Search', concat('source-', toString(cityHash64(number, 5) %% 20)), 'cpc', concat('campaign-', toString(cityHash64(number, 5) %% 200)), toDateTime('2030-01-01')
	FROM numbers(%[2]d)`,
	`INSERT INTO onepx.visitors
	SELECT '%[1]s', reinterpret(sipHash128(number), 'UUID'), '2026-10-01', '2026-11-29', 1, 1, toDateTime('2030-01-01') FROM numbers(%[3]d)`,
	`INSERT INTO onepx.identities
	SELECT '%[1]s', reinterpret(sipHash128('user', number %% intDiv(%[3]d, 10)), 'UUID'), 'cookie', reinterpret(sipHash128(number), 'UUID'), reinterpret(sipHash128(number, 'day'), 'UUID'),
		toDateTime64('2026-11-10 00:00:00', 3) + number %% 1000000, generateUUIDv4(), toDateTime('2030-01-01') FROM numbers(intDiv(%[3]d, 5))`,
	`INSERT INTO onepx.conversion_hits (site_id, goal, once_per, site_day, occurred_at, event_id, order_id, kind, visitor_kind, visitor_id, daily_hash,
		value, value_micros, currency, site_currency, click_window_days, view_window_days, outcome, expires_at)
	SELECT '%[1]s', 'purchase', 'order', toDate('2026-10-31') + cityHash64(number, 11) %% 30 AS day, toDateTime64(day, 3, 'UTC') + toIntervalMillisecond(cityHash64(number, 12) %% 86400000),
		generateUUIDv4(), toString(number), 'order', 'cookie', reinterpret(sipHash128(toUInt64(cityHash64(number, 13) %% %[3]d) AS visitor), 'UUID'), reinterpret(sipHash128(visitor, day), 'UUID'),
		'event', toInt64(cityHash64(number, 14) %% 100000 * 10000), 'EUR', 'EUR', 30, 1, 'event', toDateTime('2030-01-01')
	FROM numbers(%[4]d)`,
	`INSERT INTO onepx.order_entries (site_id, order_id, entry, site_day, occurred_at, event_id, value_micros, currency, site_currency, expires_at)
	SELECT site_id, order_id, 'purchase', site_day, occurred_at, event_id, value_micros, currency, site_currency, expires_at FROM onepx.conversion_hits WHERE site_id = '%[1]s'`,
}

// campaignBench asks which campaigns brought the revenue of thirty days, by each model, of a large shop and of one ten times as large.
func campaignBench(ctx context.Context, w *world) (report, error) {
	if out, err := w.pipeline.Consumer(ctx, "migrate"); err != nil {
		return report{}, fmt.Errorf("consumer migrate: %w\n%s", err, out)
	}
	var result report
	seconds, kept := map[string][]float64{}, map[string][]float64{}
	for _, shop := range []struct {
		site  string
		times int
	}{{"large", 1}, {"larger", campaignGrowth}} {
		fmt.Fprintf(os.Stderr, "making %d touches …\n", campaignTouches*shop.times)
		touches := campaignTouches * shop.times
		for _, statement := range campaignFacts {
			if err := w.exec(ctx, fmt.Sprintf(statement, shop.site, touches, touches/4, campaignConversions*shop.times)); err != nil {
				return report{}, err
			}
		}
		var err error
		if seconds[shop.site], err = w.askModels(ctx, "campaign_revenue", shop.site); err != nil {
			return report{}, err
		}
		rolled, err := w.rollup(ctx, shop.site)
		if err != nil {
			return report{}, err
		}
		result.numbers = append(result.numbers, number{"campaign_rollup_" + shop.site, rolled, "s", nil, "`consumer rollup` of sixty days of the shop"})
		if kept[shop.site], err = w.askModels(ctx, "rollup_campaign_revenue", shop.site); err != nil {
			return report{}, err
		}
	}
	for i, model := range attributionModels {
		result.numbers = append(result.numbers,
			number{"campaign_revenue_" + model, seconds["large"][i], "s", atMost(1), "thirty days, by the model " + model},
			number{"rollup_campaign_revenue_" + model, kept["large"][i], "s", atMost(1), "the same of the rollup"})
	}
	larger, large := median(seconds["larger"]), median(seconds["large"])
	empty, err := w.ask(ctx, "SELECT * FROM onepx.campaign_revenue(site = 'empty', "+thirtyDays+")")
	if err != nil {
		return report{}, err
	}
	result.numbers = append(result.numbers,
		number{"campaign_revenue_larger", larger, "s", nil, "median of the models with ten times the data"},
		number{"campaign_revenue_growth", larger / large, "x", atMost(campaignGrowth), "the same ÷ the median of the models above"},
		number{"rollup_campaign_revenue_larger", median(kept["larger"]), "s", nil, "median of the models with ten times the data, of the rollup"},
		number{"rollup_campaign_revenue_growth", median(kept["larger"]) / median(kept["large"]), "x", atMost(campaignGrowth), "the same ÷ the median of the models of the rollup"},
		number{"campaign_revenue_empty", empty, "s", nil, "of a site without data: what ClickHouse takes to analyse the view"})
	result.method = fmt.Sprintf(`%d touches of %d visitors over sixty days, %d orders in the last thirty, made in ClickHouse's own tables of facts; a fifth of the visitors
has given a user key. Then the same ten times as large. Both are in the same tables. Seconds are those of the whole query over HTTP.`, campaignTouches, campaignTouches/4, campaignConversions)
	return result, nil
}

// askModels asks a question about thirty days by each model, and returns how many seconds each takes.
func (w *world) askModels(ctx context.Context, view, site string) (seconds []float64, err error) {
	for _, model := range attributionModels {
		took, err := w.ask(ctx, fmt.Sprintf("SELECT * FROM onepx.%s(site = '%s', %s, model = '%s')", view, site, thirtyDays, model))
		if err != nil {
			return nil, err
		}
		seconds = append(seconds, took)
	}
	return seconds, nil
}

// ask returns how many seconds a question takes: the median of several runs, or the only one where it takes long.
func (w *world) ask(ctx context.Context, question string) (float64, error) {
	var runs []float64
	for range w.runs {
		start := time.Now()
		if err := w.exec(ctx, question); err != nil {
			return 0, err
		}
		took := time.Since(start)
		runs = append(runs, took.Seconds())
		if took > patience {
			break
		}
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(question, "SELECT * FROM onepx."), "(")
	fmt.Fprintf(os.Stderr, "  %s: %ss\n", name, short(median(runs)))
	return median(runs), nil
}

const campaignTried = `The empty site shows what ClickHouse takes to analyse a view with parameters that lies on others: each level is analysed twice. About half of the rest
is the filter over all touches of ninety days and the arrays of those that are left, by visitor and by person; a quarter is counting and valuing the orders. Tried so far (8 s
before): numbers instead of names in the arrays, sets of 64-bit ids instead of UUIDs, no aggregation for orders with one hit, fewer views on views. All views written into
one query were slower to analyse (2 to 4 s). Below a second are [rollups](questions.md#large-sites).`
