package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	questionEvents = 100_000_000
	questionDays   = 60
	questionSite   = "crowded"
)

// standardQuestions are the reports of docs/questions.md that read a range of days, with their other parameters and
// whether a rollup has them.
var standardQuestions = []struct {
	view, parameters string
	rolledUp         bool
}{
	{"traffic", "", true},
	{"sessions_daily", "", true},
	{"channel_daily", "", true},
	{"new_vs_returning", "", true},
	{"conversion_rate", "", true},
	{"funnel", ", steps = ['/product', 'add_to_cart', 'purchase'], window_days = 7", false},
	{"conversions", "", false},
	{"revenue_ledger", "", false},
	{"time_to_convert", "", true},
	{"campaign_revenue", "", true},
	{"model_comparison", "", true},
	{"roas", "", true},
	{"why_not_counted", "", false},
	{"view_through", "", true},
}

// crowdedDay is a day of a shop's events, in sessions of five: a landing page by a campaign or without one, three pages, and
// something in the cart, an order in one of 25, or another page. A tenth is machines', a tenth has an id that was only
// minted, a fifth a daily hash. %[1]s is the site, %[2]s the day, %[3]d the first number, %[4]d the events, %[5]d the visitors.
const crowdedDay = `INSERT INTO onepx.events (kafka_topic, kafka_partition, kafka_offset, record_time, batch_day, declared_at, insert_until, outcome, site_id, event_id, kind, name,
	received_at, occurred_at, site_day, visitor_id, visitor_kind, daily_hash, page_path, source, medium, campaign, channel, utm_source, utm_medium, utm_campaign, referrer,
	order_id, value_micros, currency, site_currency, is_bot, transport, retention_days,
	goals.id, goals.once_per, goals.value, goals.value_micros, goals.currency, goals.click_window_days, goals.view_window_days)
WITH intDiv(number, 5) AS session, number %% 5 AS step, cityHash64(session, 1) AS dice, dice %% 25 = 0 AND step = 4 AS buys, step = 0 AND dice %% 10 < 6 AS campaigned
SELECT 'made', 0, number, occurred_at, '%[2]s', occurred_at, now64(3) + 3600, 'event', '%[1]s', generateUUIDv4(),
	multiIf(buys, 'order', step = 4 AND dice %% 3 = 0, 'custom', 'page_view') AS kind, multiIf(kind = 'order', 'purchase', kind = 'custom', 'add_to_cart', 'page_view'),
	occurred_at, toDateTime64('%[2]s 00:00:00', 3, 'UTC') + toIntervalMillisecond(cityHash64(session, 2) %% 86000000 + step * 40000) AS occurred_at, '%[2]s',
	if(visitor_kind = 'daily_hash', toUUID('00000000-0000-0000-0000-000000000000'), reinterpret(sipHash128(cityHash64(session, 3) %% %[5]d AS visitor), 'UUID')),
	multiIf(visitor %% 10 = 0, 'minted', visitor %% 10 < 3, 'daily_hash', 'cookie') AS visitor_kind, reinterpret(sipHash128(visitor, '%[2]s'), 'UUID'),
	multiIf(step = 0, '/', step = 4, '/cart', '/product'),
	if(campaigned, concat('source-', toString(dice %% 20)), '') AS source, if(campaigned, 'cpc', '') AS medium, if(campaigned, concat('campaign-', toString(dice %% 200)), '') AS campaign,
	if(campaigned, 'Paid Search', 'Direct'), source, medium, campaign, if(step = 0, '', 'https://shop.example/'),
	if(buys, toString(session), ''), if(buys, toInt64(cityHash64(session, 4) %% 100000 * 10000), NULL) AS worth, if(buys, 'EUR', ''), 'EUR', dice %% 10 = 9, 'gif', 730,
	if(buys, ['purchase'], []), if(buys, ['order'], []), if(buys, ['event'], []), if(buys, [worth], []), if(buys, ['EUR'], []), if(buys, [30], []), if(buys, [1], [])
FROM numbers(%[3]d, %[4]d)`

// questionBench asks every standard question about thirty of sixty days.
func questionBench(ctx context.Context, w *world) (report, error) {
	made, err := w.makeCrowd(ctx)
	if err != nil {
		return report{}, err
	}
	var result report
	for _, q := range standardQuestions {
		took, err := w.ask(ctx, fmt.Sprintf("SELECT * FROM onepx.%s(site = '%s', %s%s)", q.view, questionSite, thirtyDays, q.parameters))
		if err != nil {
			return report{}, err
		}
		result.numbers = append(result.numbers, number{"question_" + q.view, took, "s", atMost(1), "`" + q.view + "` of thirty days"})
	}
	rolled, err := w.rollup(ctx, questionSite)
	if err != nil {
		return report{}, err
	}
	result.numbers = append(result.numbers, number{"question_rollup_run", rolled, "s", nil, "`consumer rollup` of the sixty days"})
	for _, q := range standardQuestions {
		if !q.rolledUp {
			continue
		}
		took, err := w.ask(ctx, fmt.Sprintf("SELECT * FROM onepx.rollup_%s(site = '%s', %s)", q.view, questionSite, thirtyDays))
		if err != nil {
			return report{}, err
		}
		result.numbers = append(result.numbers, number{"question_rollup_" + q.view, took, "s", atMost(1), "`rollup_" + q.view + "` of thirty days"})
	}
	result.method = fmt.Sprintf(`%d events of %d visitors over %d days, made by ClickHouse from numbers (in %s) and inserted into events, so that the
product's own views fill all tables; each question is asked about the last thirty days. Seconds are those of the whole query over HTTP.`,
		questionEvents, questionEvents/20, questionDays, made.Round(time.Second))
	return result, nil
}

// makeCrowd makes the events of the crowded site, and returns how long that took.
func (w *world) makeCrowd(ctx context.Context) (time.Duration, error) {
	if out, err := w.pipeline.Consumer(ctx, "migrate"); err != nil {
		return 0, fmt.Errorf("consumer migrate: %w\n%s", err, out)
	}
	fmt.Fprintf(os.Stderr, "making %d events …\n", questionEvents)
	begun := time.Now()
	last := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	const perDay = questionEvents / questionDays
	for day := range questionDays {
		date := last.AddDate(0, 0, day-questionDays+1).Format(time.DateOnly)
		if err := w.exec(ctx, fmt.Sprintf(crowdedDay, questionSite, date, day*perDay, perDay, questionEvents/20)); err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}

// rollup computes the sums by day of all days of the benchmarks' data, and returns how many seconds that takes.
func (w *world) rollup(ctx context.Context, site string) (float64, error) {
	file := filepath.Join(w.dir, site+".yaml")
	if err := os.WriteFile(file, []byte("sites:\n  - {id: "+site+", timezone: UTC, currency: EUR}\n"), 0o600); err != nil {
		return 0, err
	}
	days := int(time.Since(time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)).Hours()/24) + 1
	begun := time.Now()
	if out, err := w.pipeline.Consumer(ctx, "rollup", "--config", file, "--days", strconv.Itoa(days)); err != nil {
		return 0, fmt.Errorf("consumer rollup: %w\n%s", err, out)
	}
	return time.Since(begun).Seconds(), nil
}

const questionTried = `What is above a second and why: sessions_daily, channel_daily and conversion_rate put all events of the range in order, visitor by visitor, each time they are asked, since a
late event may change any session; funnel and new_vs_returning group them by visitor. Those on revenue read the orders and touches of their range, and take more than a second to be
analysed (see the benchmark above). [Rollups](questions.md#large-sites) have these answers in milliseconds. None has conversions (people are in it), funnel (its
steps are the caller's) and why_not_counted.`
