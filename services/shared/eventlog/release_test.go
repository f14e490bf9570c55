package eventlog_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/eventlog"
)

var release = flag.String("release", "", "write the records of a new release under its number, such as v2; those of old ones are never written again")

// released is a Kafka record of a release, with what it means.
type released struct {
	Key     []byte         `json:"key"`
	Value   []byte         `json:"value"`
	Headers []kafka.Header `json:"headers"`
	TimeMS  int64          `json:"time_ms"`
	// Hash is RecordHash, which stands in rows and in declared batches; as text, for JSON numbers end at 2^53.
	Hash     uint64          `json:"hash,string"`
	Replayed bool            `json:"replayed"`
	Event    json.RawMessage `json:"event"`
}

// TestRecordsOfEveryReleaseAreRead: testdata/vN.records are records as collectors of release N published them, one a line. A consumer of
// any later release must read them, find the batches that an older one declared (the hash), and see repeats (the key).
func TestRecordsOfEveryReleaseAreRead(t *testing.T) {
	if *release != "" {
		write(t, "testdata/"+*release+".records")
	}
	files, err := filepath.Glob("testdata/v*.records")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range bytes.Lines(content) {
			var r released
			require.NoError(t, json.Unmarshal(line, &r))
			var want onepxv1.Event
			require.NoError(t, protojson.Unmarshal(r.Event, &want))
			t.Run(filepath.Base(file)+" "+want.GetName(), func(t *testing.T) {
				got, err := eventlog.Decode(r.Value)
				require.NoError(t, err)
				require.Empty(t, got.ProtoReflect().GetUnknown())
				require.True(t, proto.Equal(&want, got), "the bytes mean something else now:\n%v\n%v", &want, got)
				require.Equal(t, r.Key, eventlog.Key(got))
				require.Equal(t, r.Hash, eventlog.RecordHash(r.Key, r.Value, time.UnixMilli(r.TimeMS)))
				require.Equal(t, r.Replayed, eventlog.Replayed(r.Headers))
			})
		}
	}
}

// write writes a record for each kind of event, a tally and an account; one of them lay in a spool, one is traced.
func write(t *testing.T, path string) {
	t.Helper()
	require.NoFileExists(t, path)
	var lines bytes.Buffer
	for i, ev := range kinds() {
		message, err := eventlog.Encode(ev, time.UnixMilli(1_795_608_001_000+int64(i)))
		require.NoError(t, err)
		switch ev.GetKind() {
		case onepxv1.EventKind_EVENT_KIND_ORDER:
			message.Headers = []kafka.Header{{Key: eventlog.HeaderReplayed, Value: []byte("1")}}
		case onepxv1.EventKind_EVENT_KIND_CUSTOM:
			message.Headers = []kafka.Header{{Key: "traceparent", Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")}}
		}
		text, err := protojson.Marshal(ev)
		require.NoError(t, err)
		line, err := json.Marshal(released{
			Key: message.Key, Value: message.Value, Headers: message.Headers, TimeMS: message.Time.UnixMilli(),
			Hash: eventlog.RecordHash(message.Key, message.Value, message.Time), Replayed: eventlog.Replayed(message.Headers), Event: text,
		})
		require.NoError(t, err)
		lines.Write(append(line, '\n'))
	}
	require.NoError(t, os.WriteFile(path, lines.Bytes(), 0o600))
}

// kinds are events of each kind that the contract knows, a tally and an account.
func kinds() []*onepxv1.Event {
	var all []*onepxv1.Event
	for _, number := range slices.Sorted(maps.Keys(onepxv1.EventKind_name)) {
		if number == 0 {
			continue
		}
		kind := onepxv1.EventKind(number)
		ev := event()
		ev.EventId[0], ev.Kind, ev.Name = byte('a'+number), kind, strings.ToLower(strings.TrimPrefix(kind.String(), "EVENT_KIND_"))
		ev.ReceivedAtMs, ev.OccurredAtMs, ev.EventIdOrigin = 1_795_608_000_123, 1_795_608_000_000, onepxv1.IdOrigin_ID_ORIGIN_CLIENT
		ev.Page = &onepxv1.Page{Url: "https://shop.example/tee?x=ü", Referrer: "https://www.example.org/", Title: "Grüner Tee"}
		ev.Client = &onepxv1.Client{IpPrefix: "198.51.100.0/24", Country: "DE", Region: "BE", NetworkClass: onepxv1.NetworkClass_NETWORK_CLASS_PUBLIC, UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", Language: "de-DE"}
		ev.Consent = &onepxv1.Consent{Measure: true, Profile: true, Share: true, Cookie: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER}
		ev.Transport = &onepxv1.Transport{Kind: onepxv1.TransportKind_TRANSPORT_KIND_GIF, Dialect: "onepx"}
		ev.Props, ev.Flags = map[string]string{"theme": "dark"}, []string{"email_masked"}
		detail(ev)
		all = append(all, ev)
	}
	tally := event(func(ev *onepxv1.Event) {
		ev.Schema, ev.Name, ev.ReceivedAtMs, ev.Tally = eventlog.SchemaTally, "tally", 1_795_608_000_123, &onepxv1.Tally{Reason: "opted_out", Hits: 17}
	})
	account := event(func(ev *onepxv1.Event) {
		ev.Schema, ev.Name, ev.ReceivedAtMs = eventlog.SchemaAccount, "account", 1_795_608_000_123
		ev.Account = &onepxv1.Account{
			Collector: []byte("collector_16byte"), Sequence: 17, Acknowledged: 16, Last: true,
			Ended:     []*onepxv1.Ended{{Outcome: "rejected", Reason: "overloaded", Events: 3}},
			Published: []*onepxv1.Published{{MinuteMs: 1_795_608_000_000, Partition: 3, Records: 5, FirstOffset: 10, LastOffset: 14}},
		}
	})
	return append(all, tally, account)
}

// detail adds what events of a kind alone have.
func detail(ev *onepxv1.Event) {
	switch ev.GetKind() {
	case onepxv1.EventKind_EVENT_KIND_PAGE_VIEW:
		ev.Marketing = &onepxv1.Marketing{UtmSource: "news", UtmMedium: "email", UtmCampaign: "autumn", ClickId: "abc", ClickIdParam: "gclid", ClickNetwork: "google"}
	case onepxv1.EventKind_EVENT_KIND_ORDER:
		ev.Commerce = &onepxv1.Commerce{OrderId: "A-17", ValueMicros: proto.Int64(-49_990_000), Currency: "EUR", Items: []*onepxv1.Item{{Id: "tee", QuantityMicros: 2_000_000, PriceMicros: proto.Int64(24_995_000), Category: "green"}}}
	case onepxv1.EventKind_EVENT_KIND_EMAIL_OPEN, onepxv1.EventKind_EVENT_KIND_EMAIL_CLICK, onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE, onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY:
		ev.Mail = &onepxv1.Mail{CampaignId: "autumn", MessageId: "m-1", RecipientKey: []byte("recipient16bytes"), LinkId: "3", SentAtMs: 1_795_600_000_000}
	case onepxv1.EventKind_EVENT_KIND_IDENTIFY:
		ev.Visitor.UserKey = []byte("user_key16_bytes")
	case onepxv1.EventKind_EVENT_KIND_IMPRESSION:
		ev.Visitor = &onepxv1.Visitor{Kind: onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH, DailyHash: []byte("daily_hash16byte")}
	}
}
