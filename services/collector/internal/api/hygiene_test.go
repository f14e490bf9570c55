package api_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/onepx/onepx/services/shared/reason"
)

// TestNoAddressIsStored sends one wherever free text is taken, in every way in, and looks for it in the bytes for Kafka.
func TestNoAddressIsStored(t *testing.T) {
	const fields = `{"site":"shop","e":"hello ann@shop.com","u":"https://shop.example/ann%40shop.com?x=ann%2540shop.com",` +
		`"r":"https://ann@shop.com@shop.example/?ann@shop.com","t":"ann@shop.com","utm_term":"ann@shop.com",` +
		`"uid":"ann@shop.com","v":"ann@shop.com","id":"ann@shop.com","ann@shop.com":"ann@shop.com",` +
		`"items":[{"id":"1","category":"ann@shop.com"}],"props":{"a":{"b":["ann\u0040shop.com"]},"call":"\u002b49 170 1234567"}}`
	for _, test := range []struct {
		name string
		send func(*edge) answer
	}{
		{"as an image", func(e *edge) answer {
			return e.get("/p.gif?site=shop&e=ann%40shop.com&t=ann@shop.com&x=ann%2540shop.com&ann%40shop.com=1&call=%2B49+170+1234567", "Referer", "https://a.b/ann@shop.com?utm_source=ann@shop.com")
		}},
		{"as a beacon", func(e *edge) answer { return e.post("/e", fields) }},
		{"from a server", func(e *edge) answer { return e.post("/v1/events", fields, withKey...) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			test.send(e)
			require.Len(t, e.publisher.events, 1)
			stored, err := proto.Marshal(e.publisher.events[0])
			require.NoError(t, err)
			require.False(t, bytes.Contains(stored, []byte("ann")), "%q", stored)
			require.Contains(t, e.publisher.events[0].Flags, string(reason.EmailMasked))
			require.Equal(t, "[phone]", e.publisher.events[0].Props["call"])
			require.Contains(t, e.publisher.events[0].Flags, string(reason.PhoneMasked))
			require.Equal(t, 1, e.counters()[`onepx_collector_flags_total{flag="email_masked"}`])
		})
	}
}
