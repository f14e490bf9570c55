package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// operators is about the services: is anything lost, late or standing still? Its limits are those of the alerts.
func operators() *builder {
	d := newDashboard("onepx: operators").Uid("onepx-operators").
		Description("Collectors, consumers, jobs and console. Written by make dashboards: change tools/dashboards.").
		Refresh("30s").Time("now-3h", "now").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(ofPrometheus.variable("Prometheus"))
	return add(d, ofPrometheus, []row{collectors(), spools(), consumers(), partitions(), jobs(), streams(), console()})
}

func collectors() row {
	return row{title: "Collectors", panels: []panel{
		{title: "Events received", about: "Each ends in one outcome.", unit: "ops", queries: curve(
			`sum(rate(onepx_collector_events_received_total[$__rate_interval]))`, "received")},
		{title: "Events by outcome", unit: "ops", queries: curve(
			`sum by (outcome) (rate(onepx_collector_events_total[$__rate_interval]))`, "{{outcome}}")},
		{title: "Events not stored, by reason", about: "docs/reasons.md says what each reason means.", unit: "ops", queries: curve(
			`sum by (outcome, reason) (rate(onepx_collector_events_total{outcome!~"stored|spooled"}[$__rate_interval])) > 0`, "{{outcome}}: {{reason}}")},
		{title: "Events lost", about: "Answered with 503: clients that do not repeat lose them.", unit: "ops", limit: over("OnepxEventsLost", smallest), queries: curve(
			`sum by (reason) (rate(onepx_collector_events_total{outcome="lost"}[5m]))`, "{{reason}}")},
		{title: "Latency of steps, 99 %", about: "parse includes the arrival of the body.", unit: "s", queries: curve(
			`histogram_quantile(0.99, sum by (le, step) (rate(onepx_collector_step_duration_seconds_bucket[$__rate_interval])))`, "{{step}}")},
		{title: "Latency of steps, median", unit: "s", queries: curve(
			`histogram_quantile(0.5, sum by (le, step) (rate(onepx_collector_step_duration_seconds_bucket[$__rate_interval])))`, "{{step}}")},
		{title: "Events on their way to Kafka", queries: curve(`onepx_collector_publish_in_flight_events`, "{{instance}}")},
		{title: "Connections", about: "Displaced: idle ones that were closed to make room.", queries: append(
			curve(`onepx_collector_connections_open`, "{{instance}}"),
			metric(`sum(rate(onepx_collector_connections_displaced_total[$__rate_interval]))`, "displaced a second"))},
		{title: "Connections that had to wait", unit: "ops", limit: over("OnepxConnectionsDelayed", smallest), queries: curve(
			`rate(onepx_collector_connections_delayed_total[5m])`, "{{instance}}")},
		{title: "Collectors by configuration", about: "By hash of onepx.yaml; more than one for longer than a rollout: they differ.", queries: curve(
			`count by (hash) (onepx_collector_config_info)`, "{{hash}}")},
		{title: "Configurations in force", limit: over("OnepxConfigurationsDiffer", 2), queries: curve(
			`count(count by (hash) (onepx_collector_config_info))`, "configurations")},
		{title: "Configuration taken over", about: "0: the file cannot be used, and the one before stays in force.", limit: under("OnepxConfigurationRefused", 1), queries: curve(
			`onepx_collector_config_last_reload_successful`, "{{instance}}")},
		{title: "Collectors seen", limit: under("OnepxNoCollector", 1), queries: curve(
			`count(onepx_collector_events_received_total) or vector(0)`, "collectors")},
		{title: "Defects in 15 minutes", about: "Of collectors and consoles; their logs say where.", limit: over("OnepxDefect", smallest), queries: append(
			curve(`increase(onepx_collector_panics_total[15m])`, "{{instance}}"),
			metric(`increase(onepx_console_panics_total[15m])`, "{{instance}}"))},
		{title: "Flags of stored events", about: "What had to be repaired.", unit: "ops", queries: curve(
			`sum by (flag) (rate(onepx_collector_flags_total[$__rate_interval])) > 0`, "{{flag}}")},
	}}
}

func spools() row {
	return row{title: "Spool of collectors", panels: []panel{
		{title: "Age of the oldest event in the spool", unit: "s", limit: over("OnepxSpoolGrows", 120), queries: curve(
			`onepx_collector_spool_oldest_age_seconds`, "{{instance}}")},
		{title: "Events in the spool", queries: append(curve(`onepx_collector_spool_events`, "{{instance}}"),
			metric(`sum(rate(onepx_collector_spool_replayed_total[$__rate_interval]))`, "to Kafka a second"))},
		{title: "Disk space of the spool", unit: "bytes", width: 4, queries: curve(`onepx_collector_spool_bytes`, "{{instance}}")},
		{title: "Lost from the spool in an hour", width: 4, limit: over("OnepxSpoolLost", smallest), queries: curve(
			`increase(onepx_collector_spool_lost_total[1h])`, "{{instance}} {{cause}}")},
	}}
}

func consumers() row {
	return row{title: "Consumers", panels: []panel{
		{title: "Rows by outcome", unit: "ops", queries: curve(
			`sum by (outcome) (rate(onepx_consumer_rows_total[$__rate_interval]))`, "{{outcome}}")},
		{title: "Rows stored", about: "None while collectors publish: nothing is stored.", unit: "ops", limit: under("OnepxNothingStored", smallest), queries: curve(
			`sum(rate(onepx_consumer_rows_total[5m])) or vector(0)`, "rows")},
		{title: "Age of events when they become rows", unit: "s", limit: over("OnepxRowsLate", 300), queries: append(append(
			curve(`histogram_quantile(0.5, sum by (le) (rate(onepx_consumer_event_age_seconds_bucket[10m])))`, "median"),
			metric(`histogram_quantile(0.9, sum by (le) (rate(onepx_consumer_event_age_seconds_bucket[10m])))`, "90 %")),
			metric(`histogram_quantile(0.99, sum by (le) (rate(onepx_consumer_event_age_seconds_bucket[10m])))`, "99 %"))},
		{title: "Inserts by result", about: "unknown: the block may be stored.", unit: "ops", queries: curve(
			`sum by (result) (rate(onepx_consumer_inserts_total[$__rate_interval]))`, "{{result}}")},
		{title: "Attempts at storing that fail", unit: "ops", limit: over("OnepxInsertsFail", smallest), queries: curve(
			`sum(rate(onepx_consumer_storing_failures_total[5m]))`, "failures")},
		{title: "Time of an insert, 90 %", unit: "s", queries: curve(
			`histogram_quantile(0.9, sum by (le, result) (rate(onepx_consumer_insert_duration_seconds_bucket[$__rate_interval])))`, "{{result}}")},
	}}
}

func partitions() row {
	return row{title: "Partitions", panels: []panel{
		{title: "Stopped partitions", about: "1: waits for a person; docs/operations.md has the reasons.", limit: over("OnepxPartitionStopped", 1), queries: curve(
			`max by (partition, reason) (onepx_consumer_partition_stopped)`, "{{partition}} {{reason}}")},
		{title: "Positions", about: "First offset that is not stored.", queries: curve(
			`max by (partition) (onepx_consumer_position_offset)`, "{{partition}}")},
		{title: "Batches made again", unit: "ops", queries: curve(
			`sum by (cause) (rate(onepx_consumer_recoveries_total[$__rate_interval]))`, "{{cause}}")},
		{title: "Memory of past event ids", about: "What tells doubles of a week apart: at most 170 MB a partition.", unit: "bytes", queries: curve(
			`sum by (instance) (onepx_consumer_history_bytes)`, "{{instance}}")},
		{title: "Dead letters in 15 minutes", about: "consumer deadletter show shows them.", limit: over("OnepxDeadLetters", smallest), queries: curve(
			`sum(increase(onepx_consumer_rows_total{outcome="dead"}[15m]))`, "dead")},
		{title: "Offsets missing in 15 minutes", about: "Kafka no longer has records that were not stored.", limit: over("OnepxOffsetsMissing", smallest), queries: curve(
			`sum(increase(onepx_consumer_rows_total{outcome="missing"}[15m]))`, "missing")},
	}}
}
