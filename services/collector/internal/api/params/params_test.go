package params_test

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
)

// arrival is the clock of these tests: 2026-11-25 12:00:00 UTC.
var arrival = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func read(raw string) *params.Hit { return params.Read(params.ParseQuery(raw), arrival, "") }

func encode(pairs ...string) string { return params.Encode(pairs...) }

func TestKindFollowsFromTheName(t *testing.T) {
	for name, kind := range map[string]onepxv1.EventKind{
		"":           onepxv1.EventKind_EVENT_KIND_PAGE_VIEW,
		"page_view":  onepxv1.EventKind_EVENT_KIND_PAGE_VIEW,
		"impression": onepxv1.EventKind_EVENT_KIND_IMPRESSION,
		"purchase":   onepxv1.EventKind_EVENT_KIND_ORDER,
		"refund":     onepxv1.EventKind_EVENT_KIND_ORDER,
		"cancel":     onepxv1.EventKind_EVENT_KIND_ORDER,
		"restate":    onepxv1.EventKind_EVENT_KIND_ORDER,
		"identify":   onepxv1.EventKind_EVENT_KIND_IDENTIFY,
		"Purchase":   onepxv1.EventKind_EVENT_KIND_CUSTOM,
		"signup":     onepxv1.EventKind_EVENT_KIND_CUSTOM,
	} {
		require.Equal(t, kind, read("e="+name).Event.Kind, name)
	}
	require.Equal(t, "page_view", read("").Event.Name)
}

func TestEventID(t *testing.T) {
	for _, test := range []struct{ name, id, want string }{
		{"a UUID is kept", "0190A5B0-1234-7abc-8def-0123456789ab", "0190a5b012347abc8def0123456789ab"},
		{"any other text is hashed", "order-1001", hashed("order-1001")},
		{"a UUID in another form is any other text", "0190a5b012347abc8def0123456789ab", hashed("0190a5b012347abc8def0123456789ab")},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := read(encode("id", test.id))
			require.Equal(t, test.want, hex.EncodeToString(hit.Event.EventId))
			require.Equal(t, onepxv1.IdOrigin_ID_ORIGIN_CLIENT, hit.Event.EventIdOrigin)
		})
	}
	require.Nil(t, read("").Event.EventId, "the caller makes one")
}

func TestTimes(t *testing.T) {
	const ms = 1_795_608_000_000 // arrival
	for _, test := range []struct {
		name, query string
		want        int64
		flags       params.Flags
	}{
		{"without a time it is the arrival", "", ms, nil},
		{"seconds", "ts=1795607990", ms - 10_000, nil},
		{"seconds with decimals", "ts=1795607990.5", ms - 9_500, nil},
		{"milliseconds", "ts=1795607990123", ms - 9_877, nil},
		{"RFC 3339", "ts=2026-11-25T12:59:50.25%2B01:00", ms - 9_750, nil},
		{"a clock that is an hour late is corrected by the time of sending", "ts=1795604400&sent=1795604403", ms - 3_000, nil},
		{"a clock that is an hour early is corrected too", "ts=1795611600&sent=1795611603", ms - 3_000, nil},
		{"only the time of sending says nothing", "sent=1795604403", ms, nil},
		{"a future clock is moved to 5 minutes from now", "ts=1895607990", ms + 300_000, params.Flags{reason.TimeClamped}},
		{"an ancient clock is moved to 7 days ago", "ts=0", ms - 7*86_400_000, params.Flags{reason.TimeClamped}},
		{"the bounds themselves are allowed", "ts=1795003200", ms - 7*86_400_000, nil},
		{"an unreadable time is the arrival", "ts=yesterday", ms, params.Flags{reason.TimeInvalid}},
		{"an unreadable time of sending makes the other useless", "ts=1795607990&sent=x", ms, params.Flags{reason.TimeInvalid}},
		{"a negative time is unreadable", "ts=-5", ms, params.Flags{reason.TimeInvalid}},
		{"the largest number is only far away", "ts=9999999999999999&sent=1", ms + 300_000, params.Flags{reason.TimeClamped}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := read(test.query)
			require.Equal(t, test.want, hit.Event.OccurredAtMs)
			require.Equal(t, test.flags, hit.Flags)
			require.EqualValues(t, ms, hit.Event.ReceivedAtMs)
		})
	}
}

func TestItems(t *testing.T) {
	price := func(micros int64) *int64 { return &micros }
	for _, test := range []struct {
		name, json string
		want       []*onepxv1.Item
		flags      params.Flags
	}{
		{"numbers and texts are the same", `[{"id":"a","qty":2,"price":19.95,"category":"tea"},{"id":7,"qty":"1.5","price":"0.1"}]`, []*onepxv1.Item{
			{Id: "a", QuantityMicros: 2_000_000, PriceMicros: price(19_950_000), Category: "tea"},
			{Id: "7", QuantityMicros: 1_500_000, PriceMicros: price(100_000)},
		}, nil},
		{"an id is enough, and means one piece", `[{"id":"a"}]`, []*onepxv1.Item{{Id: "a", QuantityMicros: 1_000_000}}, nil},
		{"a price of 0 is a price", `[{"id":"a","price":0}]`, []*onepxv1.Item{{Id: "a", QuantityMicros: 1_000_000, PriceMicros: price(0)}}, nil},
		{"no quantity is a quantity too", `[{"id":"a","qty":0}]`, []*onepxv1.Item{{Id: "a"}}, nil},
		{"null is not given", `[{"id":"a","qty":null,"price":null,"category":null}]`, []*onepxv1.Item{{Id: "a", QuantityMicros: 1_000_000}}, nil},
		{"an empty array is no items", `[]`, nil, nil},
		{"texts are cleaned", `[{"id":"a\u0000b\u0007","category":"x\ny"}]`, []*onepxv1.Item{{Id: "ab", QuantityMicros: 1_000_000, Category: "xy"}}, params.Flags{reason.ControlCharacters}},
		{"an id of nothing but control characters is none", `[{"id":"\u0000"}]`, nil, params.Flags{reason.ControlCharacters, reason.ItemsInvalid}},
		{"an unreadable price is left out", `[{"id":"a","price":"free"}]`, []*onepxv1.Item{{Id: "a", QuantityMicros: 1_000_000}}, params.Flags{reason.ItemsInvalid}},
		{"an item without id is left out", `[{"qty":2},{"id":"b"}]`, []*onepxv1.Item{{Id: "b", QuantityMicros: 1_000_000}}, params.Flags{reason.ItemsInvalid}},
		{"an unreadable or negative quantity leaves the item out", `[{"id":"a","qty":"two"},{"id":"b","qty":-1},{"id":"c","qty":1e3},{"id":"d","qty":[1]}]`, nil, params.Flags{reason.ItemsInvalid}},
		{"what is no object is left out", `["a",1,null,{"id":"b"}]`, []*onepxv1.Item{{Id: "b", QuantityMicros: 1_000_000}}, params.Flags{reason.ItemsInvalid}},
		{"what is no array is nothing", `{"id":"a"}`, nil, params.Flags{reason.ItemsInvalid}},
		{"what is no JSON is nothing", `sku-1,sku-2`, nil, params.Flags{reason.ItemsInvalid}},
		{"a long category is cut", `[{"id":"a","category":"` + strings.Repeat("é", 300) + `"}]`, []*onepxv1.Item{{Id: "a", QuantityMicros: 1_000_000, Category: strings.Repeat("é", 256)}}, params.Flags{reason.TextTruncated}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := read(encode("items", test.json))
			require.True(t, proto.Equal(&onepxv1.Commerce{Items: test.want}, hit.Event.Commerce), "%v", hit.Event.Commerce)
			require.Equal(t, test.flags, hit.Flags)
			require.Empty(t, hit.Reject)
		})
	}
}

func TestRefusals(t *testing.T) {
	many := func(n int, format string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(format, i))
		}
		return strings.Join(parts, "&")
	}
	items := func(n int) string { return encode("items", "["+strings.Repeat(`{"id":"a"},`, n-1)+`{"id":"a"}]`) }
	for _, test := range []struct {
		name, query string
		want        reason.Reason
	}{
		{"a name of 64 characters is allowed", "e=" + strings.Repeat("%C3%A9", 64), ""},
		{"a name of 65 characters is not", "e=" + strings.Repeat("a", 65), reason.NameInvalid},
		{"an event id of 200 bytes is allowed", "id=" + strings.Repeat("a", 200), ""},
		{"an event id of 201 bytes is not", "id=" + strings.Repeat("a", 201), reason.EventIDInvalid},
		{"64 properties are allowed", many(64, "x%d=1"), ""},
		{"65 properties are not", many(65, "p.x%d=1"), reason.TooManyProps},
		{"a property name of 64 characters is allowed", "p." + strings.Repeat("a", 64) + "=1", ""},
		{"a property name of 65 characters is not", strings.Repeat("a", 65) + "=1", reason.PropNameInvalid},
		{"a property without a name is not", "p.=1", reason.PropNameInvalid},
		{"a value without a name is not", "=1", reason.PropNameInvalid},
		{"100 items are allowed", items(100), ""},
		{"101 items are not", items(101), reason.TooManyItems},
		{"10,000 items are not", items(10_000), reason.TooManyItems},
		{"the first reason counts", "e=" + strings.Repeat("a", 65) + "&p.=1", reason.NameInvalid},
	} {
		t.Run(test.name, func(t *testing.T) { require.Equal(t, test.want, read(test.query).Reject) })
	}
}

func TestUnknownNamesBecomeProperties(t *testing.T) {
	hit := read("site=shop&color=red&p.size=xl&p.color=blue&utm_foo=x&debug=1&sr=10x20&P.x=1")
	require.Equal(t, map[string]string{"color": "red", "size": "xl", "utm_foo": "x", "P.x": "1"}, hit.Event.Props)
	require.Equal(t, params.Flags{reason.DuplicateParameter}, hit.Flags)
	long := read("p.x=" + strings.Repeat("a", 1023) + "%C3%A9")
	require.Equal(t, strings.Repeat("a", 1023), long.Event.Props["x"], "no character is broken")
	require.Equal(t, params.Flags{reason.TextTruncated}, long.Flags)
}

func TestLongTextsAreCut(t *testing.T) {
	for query, field := range map[string]func(*onepxv1.Event) string{
		"t":            func(e *onepxv1.Event) string { return e.Page.Title },
		"order_id":     func(e *onepxv1.Event) string { return e.Commerce.OrderId },
		"utm_source":   func(e *onepxv1.Event) string { return e.Marketing.UtmSource },
		"utm_campaign": func(e *onepxv1.Event) string { return e.Marketing.UtmCampaign },
		"gclid":        func(e *onepxv1.Event) string { return e.Marketing.ClickId },
	} {
		limit := map[string]int{"t": 512, "order_id": 128, "gclid": 512}[query]
		if limit == 0 {
			limit = 256
		}
		exact := read(query + "=" + strings.Repeat("%C3%A9", limit))
		require.Equal(t, limit, utf8.RuneCountInString(field(exact.Event)), query)
		require.Empty(t, exact.Flags, query)
		over := read(query + "=" + strings.Repeat("%C3%A9", limit+1))
		require.Equal(t, field(exact.Event), field(over.Event), query)
		require.Equal(t, params.Flags{reason.TextTruncated}, over.Flags, query)
	}
}

func TestSpacesAroundAnOrderIDMakeNoOtherOrder(t *testing.T) {
	for _, id := range []string{"A 1", " A 1", "A 1 \n", "\u00a0A 1\t"} {
		require.Equal(t, "A 1", read(encode("order_id", id)).Event.Commerce.OrderId, "%q", id)
	}
}

func TestPlaceholdersAreNoIDs(t *testing.T) {
	for _, text := range []string{"undefined", "NULL", "NaN", "{{order.id}}", "${ID}", "%%CACHEBUSTER%%", "<orderid>", "[ORDER]", " ", "\u00a0 \u2009", " undefined ", "{{order.id}} "} {
		hit := read(encode("id", text, "v", text, "uid", text, "order_id", text))
		require.Nil(t, hit.Event.EventId, text)
		require.Empty(t, hit.VisitorID+hit.UserID+hit.Event.Commerce.OrderId, text)
		require.Equal(t, params.Flags{reason.Placeholder}, hit.Flags, text)
	}
	hit := read(encode("id", "undefined-1", "v", "nullify", "uid", "{x", "order_id", "#[1]"))
	require.Empty(t, hit.Flags)
}

func TestOtherParameters(t *testing.T) {
	hit := read("sr=1920x1080&c=1&v=abc&uid=Ann@Example.com")
	require.EqualValues(t, 1920, hit.Event.Client.ScreenWidth)
	require.EqualValues(t, 1080, hit.Event.Client.ScreenHeight)
	require.Equal(t, []string{"1", "abc", "Ann@Example.com"}, []string{hit.Consent.Parameter, hit.VisitorID, hit.UserID})
	for _, sr := range []string{"1920", "x", "1920x", "1x70000", "-1x5", "axb"} {
		require.Zero(t, read("sr="+sr).Event.Client.ScreenWidth, sr)
	}
}

func TestLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"de-DE,de;q=0.9": "de-DE", "fr;q=0.5": "fr", "en": "en", " pt-BR , en": "pt-BR", "*": "", "": "", "<x>": "", "a\xffb": "",
		strings.Repeat("a", 36): "",
	} {
		require.Equal(t, want, params.Language(header), header)
	}
}

func TestEveryParameterIsDocumented(t *testing.T) {
	for _, p := range params.Table {
		require.NotEmpty(t, p.Name)
		for _, text := range []string{p.Field, p.Limit, p.Meaning, p.Example} {
			require.NotEmpty(t, text, p.Name)
		}
		hit := read(encode(strings.Replace(p.Name, "NAME", "color", 1), p.Example))
		require.Empty(t, hit.Reject, p.Name)
		require.Empty(t, hit.Flags, p.Name)
	}
}

func TestTheFieldsOfTheTableAreThoseOfTheEvent(t *testing.T) {
	named := regexp.MustCompile("`([a-z_.]+)(?:\\[NAME\\])?`")
	for _, param := range params.Table {
		for _, field := range named.FindAllStringSubmatch(param.Field, -1) {
			message := (&onepxv1.Event{}).ProtoReflect().Descriptor()
			for _, name := range strings.Split(field[1], ".") {
				require.NotNil(t, message, field[1])
				known := message.Fields().ByName(protoreflect.Name(name))
				require.NotNil(t, known, field[1])
				message = known.Message()
			}
		}
	}
}
