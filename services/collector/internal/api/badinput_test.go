package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

// TestBadInput is what goes wrong most in the field, each with what becomes of it.
func TestBadInput(t *testing.T) {
	for _, test := range []struct {
		name, method, target string
		headers              []string
		answer               string
		stored               func(*testing.T, *onepxv1.Event)
	}{
		{"unknown site", "GET", "/p.gif?site=nowhere", nil, "rejected; reason=site_unknown", nil},
		{"17 KiB URL", "GET", "/p.gif?site=shop&t=" + strings.Repeat("a", 17<<10), nil, "rejected; reason=url_too_long", nil},
		{"8 KiB URL", "GET", "/p.gif?site=shop&u=https%3A%2F%2Fa.b%2F" + strings.Repeat("a", 8000), nil, "stored", func(t *testing.T, ev *onepxv1.Event) {
			require.Empty(t, ev.GetFlags())
		}},
		{"duplicate keys", "GET", "/p.gif?site=shop&e=first&e=second", nil, "stored", func(t *testing.T, ev *onepxv1.Event) {
			require.Equal(t, "first", ev.GetName())
			require.Equal(t, []string{"duplicate_parameter"}, ev.GetFlags())
		}},
		{"&amp;", "GET", "/p.gif?site=shop&amp;e=signup", nil, "stored", func(t *testing.T, ev *onepxv1.Event) {
			require.Equal(t, "signup", ev.GetName())
			require.Equal(t, []string{"escaped_ampersand"}, ev.GetFlags())
		}},
		{"invalid UTF-8", "GET", "/p.gif?site=shop&t=caf%E9", nil, "stored", func(t *testing.T, ev *onepxv1.Event) {
			require.Equal(t, "caf\uFFFD", ev.GetPage().GetTitle())
			require.Equal(t, []string{"invalid_utf8"}, ev.GetFlags())
		}},
		{"future clock", "GET", "/p.gif?site=shop&ts=2030-01-01T00:00:00Z", nil, "stored", func(t *testing.T, ev *onepxv1.Event) {
			require.Equal(t, arrival.Add(5*time.Minute).UnixMilli(), ev.GetOccurredAtMs())
			require.Equal(t, []string{"time_clamped"}, ev.GetFlags())
		}},
		{"ancient clock", "GET", "/p.gif?site=shop&ts=42", nil, "stored", func(t *testing.T, ev *onepxv1.Event) {
			require.Equal(t, arrival.AddDate(0, 0, -7).UnixMilli(), ev.GetOccurredAtMs())
			require.Equal(t, []string{"time_clamped"}, ev.GetFlags())
		}},
		{"spoofed X-Forwarded-For", "GET", "/p.gif?site=shop", []string{"X-Forwarded-For", "1.1.1.1, 81.2.69.160"}, "stored", func(t *testing.T, ev *onepxv1.Event) {
			require.Equal(t, "81.2.69.0", ev.GetClient().GetIpPrefix())
			require.Empty(t, ev.GetFlags())
		}},
		{"HEAD", "HEAD", "/p.gif?site=shop", nil, "ignored; reason=head_request", nil},
		{"prefetch", "GET", "/p.gif?site=shop", []string{"Sec-Purpose", "prefetch"}, "stored", func(t *testing.T, ev *onepxv1.Event) {
			require.True(t, ev.GetTransport().GetPrefetch())
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			got := e.do(test.method, test.target, test.headers...)
			require.Equal(t, test.answer, got.onepx())
			if test.method != http.MethodHead {
				require.Len(t, got.body, 43)
			}
			if test.stored == nil {
				require.Empty(t, e.publisher.events)
				return
			}
			test.stored(t, e.stored())
		})
	}
}
