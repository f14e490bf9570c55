package consume

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// maker makes the rows of a batch with nothing stored before it.
type maker struct {
	store  *clickHouse
	window *window
	list   *suppression.List
}

func newMaker() *maker {
	return &maker{store: newClickHouse(), window: newWindow(1000, noon.Add(-rebuildHorizon)), list: suppression.New()}
}

// stored puts a row into the store, as an earlier batch would have.
func (m *maker) stored(offset int64, at time.Time, event *onepxv1.Event, outcome string) *maker {
	row := store.Row{KafkaTopic: partition.Topic, KafkaPartition: int32(partition.ID), KafkaOffset: offset, RecordTime: at, BatchDay: at.Truncate(24 * time.Hour)}
	row.SiteID, row.EventID, row.Outcome = event.GetSiteId(), store.ID(event.GetEventId()), outcome
	m.store.add(row)
	return m
}

// remembered puts an event into the window, as an earlier batch of the same worker would have.
func (m *maker) remembered(at time.Time, event *onepxv1.Event) *maker {
	m.window.add(store.EventKey{SiteID: event.GetSiteId(), EventID: store.ID(event.GetEventId())}, at)
	return m
}

func (m *maker) suppressed(kind suppression.Kind, id []byte) *maker {
	m.list.Apply(kafka.Message{Key: suppression.Key(kind, id), Value: []byte("1"), Offset: m.list.Now().Position})
	return m
}

// erased lets the id be erased up to the moment in ms.
func (m *maker) erased(kind suppression.Kind, id []byte, ms int64) *maker {
	m.list.Apply(kafka.Message{Key: suppression.Key(kind.Erased(), id), Value: suppression.Until(time.UnixMilli(ms)), Offset: m.list.Now().Position})
	return m
}

func receivedAt(ms int64) func(*onepxv1.Event) {
	return func(e *onepxv1.Event) { e.ReceivedAtMs = ms }
}

func (m *maker) make(t *testing.T, b *batch) made {
	t.Helper()
	made, err := makeAll(t.Context(), m.rowMaker(b), b)
	require.NoError(t, err)
	for i, row := range made.rows {
		require.Equal(t, b.First+int64(i), row.KafkaOffset, "one row for each offset, in order")
	}
	require.Len(t, made.rows, int(b.size()))
	return made
}

// made is all that becomes of a batch.
type made struct {
	rows []store.Row
	dead []DeadLetter
	seen []seenEvent
}

// makeAll makes the rows of a batch, which keeps its records.
func makeAll(ctx context.Context, m rowMaker, b *batch) (made, error) {
	copied := *b
	copied.records = slices.Clone(b.records)
	block, err := m.prepare(ctx, &copied)
	if err != nil {
		return made{}, err
	}
	rows := cloned(block.rows)
	return made{rows, block.dead, block.seen}, nil
}

// cloned are the rows of a sequence that gives the same Row each time.
func cloned(rows iter.Seq[*store.Row]) []store.Row {
	var all []store.Row
	for row := range rows {
		all = append(all, *row)
	}
	return all
}

func (m *maker) rowMaker(b *batch) rowMaker {
	d := Declaration{Range: b.Range, At: noon, Day: noon.Truncate(24 * time.Hour), Rules: euroRules.rules.Hash(), Suppression: m.list.Now().Position, Hash: b.hash()}
	past := &history{}
	_ = m.store.EventIDs(context.Background(), partition, b.First, time.Time{}, past.add)
	return rowMaker{declaration: d, enricher: euroRules.enricher, suppressed: m.list.Now(), window: m.window, history: past, store: m.store}
}

// from100 is a batch from offset 100 to the last offset that holds the records.
func from100(last int64, records ...kafka.Message) *batch {
	return &batch{Range: store.Range{Partition: partition, First: 100, Last: last}, records: records}
}

// inShort are the outcomes of rows: e(vent), d(uplicate), s(uppressed), x (dead), m(issing).
func inShort(rows []store.Row) string {
	letters := map[string]byte{store.OutcomeEvent: 'e', store.OutcomeDuplicate: 'd', store.OutcomeSuppressed: 's', store.OutcomeDead: 'x', store.OutcomeMissing: 'm'}
	text := make([]byte, len(rows))
	for i, row := range rows {
		text[i] = letters[row.Outcome]
	}
	return string(text)
}

func newerSchema(offset int64, at time.Time, id int) kafka.Message {
	return recordOf(offset, at, hit(id, func(e *onepxv1.Event) { e.Schema = eventlog.SchemaAccount + 1 }))
}

func TestOutcomeOfEachOffset(t *testing.T) {
	const day = 24 * time.Hour
	at := noon
	cases := map[string]struct {
		given *maker
		batch *batch
		want  string
	}{
		"an event counts":                                       {newMaker(), from100(100, recordOf(100, at, hit(1))), "e"},
		"offsets before the first record":                       {newMaker(), from100(102, recordOf(102, at, hit(1))), "mme"},
		"offsets between records":                               {newMaker(), from100(103, recordOf(100, at, hit(1)), recordOf(103, at, hit(2))), "emme"},
		"offsets after the last record":                         {newMaker(), from100(102, recordOf(100, at, hit(1))), "emm"},
		"nothing but missing offsets":                           {newMaker(), from100(103), "mmmm"},
		"bytes that are no event":                               {newMaker(), from100(101, garbage(100, at), recordOf(101, at, hit(1))), "xe"},
		"a record without key and value":                        {newMaker(), from100(101, kafka.Message{Offset: 100}, recordOf(101, at, hit(1))), "xe"},
		"a schema newer than this program":                      {newMaker(), from100(101, newerSchema(100, at, 1), recordOf(101, at, hit(1))), "xe"},
		"a suppressed visitor":                                  {newMaker().suppressed(suppression.Visitor, idOf(1001)), from100(101, recordOf(100, at, hit(1)), recordOf(101, at, hit(2))), "se"},
		"a visitor who was erased, and came again":              {newMaker().erased(suppression.Visitor, idOf(1001), 50), from100(102, recordOf(100, at, hit(1, receivedAt(49))), recordOf(101, at, hit(1, receivedAt(50))), recordOf(102, at, hit(1, receivedAt(51)))), "sse"},
		"a suppressed user":                                     {newMaker().suppressed(suppression.User, idOf(7)), from100(100, recordOf(100, at, hit(1, func(e *onepxv1.Event) { e.Visitor.UserKey = idOf(7) }))), "s"},
		"a suppressed recipient":                                {newMaker().suppressed(suppression.Recipient, idOf(7)), from100(100, recordOf(100, at, hit(1, func(e *onepxv1.Event) { e.Mail = &onepxv1.Mail{RecipientKey: idOf(7)} }))), "s"},
		"an id suppressed as another kind":                      {newMaker().suppressed(suppression.User, idOf(1001)), from100(100, recordOf(100, at, hit(1))), "e"},
		"an event without any visitor":                          {newMaker().suppressed(suppression.Visitor, nil), from100(100, recordOf(100, at, hit(1, func(e *onepxv1.Event) { e.Visitor = nil }))), "e"},
		"dead before suppressed":                                {newMaker().suppressed(suppression.Visitor, idOf(1001)), from100(100, newerSchema(100, at, 1)), "x"},
		"dead before duplicate":                                 {newMaker().remembered(at, hit(1)), from100(100, newerSchema(100, at, 1)), "x"},
		"suppressed before duplicate":                           {newMaker().suppressed(suppression.Visitor, idOf(1001)).remembered(at, hit(1)), from100(100, recordOf(100, at, hit(1))), "s"},
		"a repeat within the batch":                             {newMaker(), from100(101, recordOf(100, at, hit(1)), recordOf(101, at, hit(1))), "ed"},
		"a repeat of a repeat":                                  {newMaker(), from100(102, recordOf(100, at, hit(1)), recordOf(101, at.Add(10*time.Minute), hit(1)), recordOf(102, at.Add(20*time.Minute), hit(1))), "edd"},
		"no repeat of a suppressed record":                      {newMaker().suppressed(suppression.Visitor, idOf(5)), from100(101, recordOf(100, at, hit(1, byVisitor(5))), recordOf(101, at, hit(1, byVisitor(6)))), "se"},
		"no repeat of a dead record":                            {newMaker(), from100(101, newerSchema(100, at, 1), recordOf(101, at, hit(1))), "xe"},
		"the same id on another site":                           {newMaker(), from100(101, recordOf(100, at, hit(1)), recordOf(101, at, hit(1, ofSite("blog")))), "ee"},
		"the same id on another site, asked for":                {newMaker().stored(5, at.Add(-time.Hour), hit(1, ofSite("blog")), store.OutcomeEvent), from100(100, recordOf(100, at, hit(1, clientMade))), "e"},
		"a repeat of the window":                                {newMaker().remembered(at.Add(-shortHorizon), hit(1)), from100(100, recordOf(100, at, hit(1))), "d"},
		"15 minutes and 1 ms are no repeat of a collector's id": {newMaker().remembered(at.Add(-shortHorizon-time.Millisecond), hit(1)).stored(5, at.Add(-shortHorizon-time.Millisecond), hit(1), store.OutcomeEvent), from100(100, recordOf(100, at, hit(1))), "e"},
		"15 minutes and 1 ms within the batch":                  {newMaker(), from100(101, recordOf(100, at, hit(1)), recordOf(101, at.Add(shortHorizon+time.Millisecond), hit(1))), "ee"},
		"an earlier record with a later time":                   {newMaker().remembered(at.Add(14*time.Minute), hit(1)), from100(100, recordOf(100, at, hit(1))), "d"},
		"a client's id days later":                              {newMaker().stored(5, at.Add(-6*day), hit(1), store.OutcomeEvent), from100(100, recordOf(100, at, hit(1, clientMade))), "d"},
		"a client's id exactly 7 days later":                    {newMaker().stored(5, at.Add(-7*day), hit(1), store.OutcomeEvent), from100(100, recordOf(100, at, hit(1, clientMade))), "d"},
		"a client's id 7 days and 1 ms later":                   {newMaker().stored(5, at.Add(-7*day-time.Millisecond), hit(1), store.OutcomeEvent), from100(100, recordOf(100, at, hit(1, clientMade))), "e"},
		"a client's id that was a duplicate days ago":           {newMaker().stored(5, at.Add(-6*day), hit(1), store.OutcomeDuplicate), from100(100, recordOf(100, at, hit(1, clientMade))), "d"},
		"a client's id days later within one batch":             {newMaker(), from100(101, recordOf(100, at.Add(-6*day), hit(1, clientMade)), recordOf(101, at, hit(1, clientMade))), "ed"},
		"a client's id remembered longer than 15 minutes":       {newMaker().remembered(at.Add(-20*time.Minute), hit(1)), from100(100, recordOf(100, at, hit(1, clientMade))), "d"},
		"a client's id that repeats a collector's":              {newMaker(), from100(101, recordOf(100, at, hit(1)), recordOf(101, at.Add(time.Hour), hit(1, clientMade))), "ed"},
		"a collector's id that repeats a client's":              {newMaker(), from100(101, recordOf(100, at, hit(1, clientMade)), recordOf(101, at.Add(time.Hour), hit(1))), "ee"},
		"a replayed record days later":                          {newMaker().stored(5, at.Add(-6*day), hit(1), store.OutcomeEvent), from100(100, recordOf(100, at, hit(1), replayed)), "d"},
		"a header that does not say replayed":                   {newMaker().stored(5, at.Add(-6*day), hit(1), store.OutcomeEvent), from100(100, recordOf(100, at, hit(1), kafka.Header{Key: "replayed", Value: []byte("0")})), "e"},
		"rows of this and later batches do not count":           {newMaker().stored(100, at, hit(1), store.OutcomeEvent), from100(100, recordOf(100, at, hit(1, clientMade))), "e"},
		"a record before the window asks the store":             {newMaker().stored(5, at.Add(-26*time.Minute), hit(1), store.OutcomeEvent), from100(100, recordOf(100, at.Add(-16*time.Minute), hit(1))), "d"},
		"records without a time":                                {newMaker(), from100(101, recordOf(100, time.Time{}, hit(1)), recordOf(101, time.Time{}, hit(1))), "ed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, inShort(c.given.make(t, c.batch).rows))
		})
	}
}

// TestReasonsOfRowsThatAreNotCounted: a word for each, of the closed list.
func TestReasonsOfRowsThatAreNotCounted(t *testing.T) {
	m := newMaker().suppressed(suppression.Visitor, idOf(1003))
	made := m.make(t, from100(106,
		garbage(101, noon), newerSchema(102, noon, 2), recordOf(103, noon, hit(3)), recordOf(104, noon, hit(4)), recordOf(105, noon, hit(4)), kafka.Message{Offset: 106}))
	want := []reason.Reason{reason.OffsetMissing, reason.Undecodable, reason.SchemaTooNew, reason.OnSuppression, "", reason.RepeatedEventID, reason.Undecodable}
	for i, row := range made.rows {
		require.Equal(t, string(want[i]), row.Reason, "offset %d", row.KafkaOffset)
		require.True(t, row.Reason == "" || slices.ContainsFunc(reason.All, func(e reason.Entry) bool { return string(e.Reason) == row.Reason }))
	}
	require.Len(t, made.dead, 3)
	for i, offset := range []int64{101, 102, 106} {
		require.Equal(t, offset, made.dead[i].Record.Offset)
		require.Equal(t, partition, made.dead[i].Partition)
	}
}

// TestSuppressedRowsKeepNothing: not who it was, not what the event was.
func TestSuppressedRowsKeepNothing(t *testing.T) {
	record := recordOf(100, noon, hit(1, func(e *onepxv1.Event) {
		e.Visitor.UserKey, e.Visitor.DailyHash, e.Visitor.ForeignSessionId = idOf(2), idOf(3), "s"
		e.Page = &onepxv1.Page{Url: "https://shop.example/", Referrer: "https://a.example/", Title: "t"}
		e.Client = &onepxv1.Client{IpPrefix: "192.0.2.0", Country: "DE", Region: "BE", UserAgent: "x", Language: "de", ScreenWidth: 1}
		e.Marketing = &onepxv1.Marketing{UtmSource: "u", ClickId: "c"}
		e.Commerce = &onepxv1.Commerce{OrderId: "o", ValueMicros: proto.Int64(1), Currency: "EUR"}
		e.Mail = &onepxv1.Mail{RecipientKey: idOf(4), CampaignId: "m"}
		e.Props = map[string]string{"p": "v"}
	}), replayed)
	m := newMaker().suppressed(suppression.Visitor, idOf(1001))
	made := m.make(t, from100(100, record))
	want := m.rowMaker(from100(100, record)).base(100)
	want.RecordTime, want.RecordHash = noon, hashOf(record)
	want.Outcome, want.Reason, want.SiteID = store.OutcomeSuppressed, string(reason.OnSuppression), "shop"
	require.Equal(t, want, made.rows[0])
	require.Empty(t, made.seen)
	require.Empty(t, made.dead)
}

// TestWhatIsRemembered: exactly the rows that keep an event id.
func TestWhatIsRemembered(t *testing.T) {
	m := newMaker().suppressed(suppression.Visitor, idOf(1003))
	made := m.make(t, from100(104, recordOf(100, noon, hit(1)), garbage(101, noon), recordOf(102, noon, hit(3)), recordOf(103, noon.Add(time.Second), hit(1))))
	require.Equal(t, "exsdm", inShort(made.rows))
	require.Equal(t, []seenEvent{{keyOf("shop", 1), noon}, {keyOf("shop", 1), noon.Add(time.Second)}}, made.seen)
	for _, row := range made.rows {
		keeps := row.Outcome == store.OutcomeEvent || row.Outcome == store.OutcomeDuplicate
		require.Equal(t, keeps, row.EventID != store.ID(nil), row.Outcome)
	}
}

// TestStoreIsAskedOnceABatch and only for events that were seen before, when the window cannot know.
func TestStoreIsAskedOnceABatch(t *testing.T) {
	m := newMaker()
	m.make(t, from100(101, recordOf(100, noon, hit(1)), recordOf(101, noon, hit(2, clientMade))))
	require.Zero(t, m.store.asked, "new events")
	m.stored(7, noon.Add(-time.Hour), hit(1), store.OutcomeEvent).stored(8, noon.Add(-time.Hour), hit(2), store.OutcomeEvent)
	m.make(t, from100(100, recordOf(100, noon, hit(1))))
	require.Zero(t, m.store.asked, "a collector's own event that the window covers")
	m.make(t, from100(102, recordOf(100, noon, hit(1, clientMade)), recordOf(101, noon, hit(2, clientMade)), recordOf(102, noon.Add(-time.Hour), hit(3))))
	require.Equal(t, 1, m.store.asked)
}

// noAnswer is a store that answers no question.
type noAnswer struct{ Store }

func (noAnswer) Seen(context.Context, store.Partition, int64, time.Time, []store.EventKey) (map[store.EventKey]time.Time, error) {
	return nil, errAway
}

var errAway = errors.New("away")

func TestNoRowsWithoutAnAnswer(t *testing.T) {
	b := from100(100, recordOf(100, noon, hit(1, clientMade)))
	m := newMaker().stored(7, noon.Add(-time.Hour), hit(1), store.OutcomeEvent).rowMaker(b)
	m.store = noAnswer{}
	_, err := m.prepare(t.Context(), b)
	require.ErrorIs(t, err, errAway)
}

// TestRowsAreAFunctionOfTheirInput: the same batch under the same declaration gives the same rows, also after others were
// stored and remembered.
func TestRowsAreAFunctionOfTheirInput(t *testing.T) {
	m := newMaker().stored(5, noon.Add(-time.Hour), hit(4), store.OutcomeEvent).suppressed(suppression.Visitor, idOf(1003))
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 7)
	b := from100(109,
		recordOf(100, noon, hit(1)), garbage(101, noon), recordOf(103, noon, hit(3)), recordOf(104, noon, hit(4, clientMade)),
		recordOf(105, noon, hit(1)), recordOf(107, noon, hit(5, func(e *onepxv1.Event) {
			e.Props = map[string]string{"a": "1", "b": "2", "c": "3"}
			proto.Merge(e, &onepxv1.Event{Flags: []string{"x"}})
			e.ProtoReflect().SetUnknown(unknown)
		})))
	maker := m.rowMaker(b)
	first, err := makeAll(t.Context(), maker, b)
	require.NoError(t, err)
	require.Equal(t, "exmsddmemm", inShort(first.rows))
	m.stored(100, noon, hit(1), store.OutcomeEvent).stored(110, noon, hit(5), store.OutcomeEvent)
	m.suppressed(suppression.Visitor, idOf(1005))
	second, err := makeAll(t.Context(), maker, b)
	require.NoError(t, err)
	require.Equal(t, first, second)
}

// TestFullBatchOfMissingOffsets: a gap of any length is stored in batches of the greatest size.
func TestFullBatchOfMissingOffsets(t *testing.T) {
	b := from100(100 + 50_000 - 1)
	made := newMaker().make(t, b)
	require.Len(t, made.rows, 50_000)
	for _, row := range made.rows {
		require.Equal(t, store.OutcomeMissing, row.Outcome)
		require.Zero(t, row.RecordHash)
	}
	require.Zero(t, b.hash())
}

// TestTimesFitTheirColumns: whatever Kafka says a record's time is, ClickHouse can hold it, and a repeat is judged by what
// is stored.
func TestTimesFitTheirColumns(t *testing.T) {
	for name, at := range map[string]time.Time{
		"no time":               {},
		"before 1970":           time.UnixMilli(-1),
		"after the last column": time.UnixMilli(1 << 60),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaker()
			row := m.make(t, from100(100, recordOf(100, at, hit(1)))).rows[0]
			require.GreaterOrEqual(t, row.RecordTime.Year(), 1970)
			require.Less(t, row.RecordTime.Year(), 2200)
			m.store.add(row)
			restarted := newWindow(1000, recordTime(kafka.Message{}))
			require.NoError(t, m.store.RecentEvents(t.Context(), partition, 101, recordTime(kafka.Message{}), restarted.add))
			for _, m.window = range []*window{restarted, newWindow(0, noon.AddDate(500, 0, 0))} {
				next := from100(101, recordOf(101, at, hit(1)))
				next.First = 101
				require.Equal(t, "d", inShort(m.make(t, next).rows))
			}
		})
	}
}

// TestEmptyEventIDIsNoID: an id of nothing but zeros, as some clients send, says nothing.
func TestEmptyEventIDIsNoID(t *testing.T) {
	noID := func(e *onepxv1.Event) { e.EventId = make([]byte, 16) }
	m := newMaker().suppressed(suppression.Visitor, idOf(1003))
	made := m.make(t, from100(102, recordOf(100, noon, hit(1, noID)), recordOf(101, noon, hit(2, noID)), recordOf(102, noon, hit(3, noID))))
	require.Equal(t, "ees", inShort(made.rows))
	require.Empty(t, made.seen)
	m.store.add(made.rows...)
	next := from100(103, recordOf(103, noon, hit(4, noID, clientMade)))
	next.First = 103
	require.Equal(t, "e", inShort(m.make(t, next).rows))
	require.Zero(t, m.store.asked)
}

func TestATallyIsARowOfItsOwnAndIsCountedOnce(t *testing.T) {
	tally := hit(1, func(event *onepxv1.Event) {
		event.Schema, event.Name, event.Visitor = eventlog.SchemaTally, "", nil
		event.Consent = &onepxv1.Consent{DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_OPT_OUT_COOKIE}
		event.Tally = &onepxv1.Tally{Reason: "opted_out", Hits: 41}
	})
	later := noon.Add(time.Hour) // the collector did not know until then whether Kafka had it
	rows := newMaker().make(t, from100(101, recordOf(100, noon, tally), recordOf(101, later, tally))).rows
	require.Equal(t, []any{"tally", "opted_out", uint64(41), "shop", "page_view", "opt_out_cookie"},
		[]any{rows[0].Outcome, rows[0].Reason, rows[0].TallyHits, rows[0].SiteID, rows[0].Kind, rows[0].ConsentDecidedBy})
	require.Equal(t, []any{"duplicate", uint64(0)}, []any{rows[1].Outcome, rows[1].TallyHits})
}

func TestAnAccountIsARowOfNoSiteAndIsToldOnce(t *testing.T) {
	account := hit(1, func(event *onepxv1.Event) {
		event.Schema, event.SiteId, event.Name, event.Visitor = eventlog.SchemaAccount, "", "", nil
		event.EventIdOrigin = onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR
		event.Account = &onepxv1.Account{Collector: []byte("0123456789abcdef"), Ended: []*onepxv1.Ended{{Outcome: "stored", Events: 41}}}
	})
	later := noon.Add(25 * time.Hour)
	rows := newMaker().make(t, from100(101, recordOf(100, noon, account), recordOf(101, later, account))).rows
	require.Equal(t, []any{"account", "", ""}, []any{rows[0].Outcome, rows[0].SiteID, rows[0].Reason})
	require.Contains(t, rows[0].Account, `"outcomes":{"stored":41}`)
	require.Equal(t, []any{"duplicate", "repeated_event_id", ""}, []any{rows[1].Outcome, rows[1].Reason, rows[1].Account})
}
