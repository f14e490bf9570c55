package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Parameters of views. The dashboard's times are in UTC, so its days are those that the reader has chosen; the views take them
// for days in the time zone of the site.
const (
	days  = `from=toDate($__fromTime, 'UTC'), to=toDate($__toTime, 'UTC')`
	asked = `(site=${site:sqlstring}, ` + days
)

// marketers is about what came of traffic, campaigns, mails and audiences of one site: views of docs/questions.md.
func marketers() *builder {
	d := newDashboard("onepx: marketers").Uid("onepx-marketers").
		Description("Traffic, conversions, campaigns, mails and audiences of a site. Written by make dashboards: change tools/dashboards.").
		Timezone("utc").Time("now-29d/d", "now").
		WithVariable(ofClickHouse.variable("ClickHouse")).
		WithVariable(chosen("site", "Site", `SELECT DISTINCT site_id FROM onepx.traffic_daily ORDER BY site_id`)).
		WithVariable(dashboard.NewCustomVariableBuilder("model").Label("Model").AllowCustomValue(false).Values(dashboard.StringOrMap{
			String: cog.ToPtr("last_non_direct,last,first,linear,position,time_decay")})).
		WithVariable(chosen("segment", "Segment", `SELECT segment FROM onepx.active_segments WHERE site_id = ${site:sqlstring} ORDER BY segment`))
	return add(d, ofClickHouse, []row{traffic(), campaigns(), mails(), audiences()})
}

// chosen is a variable whose values ClickHouse knows; one of them is chosen.
func chosen(name, label, sql string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(ofClickHouse.ref()).
		Query(dashboard.StringOrMap{Map: map[string]any{"editorType": "sql", "rawSql": sql}}).
		Refresh(dashboard.VariableRefreshOnDashboardLoad).AllowCustomValue(false)
}

func sql(format int, text string) []variants.Dataquery {
	return []variants.Dataquery{view(format, text)}
}

func traffic() row {
	return row{title: "Traffic and conversions", panels: []panel{
		{title: "Visitors and page views", about: "People only; machines beside.", width: 12, queries: sql(formatCurves,
			`SELECT toDateTime(day, 'UTC') AS time, any(day_visitors) AS visitors, sum(page_views) AS "page views", sum(machine_page_views) AS "page views of machines"
FROM onepx.traffic`+asked+`) GROUP BY day ORDER BY time`)},
		{title: "Page views by channel", width: 12, queries: sql(formatCurves,
			`SELECT toDateTime(day, 'UTC') AS time, toString(channel) AS channel, sum(page_views) AS "page views"
FROM onepx.traffic`+asked+`) GROUP BY day, channel ORDER BY time`)},
		{title: "Conversions by goal", about: "An order that matches two goals is in both.", width: 12, queries: sql(formatCurves,
			`SELECT toDateTime(day, 'UTC') AS time, toString(goal) AS goal, count() AS conversions
FROM onepx.conversions`+asked+`) GROUP BY day, goal ORDER BY time`)},
		{title: "Value of conversions", about: "After refunds, cancellations and restatements as known now. unknown: conversions whose value is not known.", width: 12, asTable: true, queries: sql(formatTable,
			`SELECT goal, currency, rate_missing, count() AS conversions, toFloat64(sum(value)) AS value, toFloat64(sum(gross)) AS gross, countIf(has(flags, 'value_unknown')) AS unknown
FROM onepx.conversions`+asked+`) GROUP BY goal, currency, rate_missing ORDER BY goal, currency, rate_missing`)},
	}}
}

func campaigns() row {
	return row{title: "Campaigns", panels: []panel{
		{title: "Revenue by campaign", about: "Credited by the model chosen above. Goals are not to be added up.", width: 24, asTable: true, queries: sql(formatTable,
			`SELECT goal, currency, rate_missing, channel, source, medium, campaign, toFloat64(conversions) AS conversions, toFloat64(revenue) AS revenue, clicks, views, machine_hits
FROM onepx.campaign_revenue`+asked+`, model=${model:sqlstring}) ORDER BY goal, revenue DESC LIMIT 200`)},
	}}
}

func mails() row {
	return row{title: "Mails", panels: []panel{
		{title: "Campaigns of mails", about: "Those whose first hit has its day in the range, each with all its hits. Readers are an estimate, with its interval of 95 %: docs/mail-reports.md.", width: 24, asTable: true, queries: sql(formatTable,
			`SELECT campaign, first_day, denominator, sent, delivered, bounced, complained, confirmed, open_rate, estimated_openers, estimated_low, estimated_high,
  clicks, clickers, ctr, ctor, unsubscribed, unsubscribe_rate, machine_opens, machine_clicks
FROM onepx.email_stats`+asked+`) ORDER BY first_day DESC, campaign LIMIT 200`)},
		{title: "Links of mails", width: 24, asTable: true, queries: sql(formatTable,
			`SELECT campaign, link_id, clicks, clickers, share, clicks_unknown, machine_clicks
FROM onepx.link_stats`+asked+`) ORDER BY campaign, clicks DESC, link_id LIMIT 200`)},
	}}
}

func audiences() row {
	const members = `onepx.audience_sizes(site=${site:sqlstring}, segment=${segment:sqlstring}, ` + days + `)`
	return row{title: "Audience: ${segment}", panels: []panel{
		{title: "Members at the end of the day", about: "Who is held out is among them.", width: 12, queries: sql(formatCurves,
			`SELECT toDateTime(day, 'UTC') AS time, members, minted FROM `+members+` ORDER BY time`)},
		{title: "Who comes and goes", width: 12, queries: sql(formatCurves,
			`SELECT toDateTime(day, 'UTC') AS time, enters, exits, expiries FROM `+members+` ORDER BY time`)},
	}}
}
