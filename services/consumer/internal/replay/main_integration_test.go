//go:build integration

package replay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/replay"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/internal/storetest"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

const sites = `sites: [{id: shop, timezone: UTC, currency: EUR, goals: [{id: purchase, event: purchase}]}, {id: twin, timezone: UTC, currency: EUR, goals: [{id: purchase, event: purchase}]},
  {id: brief, timezone: UTC, currency: EUR, retention_days: 30}]`

// world is a database on the real ClickHouse of ONEPX_TEST_CLICKHOUSE, and partitions that the test writes.
type world struct {
	t        *testing.T
	conn     driver.Conn
	database string
	schema   store.Schema
	events   *store.Store
	rules    enrich.Rules
	enricher *enrich.Enricher
	list     *suppression.List
	now      time.Time
	// logs are by partition; positions are the ends of what the consumers have acknowledged.
	logs      map[int]*partitionLog
	positions map[int]int64
	letters   []consume.DeadLetter
	// ahead is by how much the clock of the collectors is before that of the consumers.
	ahead time.Duration
	// wishes are those that consumers know; nil: none.
	wishes *suppression.List
	// dies is the step after which a run is killed.
	dies replay.Step
}

// partitionLog is one partition of the topic.
type partitionLog struct {
	records []kafka.Message
	first   int64
	// expires is where it begins once somebody has begun to read it; opened is how often that was.
	expires int64
	opened  int
}

func (l *partitionLog) Bounds(context.Context) (first, end int64, err error) {
	return l.first, int64(len(l.records)), nil
}

func (l *partitionLog) Open(offset int64) (consume.Cursor, error) {
	l.first = max(l.first, l.expires)
	l.opened++
	return &cursor{l.records[max(offset, l.first):]}, nil
}

type cursor struct{ left []kafka.Message }

func (c *cursor) Next(ctx context.Context) (kafka.Message, error) {
	for len(c.left) > 0 {
		m := c.left[0]
		c.left = c.left[1:]
		if m.Value != nil { // Kafka has none at this offset
			return m, nil
		}
	}
	<-ctx.Done()
	return kafka.Message{}, ctx.Err()
}

func (c *cursor) Close() error { return nil }

// Publish takes dead letters.
func (w *world) Publish(_ context.Context, letters []consume.DeadLetter) error {
	w.letters = append(w.letters, letters...)
	return nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	conn, schema := storetest.Fresh(t, clickhouseconn.OfCommands)
	w := &world{
		t: t, conn: conn, database: schema.Database, schema: schema, events: store.New(conn, schema),
		list: suppression.New(), now: time.Now().UTC().Truncate(24 * time.Hour), logs: map[int]*partitionLog{}, positions: map[int]int64{},
	}
	config, err := siteconfig.Parse("f", []byte(sites))
	require.NoError(t, err)
	w.rules = enrich.NewRules(config)
	w.enricher, err = enrich.New(w.rules)
	require.NoError(t, err)
	return w
}

// topic is that of all partitions here.
const topic = eventlog.TopicEvents

// event is a purchase or a page view of one of five visitors; the same for the same number.
func event(site string, n int, at time.Time) *onepxv1.Event {
	id, visitor := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "event", n)), uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "visitor", n%5))
	ev := &onepxv1.Event{
		Schema: eventlog.Schema, EventId: id[:], EventIdOrigin: onepxv1.IdOrigin_ID_ORIGIN_CLIENT, SiteId: site,
		Kind: onepxv1.EventKind_EVENT_KIND_PAGE_VIEW, Name: "page_view", ReceivedAtMs: at.UnixMilli(), OccurredAtMs: at.UnixMilli(),
		Client:    &onepxv1.Client{UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"},
		Visitor:   &onepxv1.Visitor{VisitorId: visitor[:], Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE},
		Consent:   &onepxv1.Consent{Measure: true, Profile: true},
		Transport: &onepxv1.Transport{Kind: onepxv1.TransportKind_TRANSPORT_KIND_BEACON},
	}
	if n%3 == 0 {
		ev.Kind, ev.Name = onepxv1.EventKind_EVENT_KIND_ORDER, "purchase"
		ev.Commerce = &onepxv1.Commerce{OrderId: fmt.Sprint("o-", n), ValueMicros: proto.Int64(int64(n) * 1_000_000), Currency: "EUR"}
	}
	return ev
}

// publish makes partition p hold the events of a site by their numbers, a second apart; -1 is no event, -2 no record. All of
// them are acknowledged.
func (w *world) publish(p int, site string, began time.Time, numbers ...int) {
	w.t.Helper()
	log := &partitionLog{}
	for offset, n := range numbers {
		at := began.Add(time.Duration(offset) * time.Second)
		m := kafka.Message{Value: []byte("no event"), Time: at}
		if n >= 0 {
			var err error
			m, err = eventlog.Encode(event(site, n, at), at)
			require.NoError(w.t, err)
		} else if n == -2 {
			m.Value = nil
		}
		m.Topic, m.Partition, m.Offset = topic, p, int64(offset)
		log.records = append(log.records, m)
	}
	w.logs[p], w.positions[p] = log, int64(len(numbers))
}

func upTo(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// consume stores offsets as a consumer does that has declared them a moment after the last was published.
func (w *world) consume(p int, first, last int64) {
	w.t.Helper()
	r := store.Range{Partition: store.Partition{Topic: topic, ID: p}, First: first, Last: last}
	var records []kafka.Message
	for _, m := range w.logs[p].records[first : last+1] {
		if m.Value != nil {
			records = append(records, m)
		}
	}
	at := w.logs[p].records[last].Time.Add(time.Second - w.ahead).UTC()
	wishes := suppression.New()
	if w.wishes != nil {
		wishes = w.wishes
	}
	rows, _, err := consume.Remake{
		Declaration: consume.Declaration{Range: r, At: at, Day: at.Truncate(24 * time.Hour), Rules: w.rules.Hash()}, Enricher: w.enricher, Suppressed: wishes.Now(), Store: w.events,
		Above: func(context.Context, time.Duration, time.Duration, []store.EventKey) (map[store.EventKey]time.Time, error) {
			return nil, nil
		},
	}.Rows(w.t.Context(), records)
	require.NoError(w.t, err)
	require.NoError(w.t, w.events.Insert(w.t.Context(), fmt.Sprint(p, "/", first, "-", last), func(yield func(*store.Row) bool) {
		for i := range rows {
			if !yield(&rows[i]) {
				return
			}
		}
	}))
}

var errKilled = errors.New("killed")

func (w *world) deps(lines *[]string) replay.Deps {
	return replay.Deps{
		Tables: store.NewReplays(w.conn, w.schema), Events: w.events, Log: func(p store.Partition) consume.Log { return w.logs[p.ID] },
		Positions: func(context.Context) (all []consume.Position, err error) {
			for p, first := range w.positions {
				all = append(all, consume.Position{Partition: store.Partition{Topic: topic, ID: p}, First: first, Last: first - 1, Committed: true})
			}
			return all, nil
		},
		Suppressions: func(context.Context) (suppression.Snapshot, error) { return w.list.Now(), nil },
		Letters: func(_ context.Context, do func(consume.DeadLetter) error) (err error) {
			for _, letter := range w.letters {
				err = errors.Join(err, do(letter))
			}
			return err
		},
		DeadLetters: w, Rules: w.rules, Enricher: w.enricher, InsertDeadline: 10 * time.Second, TokenLife: time.Hour, Now: time.Now,
		Say: func(format string, args ...any) { *lines = append(*lines, fmt.Sprintf(format, args...)) },
		Saved: func(step replay.Step) error {
			if step == w.dies {
				return errKilled
			}
			return nil
		},
	}
}

// replay runs `consumer replay` of one partition and returns what it says of it.
func (w *world) replay(p int, change ...func(*replay.Request)) (string, error) {
	w.t.Helper()
	request := replay.Request{Partition: p, From: -1, To: -1}
	for _, c := range change {
		c(&request)
	}
	var lines []string
	err := replay.Gaps(w.t.Context(), w.deps(&lines), request)
	return strings.Join(lines, "\n"), err
}

// healed runs replay, which must succeed, and returns its sum.
func (w *world) healed(p int) string {
	w.t.Helper()
	said, err := w.replay(p)
	require.NoError(w.t, err, said)
	_, sum, _ := strings.Cut(said[strings.LastIndex(said, "partition "):], ": ")
	sum, _, _ = strings.Cut(sum, "\n")
	return sum
}

func (w *world) exec(query string) {
	w.t.Helper()
	require.NoError(w.t, w.conn.Exec(w.t.Context(), strings.ReplaceAll(query, "%s", w.database)))
}

// lines are the rows of a query of one column.
func (w *world) lines(query string) (all []string) {
	w.t.Helper()
	rows, err := w.conn.Query(w.t.Context(), strings.ReplaceAll(query, "%s", w.database))
	require.NoError(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var line string
		require.NoError(w.t, rows.Scan(&line))
		all = append(all, line)
	}
	require.NoError(w.t, rows.Err())
	return all
}

// rows are the rows of a partition, but for what names their batch.
func (w *world) rows(p int) []string {
	w.t.Helper()
	return w.lines("SELECT formatRowNoNewline('JSONEachRow', * EXCEPT (batch_first, batch_last, declared_at, insert_until, received_at, occurred_at)) FROM %s.events WHERE kafka_partition = " + strconv.Itoa(p) + " ORDER BY kafka_offset, outcome")
}

// outcomes are offset and outcome of the rows of a partition.
func (w *world) outcomes(p int) string {
	w.t.Helper()
	return strings.Join(w.lines("SELECT concat(toString(kafka_offset), ' ', outcome) FROM %s.events WHERE kafka_partition = "+strconv.Itoa(p)+" ORDER BY kafka_offset, outcome"), ", ")
}

// facts are the contents of all tables that views fill, of one site: the number of rows and a hash of them.
func (w *world) facts(site string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, line := range w.lines("SELECT concat(t.name, ' ', if(t.engine LIKE '%%Summing%%' OR t.engine LIKE '%%Aggregating%%' OR t.engine LIKE '%%Replacing%%', 'FINAL', ''), ' ', arrayStringConcat(groupArrayIf(c.name, c.name NOT IN ('site_id', 'expires_at', 'kafka_partition', 'last_offsets', 'batch_day')), ',')) " +
		"FROM system.tables AS t INNER JOIN system.columns AS c ON c.database = t.database AND c.table = t.name " +
		"WHERE t.database = '%s' AND concat(t.name, '_view') IN (SELECT name FROM system.tables WHERE database = '%s' AND engine = 'MaterializedView') " +
		"GROUP BY t.name, t.engine HAVING countIf(c.name = 'site_id') > 0") {
		words := strings.Split(line, " ")
		columns := strings.Split(words[2], ",")
		slices.Sort(columns)
		all[words[0]] = w.lines("SELECT concat(toString(count()), ' ', toString(sum(cityHash64(toString(tuple(" + strings.Join(columns, ", ") + ")))))) FROM %s." + words[0] + " " + words[1] + " WHERE site_id = '" + site + "'")[0]
	}
	require.NotEmpty(w.t, all)
	return all
}

// lose drops the rows of a partition between two offsets, as a part that is lost.
func (w *world) lose(p int, first, last int64) {
	w.t.Helper()
	w.exec(fmt.Sprintf("DELETE FROM %%s.events WHERE kafka_partition = %d AND kafka_offset BETWEEN %d AND %d SETTINGS lightweight_deletes_sync = 2", p, first, last))
}
