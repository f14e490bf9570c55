// Package ledger compares what collectors answered with what ClickHouse holds: every event that was answered as stored
// is counted exactly once, in events and in the sums of the views; every other one at most once; every offset is one row;
// and goal hits, order entries, touches and the reports on them are those of the counted events (facts.go). It asks ClickHouse over HTTP, as any user would.
package ledger

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/load"
)

// ClickHouse asks questions over HTTP.
type ClickHouse struct {
	// URL is the address with user and password where they are needed.
	URL string
}

// Query runs a query and calls each with every row, in JSONEachRow.
func (c ClickHouse) Query(ctx context.Context, query string, each func(row json.RawMessage) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"?"+url.Values{
		"default_format": {"JSONEachRow"}, "output_format_json_quote_64bit_integers": {"0"},
	}.Encode(), strings.NewReader(query))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return fmt.Errorf("clickhouse: %s: %s", res.Status, strings.TrimSpace(string(text)))
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if each == nil {
			continue
		}
		if err := each(json.RawMessage(lines.Bytes())); err != nil {
			return err
		}
	}
	return lines.Err()
}

// One runs a query that returns one row into out.
func (c ClickHouse) One(ctx context.Context, query string, out any) error {
	rows := 0
	err := c.Query(ctx, query, func(row json.RawMessage) error {
		rows++
		return json.Unmarshal(row, out)
	})
	if err == nil && rows != 1 {
		return fmt.Errorf("clickhouse: %d rows instead of one: %s", rows, query)
	}
	return err
}

// Ledger remembers what was answered, by event id. It holds millions of events in little memory where their results come without
// what was sent; then it can compare events, not facts.
type Ledger struct {
	outcomes map[uuid.UUID]outcome
	sent     map[uuid.UUID]*answers.Event
}

// outcome is one of load's; the zero value is that of an event that was never sent.
type outcome uint8

const (
	stored outcome = iota + 1
	refused
	unknown
)

var outcomes = map[string]outcome{load.Stored: stored, load.Refused: refused, load.Unknown: unknown}

// New returns an empty ledger.
func New() *Ledger {
	return &Ledger{outcomes: map[uuid.UUID]outcome{}, sent: map[uuid.UUID]*answers.Event{}}
}

// Note takes a result.
func (l *Ledger) Note(r load.Result) {
	l.outcomes[r.ID] = outcomes[r.Outcome]
	if r.Event != nil {
		l.sent[r.ID] = r.Event
	}
}

// Accepted is the number of events that were answered as stored.
func (l *Ledger) Accepted() int {
	n := 0
	for _, o := range l.outcomes {
		if o == stored {
			n++
		}
	}
	return n
}

// Balance is the comparison.
type Balance struct {
	// Accepted events were answered as stored; Rows are those counted in events.
	Accepted, Rows int
	// Lost were accepted and are not counted; Double are counted more than once.
	Lost, Double int
	// Unasked are counted although they were never sent, or although they were certainly refused.
	Unasked int
	// TrafficEvents and VisitorEvents are the sums of the two views.
	TrafficEvents, VisitorEvents int
	// DoubleOffsets have more than one row, MissingOffsets none.
	DoubleOffsets, MissingOffsets int
}

// Err says what is wrong, or nil.
func (b Balance) Err() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(b.Lost == 0, "%d accepted events are not counted", b.Lost)
	check(b.Double == 0, "%d events are counted more than once", b.Double)
	check(b.Unasked == 0, "%d events are counted that were refused or never sent", b.Unasked)
	check(b.TrafficEvents == b.Rows, "traffic_daily sums up to %d events, events has %d", b.TrafficEvents, b.Rows)
	check(b.VisitorEvents == b.Rows, "visitor_days sums up to %d events, events has %d", b.VisitorEvents, b.Rows)
	check(b.DoubleOffsets == 0, "%d offsets have more than one row", b.DoubleOffsets)
	check(b.MissingOffsets == 0, "%d offsets have no row", b.MissingOffsets)
	return errors.Join(errs...)
}

// Compare asks ClickHouse for everything of the site. ends are the numbers of offsets that Kafka has given, by partition.
func (l *Ledger) Compare(ctx context.Context, ch ClickHouse, site string, ends map[int]int64) (Balance, error) {
	b := Balance{Accepted: l.Accepted()}
	// Offsets come first: when none is missing, nothing changes any more while the rest is asked.
	if err := b.offsets(ctx, ch, ends); err != nil {
		return b, err
	}
	counted := map[uuid.UUID]int{}
	err := ch.Query(ctx, "SELECT event_id FROM onepx.events WHERE site_id = '"+site+"' AND outcome = 'event'", func(row json.RawMessage) error {
		var r struct {
			EventID uuid.UUID `json:"event_id"`
		}
		if err := json.Unmarshal(row, &r); err != nil {
			return err
		}
		counted[r.EventID]++
		b.Rows++
		return nil
	})
	if err != nil {
		return b, err
	}
	for id, n := range counted {
		if n > 1 {
			b.Double += n - 1
		}
		if o := l.outcomes[id]; o != stored && o != unknown {
			b.Unasked++
		}
	}
	for id, o := range l.outcomes {
		if o == stored && counted[id] == 0 {
			b.Lost++
		}
	}
	var sum struct{ Events int }
	for view, into := range map[string]*int{"traffic_daily": &b.TrafficEvents, "visitor_days": &b.VisitorEvents} {
		if err := ch.One(ctx, "SELECT sum(events) AS Events FROM onepx."+view+" WHERE site_id = '"+site+"'", &sum); err != nil {
			return b, err
		}
		*into = sum.Events
	}
	return b, nil
}

func (b *Balance) offsets(ctx context.Context, ch ClickHouse, ends map[int]int64) error {
	for partition, end := range ends {
		var rows struct{ Rows, Distinct int64 }
		err := ch.One(ctx, fmt.Sprintf("SELECT count() AS Rows, uniqExact(kafka_offset) AS Distinct FROM onepx.events WHERE kafka_partition = %d", partition), &rows)
		if err != nil {
			return err
		}
		b.DoubleOffsets += int(rows.Rows - rows.Distinct)
		b.MissingOffsets += int(end - rows.Distinct)
	}
	return nil
}
