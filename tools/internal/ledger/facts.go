package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/onepx/onepx/tools/internal/answers"
)

// Database answers queries, each row in JSON: a ClickHouse.
type Database interface {
	Query(ctx context.Context, query string, each func(row json.RawMessage) error) error
}

// Facts is the comparison of the tables of facts, and of the reports on them, with what was sent. It names rows.
type Facts struct {
	// Lost must be there and are not; Double are there more than once, or must not be there.
	Lost, Double []string
	// Wrong are there and say something else than what was sent: another order or campaign, another amount.
	Wrong []string
}

// maxNamed is how many rows of each sort an error names.
const maxNamed = 3

// Err says what is wrong, or nil.
func (f Facts) Err() error {
	var errs []error
	for _, sort := range []struct {
		what string
		rows []string
	}{{"missing", f.Lost}, {"there more than once, or without having been sent", f.Double}, {"wrong", f.Wrong}} {
		if n := len(sort.rows); n > 0 {
			errs = append(errs, fmt.Errorf("%d rows of facts and reports are %s: %s", n, sort.what, strings.Join(sort.rows[:min(n, maxNamed)], "; ")))
		}
	}
	return errors.Join(errs...)
}

// rows are those of one table or report: by what tells them apart, what they say.
type rows map[string]string

// Segment is the id of the one segment of the site; Rules is its rule in onepx.yaml, under a mode that lets everybody be in it.
const (
	Segment = "cart"
	Rules   = "    privacy: opt_out\n    segments: [{id: " + Segment + ", enter: {event: add_to_cart}, leave: {event: purchase}}]\n"
)

// Members is the report on who is in the segment.
const Members = "audience_members"

// Of is how many rows of a table or report are lost, double or wrong.
func (f Facts) Of(table string) (n int) {
	for _, row := range slices.Concat(f.Lost, f.Double, f.Wrong) {
		if strings.HasPrefix(row, table+": ") {
			n++
		}
	}
	return n
}

// queries are those of the tables and reports, each of rows with key and text. Amounts are whole micros.
var queries = map[string]string{
	"conversion_hits": `SELECT concat(goal, ' hit by ', toString(event_id), ' at ', toString(kafka_partition), '/', toString(kafka_offset)) AS key, concat('order ', order_id) AS text
		FROM onepx.conversion_hits WHERE site_id = '$site'`,
	"order_entries": `SELECT concat(entry, ' by ', toString(event_id), ' at ', toString(kafka_partition), '/', toString(kafka_offset)) AS key,
			concat('order ', order_id, ' of ', ifNull(toString(value_micros), 'no'), ' micros ', currency) AS text
		FROM onepx.order_entries WHERE site_id = '$site'`,
	"touches": `SELECT concat(toString(kind), ' by ', toString(event_id), ' at ', toString(kafka_partition), '/', toString(kafka_offset)) AS key, concat(source, ' ', medium, ' ', campaign) AS text
		FROM onepx.touches WHERE site_id = '$site'`,
	"conversions": `SELECT concat(goal, ' of ', if(order_id = '', toString(event_id), order_id)) AS key,
			concat('event ', toString(event_id), ', hits ', toString(hits), ', value ', ifNull(toString(toInt128(value * 1000000)), 'no'), ' micros ', currency) AS text
		FROM onepx.conversions($range)`,
	"revenue_ledger": `SELECT concat('dated by ', dated_by) AS key,
			concat('orders ', toString(sum(orders)), ', repeats ', toString(sum(repeats)), ', net ', toString(toInt128(sum(net) * 1000000)), ' micros ', currency) AS text
		FROM onepx.revenue_ledger($range) GROUP BY dated_by, currency`,
	Members: `SELECT toString(visitor_id) AS key, concat('until ', toString(toUnixTimestamp64Milli(ends_at)), ', hits ', toString(hits)) AS text
		FROM onepx.audience_members(site = '$site', segment = '` + Segment + `')`,
	"view_through": `SELECT campaign AS key, concat('impressions ', toString(sum(impressions))) AS text
		FROM onepx.view_through($range) GROUP BY campaign`,
}

// CompareFacts asks the database for goal hits, order entries, touches, conversions, the order ledger and impressions of
// the site. What must be there follows from the events that were answered as stored, and from those of unknown answer that
// are counted; amounts and orders are those of the reference.
func (l *Ledger) CompareFacts(ctx context.Context, db Database, id string, site answers.Site) (Facts, error) {
	var f Facts
	records, err := l.stored(ctx, db, id)
	if err != nil {
		return f, err
	}
	want, days := l.expect(site, records)
	fill := strings.NewReplacer("$site", id, "$range", fmt.Sprintf("site = '%s', from = '%s', to = '%s'", id, days.From, days.To))
	for table, query := range queries {
		err := f.compare(ctx, db, table, fill.Replace(query), want[table])
		if err != nil {
			return f, fmt.Errorf("%s: %w", table, err)
		}
	}
	for _, named := range [][]string{f.Lost, f.Double, f.Wrong} {
		slices.Sort(named)
	}
	return f, nil
}

// compare holds the answer to the query against the rows that must be in it.
func (f *Facts) compare(ctx context.Context, db Database, table, query string, want rows) error {
	got := map[string]bool{}
	err := db.Query(ctx, query, func(raw json.RawMessage) error {
		var row struct{ Key, Text string }
		if err := json.Unmarshal(raw, &row); err != nil {
			return err
		}
		name := table + ": " + row.Key
		text, wanted := want[row.Key]
		switch {
		case !wanted || got[row.Key]:
			f.Double = append(f.Double, name)
		case text != row.Text:
			f.Wrong = append(f.Wrong, fmt.Sprintf("%s says %q, by what was sent it is %q", name, row.Text, text))
		}
		got[row.Key] = true
		return nil
	})
	for key := range want {
		if !got[key] {
			f.Lost = append(f.Lost, table+": "+key)
		}
	}
	return err
}

// record is a row of events, where the event was counted or found to be a repeat.
type record struct {
	ID        uuid.UUID
	Visitor   uuid.UUID
	Outcome   string
	Partition int32
	Offset    int64
}

func (r record) place() string { return fmt.Sprintf("%d/%d", r.Partition, r.Offset) }

// stored are the records of the site.
func (l *Ledger) stored(ctx context.Context, db Database, site string) ([]record, error) {
	var all []record
	err := db.Query(ctx, "SELECT event_id AS ID, visitor_id AS Visitor, outcome AS Outcome, kafka_partition AS Partition, kafka_offset AS Offset FROM onepx.events WHERE site_id = '"+
		site+"' AND outcome IN ('event', 'duplicate')", func(row json.RawMessage) error {
		var r record
		err := json.Unmarshal(row, &r)
		all = append(all, r)
		return err
	})
	return all, err
}

// expect returns the rows that must be there, by table, and the days that they are of.
func (l *Ledger) expect(site answers.Site, records []record) (map[string]rows, answers.Range) {
	e := newExpectation(site)
	counted := map[uuid.UUID]bool{}
	for _, r := range records {
		if o := l.outcomes[r.ID]; o != stored && o != unknown || r.Outcome == "event" && counted[r.ID] {
			continue // what must not be there makes nothing
		}
		sent := l.sent[r.ID]
		e.addHits(sent, r.place())
		if r.Outcome == "event" {
			counted[r.ID] = true
			e.addEvent(sent, r.place())
			e.addVisit(r.Visitor, sent)
		}
	}
	for id, o := range l.outcomes {
		if o == stored && !counted[id] {
			e.addHits(l.sent[id], nowhere)
			e.addEvent(l.sent[id], nowhere)
		}
	}
	return e.tables, e.addReports()
}
