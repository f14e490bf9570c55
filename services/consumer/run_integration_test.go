//go:build integration

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/suppression"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares the rows, JSON objects, with a file of testdata.
func golden(t *testing.T, name string, rows []string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden.json")
	var pretty bytes.Buffer
	for _, row := range rows {
		require.NoError(t, json.Indent(&pretty, []byte(row), "", "  "))
		pretty.WriteByte('\n')
	}
	got := strings.ReplaceAll(pretty.String(), `\/`, "/")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

var (
	visitorID = uuid.MustParse("11111111-1111-4111-8111-111111111111")
	dailyHash = uuid.MustParse("22222222-2222-4222-8222-222222222222")
	userKey   = uuid.MustParse("33333333-3333-4333-8333-333333333333")
	recipient = uuid.MustParse("44444444-4444-4444-8444-444444444444")
	eventID   = uuid.MustParse("55555555-5555-4555-8555-555555555555")
)

const (
	person = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
	robot  = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
)

// purchase sets every field of an event.
func purchase(ev *onepxv1.Event) {
	price := int64(19_950_000)
	ev.EventId, ev.EventIdOrigin = eventID[:], onepxv1.IdOrigin_ID_ORIGIN_CLIENT
	ev.Kind, ev.Name = onepxv1.EventKind_EVENT_KIND_ORDER, "purchase"
	ev.Visitor = &onepxv1.Visitor{VisitorId: visitorID[:], Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE, DailyHash: dailyHash[:], UserKey: userKey[:], ForeignSessionId: "s-1"}
	ev.Page = &onepxv1.Page{Url: "https://Shop.example/danke?x=1", Referrer: "https://www.google.com/search", Title: "Danke – Grüner Tee 🍵"}
	ev.Marketing = &onepxv1.Marketing{UtmSource: "News", UtmMedium: "email", UtmCampaign: "Autumn", UtmTerm: "tea", UtmContent: "top", UtmId: "c-1", ClickId: "Abc", ClickIdParam: "gclid", ClickNetwork: "google"}
	ev.Commerce = &onepxv1.Commerce{OrderId: "1001", ValueMicros: proto.Int64(49_900_000), Currency: "CHF", Items: []*onepxv1.Item{
		{Id: "sku-1", QuantityMicros: 2_000_000, PriceMicros: &price, Category: "tea"}, {Id: "sku-2", QuantityMicros: 1_000_000},
	}}
	ev.Mail = &onepxv1.Mail{CampaignId: "m-1", MessageId: "m-2", RecipientKey: recipient[:], LinkId: "l-1"}
	ev.Client = &onepxv1.Client{
		IpPrefix: "203.0.113.0/24", Country: "DE", Region: "BE", NetworkClass: onepxv1.NetworkClass_NETWORK_CLASS_PUBLIC, UserAgent: person,
		HintBrands: `"Chromium";v="131"`, HintMobile: "?0", HintPlatform: `"Windows"`, Language: "de-DE", ScreenWidth: 1920, ScreenHeight: 1080,
	}
	ev.Consent = &onepxv1.Consent{Measure: true, Profile: true, Cookie: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER}
	ev.Transport = &onepxv1.Transport{Kind: onepxv1.TransportKind_TRANSPORT_KIND_GIF, Dialect: "onepx"}
	ev.Props, ev.Flags = map[string]string{"plan": "yearly"}, []string{"text_truncated"}
}

func TestAnEventInKafkaBecomesARowAndIsInTheViewsAndTheReports(t *testing.T) {
	w := begun(t)
	c := w.start()
	day := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)
	w.publish(eventlog.TopicEvents, 1,
		w.record(event(func(ev *onepxv1.Event) {
			purchase(ev)
			ev.OccurredAtMs = day.UnixMilli()
		}), time.Now()),
		w.record(event(func(ev *onepxv1.Event) {
			ev.Visitor = &onepxv1.Visitor{VisitorId: visitorID[:], Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE}
			ev.Marketing = &onepxv1.Marketing{UtmSource: "News", UtmMedium: "email"}
			ev.Page = &onepxv1.Page{Url: "https://shop.example/tea", Title: "Tea"}
			ev.OccurredAtMs = day.Add(-time.Minute).UnixMilli()
		}), time.Now()),
		w.record(event(func(ev *onepxv1.Event) {
			ev.Client, ev.OccurredAtMs = &onepxv1.Client{UserAgent: robot}, day.UnixMilli()
		}), time.Now()),
	)
	require.Equal(t, []string{"1/0 event", "1/1 event", "1/2 event"}, w.awaitRows(3))
	c.awaitMetric(`onepx_consumer_rows_total{outcome="event"} 3`) // the views are filled after the table

	golden(t, "row", w.query("SELECT * EXCEPT (record_time, record_hash, batch_day, batch_last, declared_at, insert_until, rules, received_at, occurred_at, site_day) FROM %s.events WHERE name = 'purchase'"))
	golden(t, "traffic_daily", w.query("SELECT * EXCEPT (site_day, last_offsets) FROM %s.traffic_daily FINAL ORDER BY channel"))
	golden(t, "visitor_days", w.query("SELECT * EXCEPT (site_day, expires_at, last_offsets) FROM %s.visitor_days FINAL ORDER BY channel"))
	today := day.Format(time.DateOnly)
	golden(t, "traffic", w.query("SELECT * EXCEPT (day) FROM %s.traffic(site = 'shop', from = '"+today+"', to = '"+today+"')"))
	golden(t, "session_activity", w.query("SELECT * EXCEPT (occurred_at) FROM %s.session_activity(site = 'shop', visitor = '"+visitorID.String()+"')"))
	golden(t, "offset_ledger", w.query("SELECT * FROM %s.offset_ledger"))
	require.Equal(t, []string{`{"times":3}`}, w.query("SELECT count() AS times FROM %s.events WHERE site_day = toDate(occurred_at, 'Europe/Berlin') AND batch_day = toDate(declared_at)"+
		" AND received_at BETWEEN now64(3) - INTERVAL 1 HOUR AND now64(3) AND record_time BETWEEN received_at AND declared_at + INTERVAL 1 MILLISECOND AND record_hash != 0"))
}

// letter is a line of `consumer deadletter show`.
type letter struct {
	Topic, Reason     string
	Partition, Offset int
	RecordTime        time.Time `json:"record_time"`
	Bytes             int
	Decodable         bool
	Key, Value        []byte
}

func letters(t *testing.T, args ...string) []letter {
	t.Helper()
	got := command(t, append([]string{"deadletter", "show"}, args...)...)
	require.Zero(t, got.code, got.errOut)
	var all []letter
	for line := range strings.Lines(got.out) {
		var l letter
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		all = append(all, l)
	}
	return all
}

func TestARecordThatIsNoEventGoesToTheDeadLettersAndThePartitionGoesOn(t *testing.T) {
	empty(t)
	none := command(t, "deadletter", "show")
	require.Equal(t, 1, none.code)
	require.Contains(t, none.errOut, "topic onepx.deadletter does not exist: run `consumer topics`")
	w := begun(t)
	require.Empty(t, letters(t))
	c := w.start()
	at := time.Now().UTC().Truncate(time.Millisecond)
	garbage := kafka.Message{Time: at, Key: []byte("key"), Value: []byte("\xff no event")}
	tooNew := w.record(event(func(ev *onepxv1.Event) { ev.Schema = eventlog.SchemaAccount + 1 }), at)
	good := w.views(2)
	w.publish(eventlog.TopicEvents, 0, good[0], garbage, tooNew, good[1])
	require.Equal(t, []string{"0/0 event", "0/1 dead undecodable", "0/2 dead schema_too_new", "0/3 event"}, w.awaitRows(4))
	c.awaitMetric(`onepx_consumer_rows_total{outcome="dead"} 2`)
	w.eventually("the status has the positions", func() bool {
		_, status := c.get("/status")
		return regexp.MustCompile(`(?m)^ready +ok\npartition 0 +next offset 4, 0 behind\npartition 1 +next offset 0, 0 behind$`).MatchString(status)
	})

	want := []letter{
		{Topic: "onepx.events", Partition: 0, Offset: 1, Reason: "undecodable", RecordTime: at, Bytes: len(garbage.Value)},
		{Topic: "onepx.events", Partition: 0, Offset: 2, Reason: "schema_too_new", RecordTime: at, Bytes: len(tooNew.Value)},
	}
	require.Equal(t, want, letters(t))
	want[0].Key, want[0].Value, want[1].Key, want[1].Value = garbage.Key, garbage.Value, tooNew.Key, tooNew.Value
	require.Equal(t, want, letters(t, "--payload"))

	// A batch that is recovered publishes its letters again. A topic that was made anew has other records at the same places.
	again := kafka.Message{Time: at, Key: []byte("onepx.events/0/1"), Value: garbage.Value, Headers: []kafka.Header{
		{Key: consume.HeaderReason, Value: []byte("undecodable")}, {Key: consume.HeaderTime, Value: []byte(at.Format(time.RFC3339Nano))},
	}}
	w.publish(eventlog.TopicDeadLetter, 0, again)
	require.Len(t, letters(t), 2)
	again.Headers[1].Value = []byte(at.Add(time.Hour).Format(time.RFC3339Nano))
	w.publish(eventlog.TopicDeadLetter, 0, again)
	require.Len(t, letters(t), 3)
	require.NotContains(t, c.log.String(), base64.StdEncoding.EncodeToString(garbage.Value))
	require.NotContains(t, c.log.String(), "ERROR", "bad input is counted, not an error")
}

func TestARowOfASuppressedVisitorKeepsNothingButItsPlaceAndSite(t *testing.T) {
	w := begun(t)
	for kind, id := range map[suppression.Kind]uuid.UUID{suppression.Visitor: visitorID, suppression.User: userKey, suppression.Recipient: recipient} {
		w.publish(eventlog.TopicSuppressions, 0, kafka.Message{Time: time.Now(), Key: suppression.Key(kind, id[:]), Value: []byte("1")})
	}
	c := w.start()
	only := func(keep func(*onepxv1.Event)) kafka.Message {
		return w.record(event(func(ev *onepxv1.Event) {
			purchase(ev)
			id := uuid.New()
			ev.EventId, ev.Visitor, ev.Mail = id[:], &onepxv1.Visitor{Kind: onepxv1.VisitorKind_VISITOR_KIND_NONE}, nil
			keep(ev)
		}), time.Now())
	}
	w.publish(eventlog.TopicEvents, 0,
		only(func(ev *onepxv1.Event) { ev.Visitor.VisitorId = visitorID[:] }),
		only(func(ev *onepxv1.Event) { ev.Visitor.UserKey = userKey[:] }),
		only(func(ev *onepxv1.Event) { ev.Mail = &onepxv1.Mail{RecipientKey: recipient[:]} }),
		only(func(*onepxv1.Event) {}),
	)
	require.Equal(t, []string{"0/0 suppressed suppression_list", "0/1 suppressed suppression_list", "0/2 suppressed suppression_list", "0/3 event"}, w.awaitRows(4))
	c.awaitMetric(`onepx_consumer_rows_total{outcome="suppressed"} 3`)
	golden(t, "suppressed", w.query("SELECT * EXCEPT (record_time, record_hash, batch_day, batch_last, declared_at, insert_until, rules, received_at, occurred_at, site_day) FROM %s.events WHERE kafka_offset = 0"))
	require.Equal(t, []string{`{"events":1}`}, w.query("SELECT sum(events) AS events FROM %s.traffic_daily"))
	require.Equal(t, []string{`{"ids":1}`}, w.query("SELECT count() AS ids FROM %s.event_ids"))
}

func TestARepeatedEventIsCountedOnceAlsoAcrossARestart(t *testing.T) {
	w := begun(t)
	c := w.start()
	again := w.record(event(nil), time.Now())
	w.publish(eventlog.TopicEvents, 0, again, again)
	require.Equal(t, []string{"0/0 event", "0/1 duplicate repeated_event_id"}, w.awaitRows(2))
	require.Zero(t, c.stop())
	c = w.start()
	w.publish(eventlog.TopicEvents, 0, again)
	require.Equal(t, []string{"0/0 event", "0/1 duplicate repeated_event_id", "0/2 duplicate repeated_event_id"}, w.awaitRows(3))
	c.awaitMetric(`onepx_consumer_rows_total{outcome="duplicate"} 1`)
	require.Equal(t, []string{`{"events":1,"duplicates":2}`}, w.query("SELECT sum(events) AS events, sum(duplicates) AS duplicates FROM %s.traffic_daily"))
	require.Equal(t, []string{`{"events":1}`}, w.query("SELECT sum(events) AS events FROM %s.visitor_days"))
}

func TestWhatAClientOrASpoolRepeatsCountsOnceWithinAWeek(t *testing.T) {
	w := begun(t)
	made := func(origin onepxv1.IdOrigin) *onepxv1.Event {
		return event(func(ev *onepxv1.Event) { ev.EventIdOrigin = origin })
	}
	const day = 24 * time.Hour
	start := time.Now().Add(-9 * day)
	client, late := made(onepxv1.IdOrigin_ID_ORIGIN_CLIENT), made(onepxv1.IdOrigin_ID_ORIGIN_CLIENT)
	ours, spooled := made(onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR), made(onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR)
	otherSite := event(func(ev *onepxv1.Event) { ev.EventId, ev.SiteId = client.GetEventId(), "blog" })
	w.publish(eventlog.TopicEvents, 0, w.record(client, start), w.record(late, start), w.record(ours, start), w.record(spooled, start))
	c := w.start()
	want := []string{"0/0 event", "0/1 event", "0/2 event", "0/3 event"}
	require.Equal(t, want, w.awaitRows(4))

	replayed := w.record(spooled, start.Add(3*day))
	replayed.Headers = []kafka.Header{{Key: eventlog.HeaderReplayed, Value: []byte("1")}}
	w.publish(eventlog.TopicEvents, 0,
		w.record(client, start.Add(3*day)), w.record(late, start.Add(8*day)), w.record(ours, start.Add(3*day)), replayed, w.record(otherSite, start.Add(3*day)))
	want = append(want, "0/4 duplicate repeated_event_id", "0/5 event", "0/6 event", "0/7 duplicate repeated_event_id", "0/8 event")
	require.Equal(t, want, w.awaitRows(9))
	require.Equal(t, []string{`{"kafka_offset":7}`}, w.query("SELECT kafka_offset FROM %s.events WHERE replayed"))

	// The same after a restart, when the window knows nothing of it: the last repeat is within a week of the one before.
	require.Zero(t, c.stop())
	w.start()
	w.publish(eventlog.TopicEvents, 0, w.record(client, start.Add(9*day)))
	require.Equal(t, append(want, "0/9 duplicate repeated_event_id"), w.awaitRows(10))
}
