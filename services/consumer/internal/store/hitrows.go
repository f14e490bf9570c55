package store

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// hitFacts are the columns of conversion_hits that are also columns of events, and the expiry, which is computed there.
type hitFacts struct {
	SiteID         string    `ch:"site_id"`
	SiteDay        time.Time `ch:"site_day"`
	OccurredAt     time.Time `ch:"occurred_at"`
	EventID        uuid.UUID `ch:"event_id"`
	OrderID        string    `ch:"order_id"`
	Kind           string    `ch:"kind"`
	Transport      string    `ch:"transport"`
	VisitorKind    string    `ch:"visitor_kind"`
	VisitorID      uuid.UUID `ch:"visitor_id"`
	DailyHash      uuid.UUID `ch:"daily_hash"`
	UserKey        uuid.UUID `ch:"user_key"`
	SiteCurrency   string    `ch:"site_currency"`
	Outcome        string    `ch:"outcome"`
	IsBot          bool      `ch:"is_bot"`
	KafkaTopic     string    `ch:"kafka_topic"`
	KafkaPartition int32     `ch:"kafka_partition"`
	KafkaOffset    int64     `ch:"kafka_offset"`
	ExpiresAt      time.Time `ch:"expires_at"`
}

// HitSource is a stored row of events with what its goals depend on.
type HitSource struct {
	hitFacts
	Name        string            `ch:"name"`
	URL         string            `ch:"url"`
	Props       map[string]string `ch:"props"`
	ValueMicros *int64            `ch:"value_micros"`
	Currency    string            `ch:"currency"`
}

// Event is the part of the event on which its goals depend.
func (s *HitSource) Event() *onepxv1.Event {
	return &onepxv1.Event{
		SiteId: s.SiteID, Name: s.Name, Page: &onepxv1.Page{Url: s.URL}, Props: s.Props, Commerce: &onepxv1.Commerce{ValueMicros: s.ValueMicros},
	}
}

// hit is a row of conversion_hits.
type hit struct {
	hitFacts
	Goal            string `ch:"goal"`
	OncePer         string `ch:"once_per"`
	Value           string `ch:"value"`
	ValueMicros     *int64 `ch:"value_micros"`
	Currency        string `ch:"currency"`
	ClickWindowDays uint8  `ch:"click_window_days"`
	ViewWindowDays  uint8  `ch:"view_window_days"`
}

func newHit(facts hitFacts, goal enrich.GoalHit) *hit {
	return &hit{
		hitFacts: facts, Goal: goal.ID, OncePer: goal.OncePer, Value: goal.Value, ValueMicros: goal.ValueMicros, Currency: goal.Currency,
		ClickWindowDays: goal.ClickWindowDays, ViewWindowDays: goal.ViewWindowDays,
	}
}

// SiteEvents are events of a site.
type SiteEvents struct {
	Site string
	// Names are the names of the events, at least one; AnyName that it is all of them.
	Names   []string
	AnyName bool
}

// sources is the condition that a row of events, before the first offsets and of a day of the rebuild, is of one of the kinds.
func (r *Rebuild) sources(events []SiteEvents) string {
	anyOf := []string{"false"}
	for _, e := range events {
		condition := "site_id = " + clickhouseconn.Literal(e.Site)
		if !e.AnyName {
			var names []string
			for _, name := range e.Names {
				names = append(names, clickhouseconn.Literal(name))
			}
			condition += " AND name IN (" + strings.Join(names, ", ") + ")"
		}
		anyOf = append(anyOf, condition)
	}
	return "(" + strings.Join(anyOf, " OR ") + ") AND outcome IN ('event', 'duplicate') AND " + r.days() + " AND " + r.before()
}

// DayRows is how many rows of a batch_day there are to judge.
type DayRows struct {
	Day  time.Time `ch:"batch_day"`
	Rows uint64    `ch:"rows"`
}

// Days returns the days with rows that may be hits, in order.
func (b *Rebuilds) Days(ctx context.Context, r *Rebuild, events []SiteEvents) ([]DayRows, error) {
	var days []DayRows
	err := b.conn.Select(ctx, &days, "SELECT batch_day, count() AS rows FROM "+b.table("events")+" WHERE "+r.sources(events)+" GROUP BY batch_day ORDER BY batch_day")
	if err != nil {
		return nil, fmt.Errorf("count rows of events: %w", err)
	}
	return days, nil
}

// hitBlock is the number of hits of one insert.
const hitBlock = 50_000

// StageDay puts into the staging table the hits of the rows of a batch_day: those that match gives, which may complete the row
// and must not keep it.
// seen is called after some rows with the number of all so far.
func (b *Rebuilds) StageDay(ctx context.Context, r *Rebuild, day time.Time, events []SiteEvents, match func(*HitSource) []enrich.GoalHit, seen func(uint64)) error {
	if err := b.emptyStage(ctx); err != nil {
		return err
	}
	columns := clickhouseconn.Columns[HitSource]()
	rows, err := b.conn.Query(b.statement(ctx, nil), "SELECT "+strings.Join(columns, ", ")+
		" FROM (SELECT *, toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at FROM "+b.table("events")+
		") WHERE batch_day = toDate('"+day.Format(time.DateOnly)+"') AND "+r.sources(events))
	if err != nil {
		return fmt.Errorf("read events of %s: %w", day.Format(time.DateOnly), err)
	}
	defer func() { _ = rows.Close() }()
	var source HitSource
	fields := fieldsOf(&source)
	into := &hitInsert{of: b}
	defer into.close()
	var n uint64
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			return fmt.Errorf("read events of %s: %w", day.Format(time.DateOnly), err)
		}
		for _, goal := range match(&source) {
			if err := into.add(ctx, newHit(source.hitFacts, goal)); err != nil {
				return err
			}
		}
		if n++; n%10_000 == 0 {
			seen(n)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read events of %s: %w", day.Format(time.DateOnly), err)
	}
	seen(n)
	return into.send()
}

// fieldsOf are pointers to the fields of a row, in the order of clickhouseconn.Columns.
func fieldsOf(row any) []any {
	value := reflect.ValueOf(row).Elem()
	var all []any
	for _, field := range reflect.VisibleFields(value.Type()) {
		if !field.Anonymous {
			all = append(all, value.FieldByIndex(field.Index).Addr().Interface())
		}
	}
	return all
}

// hitInsert inserts hits into the staging table in blocks.
type hitInsert struct {
	of    *Rebuilds
	batch driver.Batch
}

func (i *hitInsert) add(ctx context.Context, row *hit) error {
	if i.batch == nil {
		var err error
		i.batch, err = i.of.conn.PrepareBatch(i.of.statement(ctx, nil), "INSERT INTO "+i.of.table(hitsStaged)+" ("+strings.Join(clickhouseconn.Columns[hit](), ", ")+")")
		if err != nil {
			return fmt.Errorf("stage hits: %w", err)
		}
	}
	if err := i.batch.AppendStruct(row); err != nil {
		return fmt.Errorf("stage hits: %w", err)
	}
	if i.batch.Rows() < hitBlock {
		return nil
	}
	return i.send()
}

func (i *hitInsert) send() error {
	if i.batch == nil {
		return nil
	}
	defer i.close()
	if err := i.batch.Send(); err != nil {
		return fmt.Errorf("stage hits: %w", err)
	}
	return nil
}

// close gives up what is not sent.
func (i *hitInsert) close() {
	if i.batch != nil {
		_ = i.batch.Close()
		i.batch = nil
	}
}

// GoalChange is how many hits of a goal there were and are.
type GoalChange struct {
	Site   string `ch:"site_id"`
	Goal   string `ch:"goal"`
	Before uint64 `ch:"before"`
	After  uint64 `ch:"after"`
}

// Changes compares, before the first offsets, the hits that were made anew with those that were there before. It must be called
// after the exchange.
func (b *Rebuilds) Changes(ctx context.Context, r *Rebuild, sites []string) ([]GoalChange, error) {
	var changes []GoalChange
	where := " WHERE " + r.before() + " AND " + r.within(sites)
	err := b.conn.Select(ctx, &changes, "SELECT site_id, goal, countIf(old) AS before, countIf(NOT old) AS after FROM ("+
		"SELECT site_id, goal, true AS old FROM "+b.table(r.Table)+where+" UNION ALL SELECT site_id, goal, false AS old FROM "+b.table(hitsTable)+where+
		") GROUP BY site_id, goal ORDER BY site_id, goal")
	if err != nil {
		return nil, fmt.Errorf("compare hits: %w", err)
	}
	return changes, nil
}

// SiteRules is what rows of a site were made by.
type SiteRules struct {
	Site string `ch:"site_id"`
	// DeclaredAt is that of the newest such row.
	DeclaredAt time.Time `ch:"newest"`
	// Text is that of enrich.Rules; empty when it is not known.
	Text string `ch:"text"`
}

// NewestRules returns for each of the sites by what its newest event was made, of the week before the rebuild's begin.
func (b *Rebuilds) NewestRules(ctx context.Context, r *Rebuild, sites []string) ([]SiteRules, error) {
	return b.rulesWhere(ctx, sites, "batch_day >= toDate('"+r.StartedAt.UTC().AddDate(0, 0, -7).Format(time.DateOnly)+"')", "ORDER BY newest DESC LIMIT 1 BY site_id")
}

// RulesSince returns by what the events of the sites were made that were stored from the first offsets on.
func (b *Rebuilds) RulesSince(ctx context.Context, r *Rebuild, sites []string) ([]SiteRules, error) {
	return b.rulesWhere(ctx, sites, "batch_day >= toDate('"+r.StartedAt.UTC().Format(time.DateOnly)+"') AND NOT ("+r.before()+")", "")
}

func (b *Rebuilds) rulesWhere(ctx context.Context, sites []string, where, which string) ([]SiteRules, error) {
	var found []SiteRules
	err := b.conn.Select(ctx, &found, "SELECT site_id, newest, text FROM (SELECT site_id, rules, max(declared_at) AS newest FROM "+b.table("events")+
		" WHERE site_id IN (?) AND outcome = 'event' AND "+where+" GROUP BY site_id, rules "+which+") AS used "+
		"LEFT JOIN (SELECT hash, any(text) AS text FROM "+b.table("rules")+" GROUP BY hash) AS known ON used.rules = known.hash ORDER BY site_id, newest", sites)
	if err != nil {
		return nil, fmt.Errorf("read the rules of stored events: %w", err)
	}
	return found, nil
}
