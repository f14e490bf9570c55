package deliveries_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the clock of these tests.
var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// ignored is the report of what is not taken over.
var ignored = []deliveries.Report{{Reason: reason.DeliveryIgnored}}

// told is the report of the message m-1 of the campaign autumn-26.
func told(name, bounce, recipient string, at time.Time) deliveries.Report {
	return deliveries.Report{Name: name, Bounce: bounce, At: at, Recipient: recipient, Campaign: "autumn-26", Message: "m-1"}
}

// reader is one whose clock stands still.
func reader() *deliveries.Reader { return deliveries.New(config()) }

func config() deliveries.Config {
	return deliveries.Config{Getenv: getenv, Now: func() time.Time { return now }}
}

// file is the body of a webhook, of the shape that the provider's documentation shows.
func file(t testing.TB, provider deliveries.Provider, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", string(provider), name+".json"))
	require.NoError(t, err)
	return body
}

// post is the request of a webhook, of which only the header matters.
func post(header http.Header) *http.Request {
	request := httptest.NewRequest(http.MethodPost, "/", nil)
	if header != nil {
		request.Header = header
	}
	return request
}

// read reads a webhook.
func read(r *deliveries.Reader, provider deliveries.Provider, from siteconfig.MailProviders, header http.Header, body []byte) ([]deliveries.Report, reason.Reason) {
	return r.Read(context.Background(), provider, &from, post(header), body)
}

// withoutID returns the reports without their ids, which must be there, of the provider, and each another one.
func withoutID(t *testing.T, provider deliveries.Provider, reports []deliveries.Report) []deliveries.Report {
	t.Helper()
	seen := map[string]bool{}
	for i := range reports {
		if reports[i].Reason != "" {
			continue
		}
		require.Regexp(t, "^"+string(provider)+":[0-9a-f]{32}$", reports[i].ID)
		require.False(t, seen[reports[i].ID])
		seen[reports[i].ID] = true
		reports[i].ID = ""
	}
	return reports
}

// requireTold reads the body a second time: what is told again has the same ids.
func requireTold(t *testing.T, r *deliveries.Reader, provider deliveries.Provider, from siteconfig.MailProviders, header http.Header, body []byte, want []deliveries.Report) {
	t.Helper()
	first, word := read(r, provider, from, header, body)
	require.Empty(t, word)
	second, word := read(r, provider, from, header, body)
	require.Empty(t, word)
	require.Equal(t, first, second)
	require.Equal(t, want, withoutID(t, provider, first))
}

// fuzz reads any body with the credentials that sign makes for it: no body makes a reader panic, and no event that is told lacks an id, a
// known name or a recipient.
func fuzz(f *testing.F, r *deliveries.Reader, provider deliveries.Provider, from siteconfig.MailProviders, sign func(body []byte) (http.Header, []byte)) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", string(provider), "*.json"))
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, path := range files {
		body, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(body)
	}
	names := map[string]bool{"email_sent": true, "email_delivered": true, "email_bounced": true, "email_complained": true, "email_unsubscribe": true}
	f.Fuzz(func(t *testing.T, body []byte) {
		header, signed := sign(bytes.Clone(body))
		reports, word := read(r, provider, from, header, signed)
		require.False(t, word != "" && reports != nil)
		for _, report := range reports {
			if report.Reason != "" {
				require.Equal(t, deliveries.Report{Reason: report.Reason}, report)
				continue
			}
			require.NotEmpty(t, report.ID)
			require.NotEmpty(t, report.Recipient)
			require.True(t, names[report.Name], report.Name)
			require.Equal(t, report.Name == "email_bounced", report.Bounce != "")
		}
	})
}
