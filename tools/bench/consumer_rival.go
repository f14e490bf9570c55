package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// queueColumns are the fields of proto/onepx/v1 that the view below reads. ClickHouse takes `_` for the dot of a nested
// field. None is of LowCardinality: the Kafka engine appends record by record, which then costs a fifth more CPU time.
const queueColumns = `
	event_id String, event_id_origin Int32, site_id String, kind Int32, name String,
	received_at_ms Int64, occurred_at_ms Int64,
	visitor_visitor_id String, visitor_kind Int32, visitor_daily_hash String, visitor_user_key String, visitor_foreign_session_id String,
	page_url String, page_referrer String, page_title String,
	marketing_utm_source String, marketing_utm_medium String, marketing_utm_campaign String, marketing_utm_term String,
	marketing_utm_content String, marketing_utm_id String,
	marketing_click_id String, marketing_click_id_param String, marketing_click_network String,
	commerce_order_id String, commerce_value_micros Nullable(Int64), commerce_currency String,
	mail_campaign_id String, mail_message_id String, mail_recipient_key String, mail_link_id String,
	client_ip_prefix String, client_country String, client_region String, client_network_class Int32,
	client_user_agent String, client_hint_brands String, client_hint_mobile String,
	client_hint_platform String, client_language String, client_screen_width UInt32, client_screen_height UInt32,
	consent_measure Bool, consent_profile Bool, consent_share Bool, consent_cookie Bool, consent_decided_by Int32,
	transport_kind Int32, transport_dialect String, transport_prefetch Bool, transport_head Bool,
	props Map(String, String), flags Array(String)`

// queueView makes the rows of events from the fields. $id(x) is a UUID of 16 bytes.
const queueView = `SELECT
	_topic AS kafka_topic, toInt32(_partition) AS kafka_partition, toInt64(_offset) AS kafka_offset,
	assumeNotNull(_timestamp_ms) AS record_time, xxh3(_key) AS record_hash,
	toDate(now('UTC')) AS batch_day, now64(3, 'UTC') AS declared_at, toDateTime64('2100-01-01', 3, 'UTC') AS insert_until,
	'event' AS outcome, flags,
	site_id, $id(event_id) AS event_id, transform(event_id_origin, [1, 2], ['client', 'collector'], 'unknown') AS event_id_origin,
	transform(q.kind, [1, 2, 3, 4, 5, 6, 7, 8, 9], ['page_view', 'custom', 'impression', 'order', 'email_open', 'email_click', 'email_unsubscribe', 'identify'], 'unknown') AS kind,
	name,
	fromUnixTimestamp64Milli(received_at_ms, 'UTC') AS received_at, fromUnixTimestamp64Milli(occurred_at_ms, 'UTC') AS occurred_at,
	toDate(occurred_at, 'Europe/Berlin') AS site_day,
	$id(visitor_visitor_id) AS visitor_id, transform(q.visitor_kind, [1, 2, 3, 4, 5], ['cookie', 'minted', 'provided', 'daily_hash', 'none'], 'unknown') AS visitor_kind,
	$id(visitor_daily_hash) AS daily_hash, $id(visitor_user_key) AS user_key, visitor_foreign_session_id AS foreign_session_id,
	page_url AS url, domain(page_url) AS page_host, path(page_url) AS page_path,
	page_referrer AS referrer, domain(page_referrer) AS referrer_host, page_title AS title,
	marketing_utm_source AS utm_source, marketing_utm_medium AS utm_medium, marketing_utm_campaign AS utm_campaign,
	marketing_utm_term AS utm_term, marketing_utm_content AS utm_content, marketing_utm_id AS utm_id,
	marketing_click_id AS click_id, marketing_click_id_param AS click_id_param, marketing_click_network AS click_network,
	lower(marketing_utm_source) AS source, lower(marketing_utm_medium) AS medium, marketing_utm_campaign AS campaign, 'Direct' AS channel,
	commerce_order_id AS order_id, commerce_value_micros AS value_micros, if(commerce_currency = '', 'EUR', commerce_currency) AS currency,
	mail_campaign_id, mail_message_id, $id(mail_recipient_key) AS recipient_key, mail_link_id AS link_id,
	client_ip_prefix AS ip_prefix, client_country AS country, client_region AS region,
	transform(client_network_class, [1, 2, 3], ['public', 'private', 'unknown'], 'unknown') AS network_class,
	client_user_agent AS user_agent, client_hint_brands AS hint_brands, client_hint_mobile AS hint_mobile, client_hint_platform AS hint_platform,
	client_language AS language, toUInt16(client_screen_width) AS screen_width, toUInt16(client_screen_height) AS screen_height,
	'unknown' AS device, if(transport_kind = 3, 'server', 'person') AS traffic_class,
	consent_measure, consent_profile, consent_share, consent_cookie,
	transform(q.consent_decided_by, [1, 2, 3, 4, 5, 6, 7, 8], ['site_default', 'opt_out_cookie', 'gpc', 'dnt', 'parameter', 'suppression', 'us_privacy', 'google_consent_mode', 'tcf'], 'unknown') AS consent_decided_by,
	transform(transport_kind, [1, 2, 3, 4], ['gif', 'beacon', 'server', 'redirect'], 'unknown') AS transport,
	transport_dialect AS dialect, transport_prefetch AS prefetch, transport_head AS head, props, 395 AS retention_days
FROM rival.queue AS q`

// uuidOf replaces $id: ClickHouse keeps a UUID as two little-endian halves.
const uuidOf = "reinterpretAsUUID(concat(reverse(substring(%[1]s, 1, 8)), reverse(substring(%[1]s, 9, 8))))"

// beginKafkaEngine makes the tables and views of onepx again in rival and lets ClickHouse fill them itself.
func (w *world) beginKafkaEngine(ctx context.Context, run string) (intakeRun, error) {
	if err := w.exec(ctx, "DROP DATABASE IF EXISTS rival SYNC", "CREATE DATABASE rival"); err != nil {
		return intakeRun{}, err
	}
	if err := w.copyTables(ctx); err != nil {
		return intakeRun{}, err
	}
	root, err := pipeline.Root()
	if err != nil {
		return intakeRun{}, err
	}
	queue := fmt.Sprintf(`CREATE TABLE rival.queue (%s) ENGINE = Kafka SETTINGS
		kafka_broker_list = '%s', kafka_topic_list = '%s', kafka_group_name = '%s',
		kafka_format = 'ProtobufSingle', kafka_schema = '%s:Event',
		kafka_num_consumers = %d, kafka_thread_per_consumer = 1, kafka_max_block_size = 65536,
		kafka_disable_num_consumers_limit = 1`,
		queueColumns, w.kafka.Broker(), topic, run, filepath.Join(root, "proto", "onepx", "v1", "event.proto"), min(runtime.NumCPU(), partitions))
	if err := w.exec(ctx, queue, "CREATE MATERIALIZED VIEW rival.queue_view TO rival.events AS "+expandIDs(queueView)); err != nil {
		return intakeRun{}, err
	}
	stop := func() error {
		return w.exec(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS rival.queue_view SYNC", "DROP TABLE IF EXISTS rival.queue SYNC")
	}
	if err := w.awaitMessages(ctx); err != nil {
		return intakeRun{}, errors.Join(err, stop())
	}
	return intakeRun{[]int{w.clickHouse.PID()}, stop, nil}, nil
}

// expandIDs writes out $id(column).
func expandIDs(query string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(query, "$id(")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		column, after, _ := strings.Cut(rest, ")")
		fmt.Fprintf(&out, uuidOf, "q."+column)
		query = after
	}
}

// copyTables makes empty copies in rival: the tables first, then the views between them.
func (w *world) copyTables(ctx context.Context) error {
	var statements []string
	err := w.sql().Query(ctx, `SELECT create_table_query AS Create FROM system.tables
		WHERE database = 'onepx' AND engine LIKE '%MergeTree' OR database = 'onepx' AND engine = 'MaterializedView'
		ORDER BY engine = 'MaterializedView'`, func(row json.RawMessage) error {
		var table struct{ Create string }
		err := json.Unmarshal(row, &table)
		statements = append(statements, strings.ReplaceAll(table.Create, "onepx.", "rival."))
		return err
	})
	if err != nil {
		return err
	}
	return w.exec(ctx, statements...)
}

// awaitMessages waits until the Kafka engine has read something.
func (w *world) awaitMessages(ctx context.Context) error {
	tick := time.NewTicker(intakePoll)
	defer tick.Stop()
	var read struct{ Messages int64 }
	for {
		if err := w.sql().One(ctx, "SELECT sum(num_messages_read) AS Messages FROM system.kafka_consumers WHERE database = 'rival'", &read); err != nil {
			return err
		}
		if read.Messages > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the Kafka engine reads nothing: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
