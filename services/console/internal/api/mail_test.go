package api_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/console/internal/api"
	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/userkey"
)

// mailKeys are those of the world's console.
var mailKeys = "k1:" + base64.StdEncoding.EncodeToString([]byte(secret))

type rewritten struct {
	Links   []struct{ ID, Target, Left string }
	Results []struct{ Text, Base64 string }
}

func object(t *testing.T, fields map[string]any) string {
	t.Helper()
	body, err := json.Marshal(fields)
	require.NoError(t, err)
	return string(body)
}

func TestAMailingIsRewrittenForEachRecipient(t *testing.T) {
	w := newWorld(t)
	const html = `<p>Hi {{name}}</p><a href="https://shop.example/?a=1&amp;b=2">x</a><a href="https://other.example/">y</a>`
	answer := w.post(shopKey, "/v1/mail/rewrite", object(t, map[string]any{
		"html": html, "campaign": "autumn-26", "utm": map[string]string{"source": "news", "utm_medium": "email"}, "leave": []string{"other.example"}, "sent": "2026-11-26T12:00:00Z",
		"recipients": []map[string]any{
			{"to": "Anna@example.com", "message": "m-1", "data": map[string]string{"name": "Anna <3"}},
			{"recipient": "6aafad4d-f46a-ab94-eb95-05b35448c9fb", "mode": "aggregate", "test": true, "data": map[string]string{"name": "B"}},
			{"mode": "none", "data": map[string]string{"name": "C"}},
		},
	}))
	var got rewritten
	answer.into(t, &got)
	require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
	require.Len(t, got.Results, 3)
	require.Equal(t, strings.Replace(html, "{{name}}", "C", 1), got.Results[2].Text)
	require.Equal(t, "listed", got.Links[1].Left)
	require.Equal(t, "https://shop.example/?a=1&b=2&utm_source=news&utm_medium=email", got.Links[0].Target)
	require.Contains(t, got.Results[0].Text, "Hi Anna &lt;3")
	require.NotContains(t, answer.body, "example.com")

	ring, err := mailtoken.ParseRing(mailKeys)
	require.NoError(t, err)
	open := func(text string) mailtoken.Token {
		_, after, _ := strings.Cut(text, "https://px.shop.example/o/")
		token, _, _ := strings.Cut(after, ".gif")
		said, err := ring.Verify(mailtoken.Open, token, "", now)
		require.NoError(t, err)
		return said
	}
	key := [16]byte(userkey.New(secret).Recipient("shop", "anna@example.com"))
	require.Equal(t, mailtoken.Token{Kind: mailtoken.Open, Site: "shop", Campaign: "autumn-26", Message: "m-1", Recipient: key, Sent: now}, open(got.Results[0].Text))
	require.Equal(t, mailtoken.Token{Kind: mailtoken.Open, Mode: mailtoken.Aggregate, Test: true, Site: "shop", Campaign: "autumn-26", Sent: now}, open(got.Results[1].Text))
	require.Empty(t, w.asked)
	require.Empty(t, w.log.String())
}

func TestAMessageInAnotherCharsetComesAndGoesInBase64(t *testing.T) {
	w := newWorld(t)
	message := "Subject: x\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<a href=\"https://shop.example/\">\xe9</a>"
	var got rewritten
	w.post(shopKey, "/v1/mail/rewrite", object(t, map[string]any{"base64": []byte(message), "recipients": []map[string]any{{"to": "anna@example.com"}}})).into(t, &got)
	out, err := base64.StdEncoding.DecodeString(got.Results[0].Base64)
	require.NoError(t, err)
	require.Contains(t, string(out), "\">\xe9</a><img src=\"https://px.shop.example/o/")
	require.Contains(t, string(out), "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n")
	got = rewritten{}
	w.post(shopKey, "/v1/mail/rewrite", object(t, map[string]any{"text": "Subject: x\r\n\r\nhttps://shop.example/", "recipients": []map[string]any{{"to": "anna@example.com"}}})).into(t, &got)
	require.Contains(t, got.Results[0].Text, "https://px.shop.example/c/")
}

func TestMailingsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	anna := []map[string]any{{"to": "anna@example.com"}}
	for name, test := range map[string]struct {
		body map[string]any
		want string
	}{
		"no message":         {map[string]any{"recipients": anna}, "body give one of html, text and base64"},
		"two messages":       {map[string]any{"html": "x", "text": "y", "recipients": anna}, "body give one of html, text and base64"},
		"no recipients":      {map[string]any{"html": "x", "recipients": anna[:0]}, "body.recipients"},
		"signed":             {map[string]any{"text": "DKIM-Signature: x\r\n\r\n", "recipients": anna}, "body signed or encrypted message"},
		"no header":          {map[string]any{"text": "Hi secret", "recipients": anna}, "body malformed message"},
		"a mode of its own":  {map[string]any{"html": "x", "mode": "half", "recipients": anna}, "body.mode"},
		"a recipient twice":  {map[string]any{"html": "x", "recipients": []map[string]any{{"to": "a@b.example", "recipient": visitor(1)}}}, "body.recipients[0] recipient: give an address or a key, not both"},
		"an id that is none": {map[string]any{"html": "x", "recipients": []map[string]any{{"recipient": "secret"}}}, "body.recipients[0] recipient: the key is no UUID"},
		"too much together":  {map[string]any{"html": strings.Repeat("x", 1<<20), "recipients": make([]map[string]any, 100)}, "send fewer recipients at once"},
		"mistakes, each once": {
			map[string]any{"html": "{{name}}", "recipients": []map[string]any{{"to": "secret"}, {}, {"to": "a@b.example", "data": map[string]string{"x": ""}}, {"to": "secret"}, {"to": "secret"}}},
			"body.recipients[0] recipient: the address is none; so it is with 2 more; body.recipients[1] recipient: mode full needs an address or a key; body.recipients[2] merge field name: the recipient has no value for it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if list, ok := test.body["recipients"].([]map[string]any); ok {
				for i := range list {
					if list[i] == nil {
						list[i] = anna[0]
					}
				}
			}
			answer := w.post(shopKey, "/v1/mail/rewrite", object(t, test.body))
			require.Equal(t, http.StatusUnprocessableEntity, answer.status, answer.body)
			require.Contains(t, answer.problem(t), test.want)
			require.NotContains(t, answer.body, "secret")
		})
	}
	large := w.post(shopKey, "/v1/mail/rewrite", `{"html":"`+strings.Repeat("x", 49<<20)+`"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, large.status)
	require.Equal(t, http.StatusUnauthorized, w.post("", "/v1/mail/rewrite", "{}").status)
	require.Equal(t, http.StatusForbidden, w.post(adsKey, "/v1/mail/rewrite", "{}").status)
}

func TestAConsoleWithoutKeysSignsNoMail(t *testing.T) {
	w := newWorld(t, func(d *api.Deps) { d.Mail = nil })
	answer := w.post(shopKey, "/v1/mail/rewrite", `{"html":"x","recipients":[{"to":"anna@example.com"}]}`)
	require.Equal(t, http.StatusNotImplemented, answer.status)
	require.Contains(t, answer.problem(t), "ONEPX_MAIL_KEYS")
}

func TestBodiesAreReadInTheirTurn(t *testing.T) {
	w := newWorld(t)
	rewrite := func(key string, body io.Reader) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodPost, "/v1/mail/rewrite", body)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+key)
		recorder := httptest.NewRecorder()
		w.server.Handler().ServeHTTP(recorder, request)
		return recorder
	}
	codes := make(chan int, 2)
	var senders []*io.PipeWriter
	for _, key := range []string{shopKey, blogKey} {
		body, sender := io.Pipe()
		go func() { codes <- rewrite(key, body).Code }()
		_, err := io.WriteString(sender, "{") // returns when it is read
		require.NoError(t, err)
		senders = append(senders, sender)
		refused := rewrite(key, iotest.ErrReader(errors.New("nobody reads this, also while another site could be served")))
		require.Equal(t, http.StatusServiceUnavailable, refused.Code)
	}
	refused := rewrite(shopKey, iotest.ErrReader(errors.New("nobody reads this")))
	require.Equal(t, http.StatusServiceUnavailable, refused.Code)
	require.Equal(t, "1", refused.Header().Get("Retry-After"))
	for _, sender := range senders {
		_, err := io.WriteString(sender, `"html":"x","recipients":[{"to":"anna@example.com"}]}`)
		require.NoError(t, err)
		require.NoError(t, sender.Close())
	}
	require.Equal(t, []int{http.StatusOK, http.StatusOK}, []int{<-codes, <-codes})
	require.Equal(t, http.StatusOK, rewrite(shopKey, strings.NewReader(`{"html":"x","recipients":[{"to":"anna@example.com"}]}`)).Code)
}

func TestMergeDataCannotMakeAnAnswerOfAnySize(t *testing.T) {
	w := newWorld(t)
	recipients := make([]map[string]any, 200)
	for i := range recipients {
		recipients[i] = map[string]any{"mode": "none", "data": map[string]string{"x": strings.Repeat("x", 10_000)}}
	}
	answer := w.post(shopKey, "/v1/mail/rewrite", object(t, map[string]any{"html": strings.Repeat("{{x}}", 100), "recipients": recipients}))
	require.Equal(t, http.StatusUnprocessableEntity, answer.status)
	require.Contains(t, answer.problem(t), "send fewer recipients at once")
}

func TestLinksAreListedAsTheModeOfTheMailingLeavesThem(t *testing.T) {
	w := newWorld(t)
	for mode, left := range map[string]string{"full": "", "aggregate": "personal"} {
		var got rewritten
		w.post(shopKey, "/v1/mail/rewrite", object(t, map[string]any{
			"html": `<a href="https://shop.example/?id={{id}}">x</a>`, "mode": mode, "recipients": []map[string]any{{"to": "Anna <anna@example.com>", "data": map[string]string{"id": "1"}}},
		})).into(t, &got)
		require.Equal(t, left, got.Links[0].Left)
		require.Equal(t, mode == "full", strings.Contains(got.Results[0].Text, "https://px.shop.example/c/"))
	}
}

func TestAMessageForNobodyIsRefused(t *testing.T) {
	w := newWorld(t)
	answer := w.post(shopKey, "/v1/mail/rewrite", object(t, map[string]any{"text": "Subject: x\r\n\r\nx", "recipients": []map[string]any{{"mode": "none"}}}))
	require.Equal(t, http.StatusUnprocessableEntity, answer.status)
	require.Contains(t, answer.problem(t), "body.recipients[0] the unsubscribe link needs a recipient, in every mode")
}
