package main

import "github.com/grafana/grafana-foundation-sdk/go/cog/variants"

// curve is the usual panel: one question to Prometheus.
func curve(expr, legend string) []variants.Dataquery {
	return []variants.Dataquery{metric(expr, legend)}
}

func jobs() row {
	return row{title: "Jobs and exports", panels: []panel{
		{title: "Jobs ended", about: "refused: the record is no job.", queries: curve(
			`sum by (result) (increase(onepx_consumer_jobs_total[$__rate_interval]))`, "{{result}}")},
		{title: "Failed attempts in 30 minutes", limit: over("OnepxJobFails", 3), queries: curve(
			`increase(onepx_consumer_job_failures_total[30m])`, "{{instance}}")},
		{title: "Age of the job being done", unit: "s", limit: over("OnepxJobFails", 3600), queries: curve(
			`time() - (onepx_consumer_job_asked_timestamp_seconds > 0)`, "{{instance}}")},
		{title: "Exports ended", queries: curve(
			`sum by (format, result) (increase(onepx_consumer_exports_total[$__rate_interval]))`, "{{format}}: {{result}}")},
		{title: "Lines exported", queries: curve(
			`sum by (format, file) (increase(onepx_consumer_export_lines_total[$__rate_interval]))`, "{{format}}: {{file}}")},
		{title: "Members not exported", about: "For want of a usable contact, or of consent to sharing.", queries: curve(
			`sum by (format, missing) (increase(onepx_consumer_export_without_total[$__rate_interval]))`, "{{format}}: {{missing}}")},
	}}
}

func streams() row {
	return row{title: "Streams and webhooks", panels: []panel{
		{title: "Rounds of the audience stream in 10 minutes", about: "About one a second.", limit: under("OnepxStreamsStandStill", smallest), queries: curve(
			`sum(increase(onepx_consumer_audience_rounds_total[10m])) or vector(0)`, "rounds")},
		{title: "What waits to be published", about: "Age of the oldest.", unit: "s", limit: over("OnepxStreamsStandStill", 300), queries: append(
			curve(`time() - max(onepx_consumer_audience_waiting_timestamp_seconds > 0)`, "changes of audiences"),
			metric(`time() - max(onepx_consumer_unsubscribes_waiting_timestamp_seconds > 0)`, "unsubscribes"))},
		{title: "Offsets that the audience stream is behind", queries: curve(`max(onepx_consumer_audience_behind_offsets)`, "offsets")},
		{title: "Changes of audiences", unit: "ops", queries: append(
			curve(`sum by (type) (rate(onepx_consumer_audience_changes_total[$__rate_interval]))`, "{{type}}"),
			metric(`sum(rate(onepx_consumer_audience_published_total[$__rate_interval]))`, "published"))},
		{title: "Unsubscribes", unit: "ops", queries: append(
			curve(`sum(rate(onepx_consumer_unsubscribes_total[$__rate_interval]))`, "found"),
			metric(`sum(rate(onepx_consumer_unsubscribes_published_total[$__rate_interval]))`, "published"))},
		{title: "Failures of the audience stream", about: "It is tried again.", unit: "ops", queries: curve(
			`sum(rate(onepx_consumer_audience_failures_total[$__rate_interval]))`, "failures")},
		{title: "Requests to webhooks", about: "Refused ones are tried again for a day.", unit: "ops", queries: curve(
			`sum by (result) (rate(onepx_consumer_webhook_attempts_total[$__rate_interval]))`, "{{result}}")},
		{title: "Changes that webhooks have taken", unit: "ops", queries: append(
			curve(`sum(rate(onepx_consumer_webhook_changes_total[$__rate_interval]))`, "changes"),
			metric(`sum(rate(onepx_consumer_webhook_failures_total[$__rate_interval]))`, "batches given up"))},
		{title: "Batches that webhooks have not taken", about: "consumer webhooks list shows them.", limit: over("OnepxWebhookNotTaken", smallest), queries: curve(
			`max(onepx_consumer_webhook_untaken_batches)`, "batches")},
	}}
}

func console() row {
	return row{title: "Console", panels: []panel{
		{title: "Requests by operation", unit: "ops", queries: curve(
			`sum by (operation) (rate(onepx_console_requests_total[$__rate_interval]))`, "{{operation}}")},
		{title: "Requests by status", unit: "ops", queries: curve(
			`sum by (status) (rate(onepx_console_requests_total[$__rate_interval]))`, "{{status}}")},
		{title: "Time of a request, 99 %", unit: "s", queries: curve(
			`histogram_quantile(0.99, sum by (le, operation) (rate(onepx_console_request_duration_seconds_bucket[$__rate_interval])))`, "{{operation}}")},
		{title: "Lookups by result", about: "kept: answered out of memory.", unit: "ops", queries: curve(
			`sum by (result) (rate(onepx_console_lookups_total[$__rate_interval]))`, "{{result}}")},
		{title: "Lookups without an answer", unit: "ops", limit: over("OnepxLookupsFail", smallest), queries: curve(
			`sum by (result) (rate(onepx_console_lookups_total{result=~"busy|timeout|failed"}[5m]))`, "{{result}}")},
		{title: "Visitors in one query of lookups, 90 %", queries: curve(
			`histogram_quantile(0.9, sum by (le) (rate(onepx_console_lookup_batch_visitors_bucket[$__rate_interval])))`, "visitors")},
	}}
}
