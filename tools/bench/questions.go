package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

const (
	questionEvents = 100_000_000
	questionDays   = 60
	questionSite   = "crowded"
)

// standardQuestions are the reports of docs/questions.md that read a range of days, with their other parameters.
var standardQuestions = []struct{ view, parameters string }{
	{"traffic", ""},
	{"sessions_daily", ""},
	{"channel_daily", ""},
	{"new_vs_returning", ""},
	{"conversion_rate", ""},
	{"funnel", ", steps = ['/product', 'add_to_cart', 'purchase'], window_days = 7"},
	{"conversions", ""},
	{"revenue_ledger", ""},
	{"time_to_convert", ""},
	{"campaign_revenue", ""},
	{"model_comparison", ""},
	{"roas", ""},
	{"why_not_counted", ""},
	{"view_through", ""},
}

// crowdedDay is a day of a shop's events, in sessions of five: a landing page by a campaign or without one, three pages, and
// something in the cart, an order in one of 25, or another page. A tenth is machines', a tenth has an id that was only
// minted, a fifth a daily hash. %[1]s is the site, %[2]s the day, %[3]d the first number, %[4]d the events, %[5]d the visitors.
const crowdedDay = `INSERT INTO onepx.events (kafka_topic, kafka_partition, kafka_offset, record_time, batch_day, declared_at, insert_until, outcome, site_id, event_id, kind, name,
	received_at, occurred_at, site_day, visitor_id, visitor_kind, daily_hash, page_path, source, medium, campaign, channel, utm_source, utm_medium, utm_campaign, referrer,
	order_id, value_micros, currency, site_currency, is_bot, transport, retention_days,
	goals.id, goals.once_per, goals.value, goals.value_micros, goals.currency, goals.click_window_days, goals.view_window_days)
WITH intDiv(number, 5) AS session, number %% 5 AS step, cityHash64(session, 1) AS dice, dice %% 25 = 0 AND step = 4 AS buys, step = 0 AND dice %% 10 < 6 AS campaigned
SELECT 'onepx.events', 0, number, occurred_at, '%[2]s', occurred_at, now64(3) + 3600, 'event', '%[1]s', generateUUIDv4(),
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
	if out, err := w.pipeline.Consumer(ctx, "migrate"); err != nil {
		return report{}, fmt.Errorf("consumer migrate: %w\n%s", err, out)
	}
	fmt.Fprintf(os.Stderr, "making %d events …\n", questionEvents)
	begun := time.Now()
	last := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	const perDay = questionEvents / questionDays
	for day := range questionDays {
		date := last.AddDate(0, 0, day-questionDays+1).Format(time.DateOnly)
		if err := w.exec(ctx, fmt.Sprintf(crowdedDay, questionSite, date, day*perDay, perDay, questionEvents/20)); err != nil {
			return report{}, err
		}
	}
	made := time.Since(begun)
	var result report
	for _, q := range standardQuestions {
		took, err := w.ask(ctx, fmt.Sprintf("SELECT * FROM onepx.%s(site = '%s', %s%s)", q.view, questionSite, thirtyDays, q.parameters))
		if err != nil {
			return report{}, err
		}
		result.numbers = append(result.numbers, number{"question_" + q.view, took, "s", atMost(1), "`" + q.view + "` of thirty days"})
	}
	kept, err := w.keep(ctx)
	if err != nil {
		return report{}, err
	}
	result.numbers = append(result.numbers, number{"question_kept", kept, "s", atMost(1), "`sessions_daily` of thirty days out of a table that ClickHouse refreshes ([Large sites](questions.md#large-sites))"})
	result.method = fmt.Sprintf(`%d events of %d visitors over %d days, made by ClickHouse from numbers (in %s) and inserted into events, so that the
product's own views fill all tables; each question is asked about the last thirty days. Seconds are those of the whole query over HTTP.`,
		questionEvents, questionEvents/20, questionDays, made.Round(time.Second))
	return result, nil
}

// keep has ClickHouse keep an answer, and returns how many seconds it takes to read it.
func (w *world) keep(ctx context.Context) (float64, error) {
	for _, statement := range []string{
		fmt.Sprintf("CREATE MATERIALIZED VIEW onepx.kept REFRESH EVERY 1 HOUR ENGINE = MergeTree ORDER BY day AS SELECT * FROM onepx.sessions_daily(site = '%s', %s)", questionSite, thirtyDays),
		"SYSTEM WAIT VIEW onepx.kept",
	} {
		if err := w.exec(ctx, statement); err != nil {
			return 0, err
		}
	}
	return w.ask(ctx, "SELECT * FROM onepx.kept")
}

const questionTried = `What is above a second and why: sessions_daily, channel_daily and conversion_rate put all events of the range in order, visitor by visitor, each time they are asked, since a
late event may change any session; funnel and new_vs_returning group them by visitor. Those on revenue read the orders and touches of their range, and take more than a second to be
analysed (see the benchmark above). None of them has a table of sums of its own: [a kept answer](questions.md#large-sites) is that.`
