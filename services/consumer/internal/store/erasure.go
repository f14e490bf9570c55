package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Erasure removes what is stored about people; docs/adr/0008-erasure.md has the procedure. Nothing new of these people may be
// stored meanwhile, no batch that holds something of them be declared and not acknowledged, and no rebuild run. Each method
// can be repeated when it was cut off.
type Erasure struct {
	tables *Rebuilds
	id     uuid.UUID
	// site is the only site whose rows are erased; "" for all.
	site string
}

// NewErasure returns the erasure of that id, of the rows of one site, or of all if that is ""; tables must be locked.
func NewErasure(tables *Rebuilds, id uuid.UUID, site string) *Erasure {
	return &Erasure{tables, id, site}
}

func (e *Erasure) helper(what string) string {
	return e.tables.schema.Facts() + ".erasure_" + strings.ReplaceAll(e.id.String(), "-", "") + "_" + what
}

// ids is a table of the ids, rows one of all that events holds of these people, and keys one of the keys of the rows that go.
// They are dropped at the end.
func (e *Erasure) ids() string            { return e.helper("ids") }
func (e *Erasure) rows() string           { return e.helper("rows") }
func (e *Erasure) keys(key string) string { return e.helper(helperOf[key]) }

// helperOf has the tables of keys.
var helperOf = map[string]string{personal.OffsetKey: "offsets", personal.EventKey: "events", personal.VisitorKey: "visitors", personal.DayKey: "days", personal.AudienceKey: "audiences"}

// Find looks the rows up.
func (e *Erasure) Find(ctx context.Context, people jobs.People) error {
	if err := e.Drop(ctx); err != nil {
		return err
	}
	if err := e.noteIDs(ctx, e.ids(), people); err != nil {
		return err
	}
	if err := e.note(ctx, e.rows(), e.found()); err != nil {
		return err
	}
	for key, table := range helperOf {
		queries := []string{"SELECT DISTINCT " + key + " FROM " + e.rows()}
		if key == personal.DayKey || key == personal.AudienceKey {
			queries = nil // those of erased events may belong to others, which stay
		}
		for _, t := range personal.Tables {
			if t.Key == key && len(t.IDs) > 0 && t.Name != "events" {
				queries = append(queries, "SELECT DISTINCT "+key+" FROM "+e.tables.table(t.Name)+" WHERE "+e.ofPeople(t))
			}
		}
		if err := e.note(ctx, e.helper(table), strings.Join(queries, " UNION DISTINCT ")); err != nil {
			return err
		}
	}
	return nil
}

// noteIDs makes a helper table of ids.
func (e *Erasure) noteIDs(ctx context.Context, into string, people jobs.People) error {
	schema := e.tables.schema
	err := e.define(ctx, "create table of ids", []string{"CREATE TABLE IF NOT EXISTS", into},
		[]string{"(kind LowCardinality(String), id UUID) ENGINE =", schema.FactsEngine("MergeTree"), "ORDER BY (kind, id)"})
	for _, server := range e.servers() {
		if err == nil {
			err = e.insertIDs(ctx, server, into, people)
		}
	}
	return err
}

func (e *Erasure) insertIDs(ctx context.Context, server driver.Conn, into string, people jobs.People) error {
	batch, err := server.PrepareBatch(e.tables.statement(ctx, nil), "INSERT INTO "+into+" (kind, id)")
	if err != nil {
		return fmt.Errorf("note ids: %w", err)
	}
	defer func() { _ = batch.Close() }()
	people.Each(func(kind suppression.Kind, id uuid.UUID) {
		if err == nil {
			err = batch.Append(string(kind), id)
		}
	})
	if err == nil {
		err = batch.Send()
	}
	if err != nil {
		return fmt.Errorf("note ids: %w", err)
	}
	return nil
}

// chosen is a table of those whom the erasure of a site is about, from its beginning to its end.
func (e *Erasure) chosen() string { return e.helper("chosen") }

// Choose notes whom the erasure of a site is about. It must not be repeated with others.
func (e *Erasure) Choose(ctx context.Context, people jobs.People) error {
	return e.noteIDs(ctx, e.chosen(), people)
}

// Chosen returns what Choose has noted; nobody when it has not.
func (e *Erasure) Chosen(ctx context.Context) (people jobs.People, err error) {
	var there uint8
	if err := e.first().QueryRow(ctx, "EXISTS TABLE "+e.chosen()).Scan(&there); err != nil || there == 0 {
		return people, err
	}
	rows, err := e.first().Query(ctx, "SELECT DISTINCT kind, id FROM "+e.chosen()+" ORDER BY kind, id")
	if err != nil {
		return people, fmt.Errorf("read chosen ids: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var kind suppression.Kind
		var id uuid.UUID
		if err := rows.Scan((*string)(&kind), &id); err != nil {
			return people, fmt.Errorf("read chosen ids: %w", err)
		}
		people.Append(kind, id)
	}
	return people, rows.Err()
}

// note makes a helper table of a query.
func (e *Erasure) note(ctx context.Context, table, query string) error {
	schema := e.tables.schema
	err := e.define(ctx, "create helper table", []string{"CREATE TABLE", table},
		[]string{"ENGINE =", schema.FactsEngine("MergeTree"), "ORDER BY tuple() EMPTY AS", query})
	if err != nil {
		return err
	}
	return e.everywhere(ctx, "fill helper table", "INSERT INTO", table, query)
}

// found are the rows of events, with what facts and sums were made of, and what stays of them.
func (e *Erasure) found() string {
	return "SELECT kafka_topic, kafka_partition, kafka_offset, record_time, record_hash, batch_first, batch_last, batch_day, declared_at, rules, retention_days, " +
		"site_id, event_id, occurred_at, outcome, kind, is_bot, site_day, channel, visitor_kind, visitor_id, daily_hash, " +
		"consent_decided_by, consent_measure, consent_profile, consent_share, consent_cookie " +
		"FROM " + e.tables.table("events") + " WHERE " + e.ofPeople(personal.Tables[0])
}

// ofPeople is the condition that a row holds one of the ids, and is of the site.
func (e *Erasure) ofPeople(t personal.Table) string {
	return t.OfPeople(e.ids()) + personal.OnlySite(e.site)
}

// topics are those of the rows that go: nearly always one. Of nobody there is one too, so that the same is done and takes as long.
func (e *Erasure) topics(ctx context.Context) (topics []string, err error) {
	if err := e.first().QueryRow(ctx, "SELECT groupUniqArray(kafka_topic) FROM "+e.keys(personal.OffsetKey)).Scan(&topics); err != nil {
		return nil, fmt.Errorf("read topics of the rows: %w", err)
	}
	if len(topics) == 0 {
		topics = []string{eventlog.TopicEvents}
	}
	return topics, nil
}

// keyed are conditions of which a row that has one of the keys meets one: each holds one subquery. Offsets are compared topic
// by topic, as numbers: with the topic among them that takes four times the CPU.
func (e *Erasure) keyed(t personal.Table, topics []string) []string {
	if t.Key != personal.OffsetKey {
		return []string{"(" + t.Key + ") IN (SELECT " + t.Key + " FROM " + e.keys(t.Key) + ")"}
	}
	conditions := make([]string, len(topics))
	for i, topic := range topics {
		of := "kafka_topic = " + clickhouseconn.Literal(topic)
		conditions[i] = of + " AND (kafka_partition, kafka_offset) IN (SELECT kafka_partition, kafka_offset FROM " + e.keys(t.Key) + " WHERE " + of + ")"
	}
	return conditions
}

// meetsAny is the condition that a row meets one of some, of which there is one at least.
func meetsAny(conditions ...string) string {
	return "((" + strings.Join(conditions, ") OR (") + "))"
}

// Count returns how many rows of each table are to go, or have stayed.
func (e *Erasure) Count(ctx context.Context) ([]personal.Held, error) {
	topics, err := e.topics(ctx)
	if err != nil {
		return nil, err
	}
	return personal.NewStore(e.first(), e.tables.schema.Database).CountWhere(ctx, func(t personal.Table) string {
		if t.Key == personal.VisitorKey {
			return e.ofPeople(t) // the others among them stay
		}
		condition := meetsAny(append(e.keyed(t, topics), e.ofPeople(t))...)
		if t.Name == "events" {
			condition += " AND outcome != '" + OutcomeErased + "'"
		}
		return condition
	})
}

// token is that of an insert of the erasure: repeated, it adds nothing.
func (e *Erasure) token(round uint32, table string) string {
	return fmt.Sprintf("erasure/%s/%d/%s", e.id, round, table)
}

func (e *Erasure) insert(ctx context.Context, round uint32, table, query string) error {
	return e.exec(ctx, "correct "+table, "INSERT INTO", e.tables.schema.Facts()+"."+table, query,
		"SETTINGS insert_deduplicate = 1, insert_deduplication_token =", clickhouseconn.Literal(e.token(round, table))+",", sameBlocks)
}

// sameBlocks makes the same blocks of a query each time, whatever the number of their days.
const sameBlocks = "max_threads = 1, max_insert_threads = 1, max_partitions_per_insert_block = 0"

// Correct takes the events from the sums: traffic_daily, consent_sums, and visitor_days of those visitors who are not erased.
func (e *Erasure) Correct(ctx context.Context, round uint32) error {
	err := e.insert(ctx, round, "traffic_daily", "(site_id, site_day, channel, page_views, events, machine_page_views, machine_events, duplicates) "+
		"SELECT site_id, site_day, channel, -toInt64(countIf(outcome = 'event' AND NOT is_bot AND kind = 'page_view')), -toInt64(countIf(outcome = 'event' AND NOT is_bot)), "+
		"-toInt64(countIf(outcome = 'event' AND is_bot AND kind = 'page_view')), -toInt64(countIf(outcome = 'event' AND is_bot)), -toInt64(countIf(outcome = 'duplicate')) "+
		"FROM "+e.rows()+" WHERE outcome IN ('event', 'duplicate') GROUP BY ALL ORDER BY ALL")
	if err != nil {
		return err
	}
	err = e.insert(ctx, round, "consent_sums", "(site_id, site_day, kind, decided_by, reason, measure, profile, share, cookie, is_bot, hits) "+
		"SELECT site_id, site_day, kind, consent_decided_by, '', consent_measure, consent_profile, consent_share, consent_cookie, is_bot, -toInt64(count()) "+
		"FROM "+e.rows()+" WHERE outcome = 'event' GROUP BY ALL ORDER BY ALL")
	if err != nil {
		return err
	}
	return e.insert(ctx, round, "visitor_days", "(site_id, site_day, channel, visitor_kind, visitor_id, daily_hash, page_views, events, on_site, expires_at) "+
		"SELECT site_id, site_day, channel, visitor_kind, visitor_id, daily_hash, -toInt64(countIf(kind = 'page_view')), -toInt64(count()), -toInt64(countIf("+e.tables.schema.OnSite()+")), "+
		"max(toDateTime(declared_at) + toIntervalDay(retention_days)) FROM "+e.rows()+" "+
		"WHERE outcome = 'event' AND NOT is_bot AND visitor_id NOT IN (SELECT id FROM "+e.ids()+" WHERE kind = 'visitor') "+
		"GROUP BY site_id, site_day, channel, visitor_kind, visitor_id, daily_hash ORDER BY site_id, site_day, channel, visitor_kind, visitor_id, daily_hash")
}

// Delete removes the rows: facts first, events last, as everything is found by it. In events a row without anything but its
// place takes the place of each: for a moment both are there.
func (e *Erasure) Delete(ctx context.Context, round uint32) error {
	if err := e.noteDays(ctx); err != nil {
		return err
	}
	topics, err := e.topics(ctx)
	if err != nil {
		return err
	}
	for _, t := range personal.Tables[1:] {
		for _, keyed := range e.keyed(t, topics) {
			if err := e.delete(ctx, t.Name, keyed); err != nil {
				return err
			}
		}
	}
	if err := e.bringBack(ctx, topics); err != nil {
		return err
	}
	err = e.insert(ctx, round, "events", "(kafka_topic, kafka_partition, kafka_offset, record_time, record_hash, batch_first, batch_last, batch_day, declared_at, insert_until, rules, "+
		"outcome, reason, site_id, received_at, occurred_at, site_day, retention_days) "+
		"SELECT kafka_topic, kafka_partition, kafka_offset, record_time, record_hash, batch_first, batch_last, batch_day, declared_at, now64(3, 'UTC') + toIntervalDay(1), rules, '"+
		OutcomeErased+"', '"+string(reason.PersonErased)+"', site_id, declared_at, declared_at, batch_day, retention_days "+
		"FROM "+e.rows()+" ORDER BY kafka_topic, kafka_partition, kafka_offset")
	if err != nil {
		return err
	}
	for _, keyed := range e.keyed(personal.Tables[0], topics) {
		if err := e.delete(ctx, "events", keyed+" AND outcome != '"+OutcomeErased+"'"); err != nil {
			return err
		}
	}
	return nil
}

// sharing is a query of the visitors of whom some events go, and others may stay: those who are not erased themselves.
func (e *Erasure) sharing() string {
	return "SELECT site_id, visitor_id FROM " + e.keys(personal.VisitorKey) + " WHERE visitor_id != " + e.tables.schema.NoID() + " AND visitor_id NOT IN (SELECT id FROM " + e.ids() + " WHERE kind = '" + string(suppression.Visitor) + "')"
}

// bringBack makes the rows of such visitors anew, as all of theirs are gone. Without a token: what is inserted twice changes
// nothing, and what an attempt before this one has inserted is deleted.
func (e *Erasure) bringBack(ctx context.Context, topics []string) error {
	var sharing uint64
	if err := e.first().QueryRow(ctx, "SELECT count() FROM ("+e.sharing()+")").Scan(&sharing); err != nil {
		return fmt.Errorf("count visitors who stay: %w", err)
	}
	if sharing == 0 {
		return nil
	}
	staying, schema := e.staying(topics), e.tables.schema
	for _, of := range []struct{ table, insert string }{
		{"visitors", "(site_id, visitor_id, first_day, last_day, returned, on_site, expires_at) " + e.remainingVisitors(staying)},
		{"profile_refusals", "(site_id, visitor_id, refused_at, expires_at) " + e.remainingRefusals(staying)},
		{"product_interest", "(" + interestColumns + ") " + schema.InterestFacts(e.tables.table("events"), staying)},
		{"share_consents", "(site_id, visitor_id, allowed_at, refused_at, expires_at) " + e.remainingShares(staying)},
		{"visitor_facts", "(" + factColumns + ") " + schema.VisitorFacts(e.tables.table("events"), staying)},
		// Hits of segments that are younger than their events stand in segment_hits alone, where those of events that stay still are.
		{"visitor_facts", "(" + factColumns + ") " + schema.HitFacts("(site_id, visitor_id) IN ("+e.sharing()+")")},
	} {
		if err := e.exec(ctx, "correct "+of.table, "INSERT INTO", schema.Facts()+"."+of.table, of.insert, "SETTINGS insert_deduplicate = 0"); err != nil {
			return err
		}
	}
	return nil
}

// delete marks rows as deleted. The condition must hold one subquery and no more, also not within it: mutations of two parts
// that make two sets may wait for each other for ever (tried on 26.7).
func (e *Erasure) delete(ctx context.Context, table, condition string) error {
	return e.change(ctx, table, "erase from "+table, []string{"DELETE FROM"}, "WHERE", condition, "SETTINGS lightweight_deletes_sync = 2, allow_nondeterministic_mutations = 1")
}

// noteDays adds to the keys of days those of the erased events on which no events are left, before any of their rows is deleted: a
// mutation that looked for them would find them changed by its own work on other parts. Sums of the key that are inserted
// meanwhile can only make a day not empty.
func (e *Erasure) noteDays(ctx context.Context) error {
	return e.everywhere(ctx, "note days without events", "INSERT INTO", e.keys(personal.DayKey), "SELECT "+personal.DayKey+" FROM "+e.tables.table("visitor_days")+" AS days "+
		"INNER JOIN (SELECT DISTINCT "+personal.DayKey+" FROM "+e.rows()+") AS erased USING ("+personal.DayKey+") GROUP BY "+personal.DayKey+" HAVING sum(days.events) = 0")
}

// remainingVisitors is what visitors says of visitors who are not erased, and of whom some events are, by those that stay.
func (e *Erasure) remainingVisitors(staying string) string {
	return "SELECT site_id, visitor_id, min(site_day), max(site_day), max(visitor_kind IN ('cookie', 'provided')), max(" + e.tables.schema.OnSite() + "), " + e.remaining(staying, "NOT is_bot")
}

// remainingRefusals is the same of profile_refusals.
func (e *Erasure) remainingRefusals(staying string) string {
	return "SELECT site_id, visitor_id, max(occurred_at), " + e.remaining(staying, "NOT consent_profile")
}

// remainingShares is the same of share_consents.
func (e *Erasure) remainingShares(staying string) string {
	return "SELECT site_id, visitor_id, maxIf(occurred_at, consent_share), maxIf(occurred_at, NOT consent_share), " + e.remaining(staying, "true")
}

// remaining is the end of a query of the events that stay of visitors of whom some are erased.
func (e *Erasure) remaining(staying, condition string) string {
	return "max(toDateTime(declared_at) + toIntervalDay(retention_days)) " +
		"FROM " + e.tables.table("events") + " WHERE outcome = 'event' AND " + condition + " AND " + staying + " GROUP BY site_id, visitor_id"
}

// staying is the condition that an event is one of those visitors, and stays.
func (e *Erasure) staying(topics []string) string {
	return "visitor_id IN (SELECT visitor_id FROM (" + e.sharing() + ")) AND (site_id, visitor_id) IN (" + e.sharing() + ") AND NOT " + meetsAny(e.keyed(personal.Tables[0], topics)...)
}

// Purge lets ClickHouse remove what is deleted from the disk, which goes on after it has returned.
func (e *Erasure) Purge(ctx context.Context) error {
	for _, t := range personal.Tables {
		if err := e.change(ctx, t.Name, "remove deleted rows of "+t.Name, []string{"ALTER TABLE"}, "APPLY DELETED MASK SETTINGS mutations_sync = 0"); err != nil {
			return err
		}
	}
	return nil
}

// Finish removes all helper tables.
func (e *Erasure) Finish(ctx context.Context) error {
	if err := e.Drop(ctx); err != nil {
		return err
	}
	return e.define(ctx, "drop helper table", []string{"DROP TABLE IF EXISTS", e.chosen()}, []string{"SYNC"})
}

// Drop removes the helper tables of Find.
func (e *Erasure) Drop(ctx context.Context) error {
	for _, table := range []string{e.rows(), e.keys(personal.OffsetKey), e.keys(personal.EventKey), e.keys(personal.VisitorKey), e.keys(personal.DayKey), e.keys(personal.AudienceKey), e.ids()} {
		if err := e.define(ctx, "drop helper table", []string{"DROP TABLE IF EXISTS", table}, []string{"SYNC"}); err != nil {
			return err
		}
	}
	return nil
}
