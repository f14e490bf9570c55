//go:build integration

package console_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

const (
	postmarkUser, postmarkPassword = "onepx", "a long random password"
	hookSecret                     = "a secret of 24 bytes...."
)

// wish is an unsubscribe as the topic, the console and the webhook tell it.
type wish struct {
	ID                             uuid.UUID
	Recipient                      uuid.UUID `json:"recipient_key"`
	Site, Cause, Campaign, Message string
	At                             time.Time
}

// mailer is the program of the site letters that sends its mail: it signs tokens, and is told who wants no more by the webhook.
type mailer struct {
	keys   string
	server *httptest.Server
	mu     sync.Mutex
	told   map[uuid.UUID]wish
	wrong  []string
}

func newMailer(t *testing.T) *mailer {
	t.Helper()
	m := &mailer{keys: mailtoken.NewKeys(), told: map[uuid.UUID]wish{}}
	m.server = httptest.NewServer(http.HandlerFunc(m.take))
	t.Cleanup(m.server.Close)
	return m
}

// address is that of the webhook: http is for hosts that are named as the machine's own.
func (m *mailer) address() string { return strings.Replace(m.server.URL, "127.0.0.1", "localhost", 1) }

func (m *mailer) take(_ http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	at, signature, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Onepx-Signature"), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(hookSecret))
	_, _ = io.WriteString(mac, at+"."+string(body))
	var request struct {
		Site         string
		Unsubscribes []wish
	}
	if err != nil || json.Unmarshal(body, &request) != nil || request.Site != "letters" || signature != hex.EncodeToString(mac.Sum(nil)) {
		m.wrong = append(m.wrong, r.Header.Get("Onepx-Signature")+" "+string(body))
	}
	for _, u := range request.Unsubscribes {
		m.told[u.ID] = u
	}
}

// byWebhook are those of whom the mailer has been told.
func (m *mailer) byWebhook() map[uuid.UUID]wish {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.told)
}

// unsubscribed are those of the topic.
func (w *world) unsubscribed() map[uuid.UUID]wish {
	w.t.Helper()
	conn, err := kafka.DialLeader(w.t.Context(), "tcp", w.broker, "onepx.unsubscribes", 0)
	require.NoError(w.t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(patience)))
	next, end, err := conn.ReadOffsets()
	require.NoError(w.t, err)
	all := map[uuid.UUID]wish{}
	for next < end {
		batch := conn.ReadBatch(1, 1<<20)
		for {
			message, err := batch.ReadMessage()
			if err != nil {
				break
			}
			next = message.Offset + 1
			var u wish
			require.NoError(w.t, json.Unmarshal(message.Value, &u))
			require.Equal(w.t, u.Recipient.String(), string(message.Key))
			all[u.ID] = u
		}
		_ = batch.Close() // its end
	}
	return all
}

// listed reads pages of one behind the cursor, to their end, and returns the cursor that follows.
func (w *world) listed(cursor string, into map[uuid.UUID]wish) string {
	w.t.Helper()
	for {
		status, body := w.call(http.MethodGet, lettersKey, "mail/unsubscribes?limit=1&cursor="+cursor, "")
		require.Equal(w.t, http.StatusOK, status, body)
		var page struct {
			Unsubscribes []wish
			Next         string
			More         bool
		}
		require.NoError(w.t, json.Unmarshal([]byte(body), &page))
		for _, u := range page.Unsubscribes {
			u.Site = "letters" // of the key
			into[u.ID] = u
		}
		if cursor = page.Next; !page.More {
			return cursor
		}
	}
}

// visit sends a request to the collector that must be answered with 200.
func (w *world) visit(method, address, contentType, body string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, address, strings.NewReader(body))
	require.NoError(w.t, err)
	request.Header.Set("Content-Type", contentType)
	if strings.HasSuffix(address, "/postmark") {
		request.SetBasicAuth(postmarkUser, postmarkPassword)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	require.NoError(w.t, response.Body.Close())
	require.Equal(w.t, http.StatusOK, response.StatusCode)
}

// testUnsubscribes has recipients end their subscriptions by the header's POST and by a provider: all three ways tell the same of them, and
// nothing of whom only a scanner has visited, or of the sender's tests.
func testUnsubscribes(t *testing.T, w *world) {
	ring, err := mailtoken.ParseRing(w.mailer.keys)
	require.NoError(t, err)
	urls, err := mailtoken.NewURLs(w.collector.URL, ring)
	require.NoError(t, err)
	link := func(recipient uuid.UUID, test bool) string {
		address, err := urls.Unsubscribe(mailtoken.Token{Site: "letters", Campaign: "autumn-26", Message: "m-1", Recipient: recipient, Sent: time.Now(), Test: test})
		require.NoError(t, err)
		return address
	}
	const form, oneClick = "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"
	anna, scanned, tester := uuid.New(), uuid.New(), uuid.New()
	w.visit(http.MethodGet, link(scanned, false), form, "")
	w.visit(http.MethodPost, link(tester, true), form, oneClick)
	begin := time.Now()
	w.visit(http.MethodPost, link(anna, false), form, oneClick)
	report := func(text string) {
		for range 2 { // providers send again what they take for lost
			w.visit(http.MethodPost, w.collector.URL+"/v1/mail/letters/postmark", "application/json", text)
		}
	}
	now := time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
	report(`{"RecordType":"SubscriptionChange","MessageID":"883953f4-6105-42a2-a16a-77a8eac79483","Recipient":"bert@example.com","ChangedAt":"` + now +
		`","SuppressSending":true,"SuppressionReason":"ManualSuppression","Origin":"Recipient","Metadata":{"onepx_campaign":"autumn-26","onepx_message":"m-2"}}`)
	report(`{"RecordType":"SpamComplaint","ID":42,"MessageID":"883953f4-6105-42a2-a16a-77a8eac79484","Email":"cleo@example.com","BouncedAt":"` + now +
		`","Metadata":{"onepx_campaign":"autumn-26","onepx_message":"m-3"}}`)

	listed, cursor := map[uuid.UUID]wish{}, ""
	w.eventually("all are told in all ways", patience, func() bool {
		cursor = w.listed(cursor, listed)
		return len(listed) >= 3 && len(w.unsubscribed()) >= 3 && len(w.mailer.byWebhook()) >= 3
	})
	require.Less(t, time.Since(begin), time.Minute)
	require.Equal(t, w.unsubscribed(), w.mailer.byWebhook())
	require.Equal(t, w.unsubscribed(), listed)
	require.Empty(t, w.mailer.wrong)
	var said []string
	for _, u := range listed {
		said = append(said, u.Site+" "+u.Campaign+" "+u.Message+" "+u.Cause)
		require.Equal(t, u.Message == "m-1", u.Recipient == anna)
	}
	require.ElementsMatch(t, []string{"letters autumn-26 m-1 unsubscribed", "letters autumn-26 m-2 unsubscribed", "letters autumn-26 m-3 complained"}, said)

	// One that a replica has got late: what was found after it waits, of whatever site it is.
	require.NoError(t, w.clickHouse.Query(t.Context(), "INSERT INTO onepx.unsubscribes (sequence, site_id, found_at, expires_at) VALUES (2, 'shop', now64(3) + toIntervalMinute(5), now() + toIntervalDay(1))", nil))
	before := map[uuid.UUID]wish{}
	w.listed("", before)
	require.Len(t, before, 1)
}
