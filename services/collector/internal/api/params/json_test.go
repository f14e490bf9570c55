package params_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
)

func TestAnEventInJSONIsInTheFormOfAQuery(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       map[string]string
		flags      params.Flags
	}{
		{"no members", `{}`, map[string]string{}, nil},
		{"a number keeps its digits", `{"value":49.90,"order_id":12345678901234567890,"ts":-0,"x":1e3}`, map[string]string{"value": "49.90", "order_id": "12345678901234567890", "ts": "-0", "x": "1e3"}, nil},
		{"a boolean is 1 or 0 where it has a meaning", `{"c":false,"debug":true}`, map[string]string{"c": "0", "debug": "1"}, nil},
		{"else it is a word", `{"member":true,"props":{"c":false}}`, map[string]string{"member": "true", "p.c": "false"}, nil},
		{"null and an empty text are not given", `{"e":null,"t":"","props":{"x":null}}`, map[string]string{}, nil},
		{"nor do they hide a later one", `{"e":null,"e":"a"}`, map[string]string{"e": "a"}, nil},
		{"the first of several counts", `{"e":"a","e":"b","props":{"x":1,"x":2},"p.x":3}`, map[string]string{"e": "a", "p.x": "1"}, params.Flags{reason.DuplicateParameter}},
		{"props may also be flat", `{"p.x":1}`, map[string]string{"p.x": "1"}, nil},
		{"props that are no object are a property", `{"props":"x"}`, map[string]string{"props": "x"}, nil},
		{"arrays and objects are their text, without the space around", "{\"items\":[ {\"id\" : \"a b\"} ],\"x\":{\n\"y\": [1,\t2]}}", map[string]string{"items": `[{"id":"a b"}]`, "x": `{"y":[1,2]}`}, nil},
		{"items may be a text too", `{"items":"[{\"id\":1}]"}`, map[string]string{"items": `[{"id":1}]`}, nil},
		{"escapes are decoded", `{"t":"a\u00e9\/\ud83d\ude00"}`, map[string]string{"t": "aé/😀"}, nil},
		{"half a surrogate is replaced", `{"t":"a\ud83d"}`, map[string]string{"t": "a�"}, nil},
		{"bytes that are no UTF-8 are replaced", "{\"t\":\"caf\xe9\"}", map[string]string{"t": "caf�"}, params.Flags{reason.InvalidUTF8}},
		{"control characters are removed", `{"t":"a\u0000b\nc"}`, map[string]string{"t": "abc"}, params.Flags{reason.ControlCharacters}},
		{"utm and click id names are read in any case", `{"UTM_Source":"A","GCLID":"b","props":{"GCLID":"c"}}`, map[string]string{"utm_source": "A", "gclid": "b", "p.GCLID": "c"}, nil},
		{"percent signs and plus signs are text", `{"t":"100%+1","u":"https://a.b/?x=%20"}`, map[string]string{"t": "100%+1", "u": "https://a.b/?x=%20"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			queries, word := params.ParseJSON([]byte(test.body))
			require.Empty(t, word)
			require.Len(t, queries, 1)
			require.Empty(t, queries[0].Reject)
			require.Equal(t, test.want, pairs(queries[0]))
			require.Equal(t, test.flags, queries[0].Flags)
		})
	}
}

func TestAPageURLInJSONIsNeverUnencoded(t *testing.T) {
	queries, _ := params.ParseJSON([]byte(`{"u":"https://a.b/?x=%26","y":"1"}`))
	hit := params.Read(queries[0], arrival, "")
	require.Equal(t, "https://a.b/?x=%26", hit.Event.Page.Url)
	require.Equal(t, map[string]string{"y": "1"}, hit.Event.Props)
	require.Empty(t, hit.Flags)
}

func TestDefaults(t *testing.T) {
	queries, _ := params.ParseJSON([]byte(`[{"e":"own","c":null},{},7]`))
	defaults := params.ParseQuery("e=default&c=0&x=%zz")
	for i, want := range []map[string]string{{"e": "own", "c": "0", "x": "%zz"}, {"e": "default", "c": "0", "x": "%zz"}} {
		queries[i].AddDefaults(defaults)
		require.Equal(t, want, pairs(queries[i]))
		require.Equal(t, params.Flags{reason.BadEscape}, queries[i].Flags)
	}
	queries[2].AddDefaults(defaults)
	require.Equal(t, reason.EventNotObject, queries[2].Reject)
	require.Len(t, defaults.Pairs, 3)
}

// TestTooManyParameters: the reading ends there, and not only the storing.
func TestTooManyParameters(t *testing.T) {
	var query, object []string
	for i := range 1000 {
		query, object = append(query, fmt.Sprintf("x%d=1", i)), append(object, fmt.Sprintf(`"x%d":1`, i))
	}
	fromJSON, _ := params.ParseJSON([]byte("{" + strings.Join(object, ",") + "}"))
	props, _ := params.ParseJSON([]byte(`{"props":{` + strings.Join(object, ",") + "}}"))
	spread, _ := params.ParseJSON([]byte("{" + strings.Join(object[:80], ",") + "}"))
	spread[0].AddDefaults(params.ParseQuery(strings.Join(query[80:], "&")))
	for name, q := range map[string]params.Query{
		"in a query": params.ParseQuery(strings.Join(query, "&")), "in JSON": fromJSON[0], "in props": props[0], "with defaults": spread[0],
	} {
		require.Equal(t, reason.TooManyProps, q.Reject, name)
		require.Less(t, len(q.Pairs), 150, name)
		require.Equal(t, reason.TooManyProps, params.Read(q, arrival, "").Reject, name)
	}
}

func TestAManyTimesRepeatedElementIsNotReadToTheEnd(t *testing.T) {
	noughts := "[" + strings.Repeat("0,", 500_000) + "0]"
	require.Less(t, testing.AllocsPerRun(1, func() {
		_, word := params.ParseJSON([]byte(noughts))
		require.Equal(t, reason.TooManyEvents, word)
		require.Equal(t, reason.TooManyItems, params.Read(params.Query{Pairs: []params.Pair{{Name: "items", Value: noughts}}}, arrival, "").Reject)
	}), 5000.0)
}

// realBodies are what trackers and programs post.
var realBodies = []string{
	`{"site":"shop","e":"purchase","items":[{"id":"a","qty":2,"price":1.5}],"props":{"a":{"b":[true,null]}},"c":true}`,
	`[{"e":"a"},{"e":"b","u":"https://a.b/?gclid=x#y"},42,"x",null]`,
	"{\"id\":1}\n{\"id\":\n\n[]\r\n{\"id\":\"\xff\"}",
	`{"requests":["?idsite=1&url=https://example.org&action_name=Test bulk log Pageview&rec=1"]}`,
	`{"batch":[{"type":"track","event":"Order Completed","properties":{"total":27.5}}],"sentAt":"2026-11-25T12:00:00Z"}`,
	`{"schema":"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4","data":[{"e":"pv","cx":"","dtm":"1665401016632"}]}`,
	"\uFEFF[]", `"\ud800"`, `{"":{"":""}}`, `{"props":{"":0}}`,
}

func FuzzParseBody(f *testing.F) {
	for _, body := range realBodies {
		f.Add([]byte(body), "site=shop")
	}
	f.Fuzz(func(t *testing.T, body []byte, defaults string) {
		queries, word := params.ParseJSON(body)
		require.Equal(t, !json.Valid(body) && !json.Valid([]byte(strings.TrimSpace(strings.TrimPrefix(string(body), "\uFEFF")))), word == reason.JSONInvalid)
		lines, tooMany := params.ParseLines(body)
		require.Contains(t, []reason.Reason{"", reason.TooManyEvents}, tooMany)
		if params.AreLines(body) && tooMany == "" {
			require.Greater(t, len(lines), 1)
			require.NotEqual(t, reason.JSONInvalid, lines[0].Reject)
		}
		for _, q := range append(queries, lines...) {
			q.AddDefaults(params.ParseQuery(defaults))
			seen := map[string]bool{}
			for _, p := range q.Pairs {
				require.False(t, seen[p.Name], "a name comes once")
				seen[p.Name] = true
				require.NotEmpty(t, p.Value)
			}
			hit := params.Read(q, arrival, "")
			require.True(t, q.Reject == "" || hit.Reject == q.Reject)
			_, err := proto.Marshal(hit.Event) // fails on texts that are no UTF-8
			require.NoError(t, err)
			for _, word := range hit.Flags {
				require.Contains(t, reason.With(reason.Flagged), word)
			}
		}
	})
}
