package eventlog_test

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/eventlog"
)

func event(change ...func(*onepxv1.Event)) *onepxv1.Event {
	ev := &onepxv1.Event{Schema: eventlog.Schema, EventId: []byte("0123456789abcdef"), SiteId: "shop", ReceivedAtMs: 1, Visitor: &onepxv1.Visitor{VisitorId: []byte("visitorvisitor16"), Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE}}
	for _, c := range change {
		c(ev)
	}
	return ev
}

func value(t *testing.T, ev *onepxv1.Event) []byte {
	t.Helper()
	message, err := eventlog.Encode(ev, time.Now())
	require.NoError(t, err)
	return message.Value
}

func TestARecordHoldsTheEventUnderItsIDAndTheMomentOfPublishing(t *testing.T) {
	now := time.UnixMilli(1_795_608_000_123)
	message, err := eventlog.Encode(event(), now)
	require.NoError(t, err)
	require.Equal(t, []byte("0123456789abcdef"), message.Key, "repeats of an event meet in one partition, whoever the visitor is")
	require.Equal(t, now, message.Time)
	got, err := eventlog.Decode(message.Value)
	require.NoError(t, err)
	require.True(t, proto.Equal(event(), got))
}

func TestAnAccountIsOfNoSiteAndLiesWithTheOthersOfItsCollector(t *testing.T) {
	account := event(func(ev *onepxv1.Event) {
		ev.Schema, ev.SiteId, ev.Visitor = eventlog.SchemaAccount, "", nil
		ev.Account = &onepxv1.Account{Collector: []byte("collectorcollect")}
	})
	message, err := eventlog.Encode(account, time.Now())
	require.NoError(t, err)
	require.Equal(t, []byte("collectorcollect"), message.Key)
	require.True(t, eventlog.IsAccount(message.Headers))
	require.False(t, eventlog.Replayed(message.Headers))
	got, err := eventlog.Decode(message.Value)
	require.NoError(t, err)
	require.True(t, proto.Equal(account, got))
	other, err := eventlog.Encode(event(), time.Now())
	require.NoError(t, err)
	require.False(t, eventlog.IsAccount(other.Headers))
}

func TestWhatIsNoEventIsToldApartFromWhatIsTooNew(t *testing.T) {
	newer := value(t, event(func(ev *onepxv1.Event) { ev.Schema = eventlog.SchemaAccount + 1 }))
	for name, test := range map[string]struct {
		value []byte
		want  error
	}{
		"bytes that are no protobuf":            {[]byte("\xff\xff\xff"), eventlog.ErrUndecodable},
		"no value":                              {nil, eventlog.ErrUndecodable},
		"another message":                       {[]byte("\x0a\x03abc"), eventlog.ErrUndecodable},
		"an account of no collector":            {value(t, event(func(ev *onepxv1.Event) { ev.Account = &onepxv1.Account{Collector: []byte("short")} })), eventlog.ErrUndecodable},
		"an event without a site":               {value(t, event(func(ev *onepxv1.Event) { ev.SiteId = "" })), eventlog.ErrUndecodable},
		"an event id of another length":         {value(t, event(func(ev *onepxv1.Event) { ev.EventId = []byte("short") })), eventlog.ErrUndecodable},
		"an event that did not arrive":          {value(t, event(func(ev *onepxv1.Event) { ev.ReceivedAtMs = 0 })), eventlog.ErrUndecodable},
		"an event that was cut off":             {newer[:len(newer)-3], eventlog.ErrUndecodable},
		"a schema that this program can't know": {newer, eventlog.ErrSchemaTooNew},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := eventlog.Decode(test.value)
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestAFieldThatThisProgramDoesNotKnowIsNoReasonToRefuseAnEvent(t *testing.T) {
	_, err := eventlog.Decode(append(value(t, event()), 0xfa, 0x7f, 0x01, 'x'))
	require.NoError(t, err)
}

func TestOnlyTheHeaderReplayedWithTheValueOneMarksARecord(t *testing.T) {
	for value, want := range map[string]bool{"1": true, "0": false, "": false} {
		require.Equal(t, want, eventlog.Replayed([]kafka.Header{{Key: "traceparent"}, {Key: eventlog.HeaderReplayed, Value: []byte(value)}}))
	}
	require.False(t, eventlog.Replayed(nil))
}

func TestTheFingerprintOfARecordTellsKeyValueAndTimeApart(t *testing.T) {
	at := time.UnixMilli(1)
	base := eventlog.RecordHash([]byte("ab"), []byte("c"), at)
	require.Equal(t, base, eventlog.RecordHash([]byte("ab"), []byte("c"), at))
	require.NotEqual(t, base, eventlog.RecordHash([]byte("a"), []byte("bc"), at))
	require.NotEqual(t, base, eventlog.RecordHash([]byte("ab"), []byte("c"), at.Add(time.Millisecond)))
	require.NotZero(t, eventlog.RecordHash(nil, nil, time.UnixMilli(0)))
}

func FuzzDecode(f *testing.F) {
	whole, err := proto.Marshal(event())
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:10])
	account, err := proto.Marshal(event(func(ev *onepxv1.Event) { ev.Account = &onepxv1.Account{Collector: ev.GetEventId(), Sequence: 1} }))
	require.NoError(f, err)
	f.Add(account)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		ev, err := eventlog.Decode(data)
		if err != nil {
			require.True(t, ev == nil)
			return
		}
		again, err := eventlog.Encode(ev, time.Now())
		require.NoError(t, err)
		_, err = eventlog.Decode(again.Value)
		require.NoError(t, err)
	})
}
