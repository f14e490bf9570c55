package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// johnsKey is that of john@example.com on the site shop.
var johnsKey = identity.New("0123456789abcdef0123456789abcdef").RecipientKey("shop", "john@example.com")

// webhook is the body of one, of the shape that the provider's documentation shows.
func webhook(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile("../deliveries/testdata/" + name + ".json")
	require.NoError(t, err)
	return string(body)
}

func TestAWebhookIsAnEventOfTheMail(t *testing.T) {
	e := start(t)
	for range 2 {
		got := e.post("/v1/mail/shop/postmark", webhook(t, "postmark/bounce_hard"), ofPostmark...)
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.Equal(t, "stored", got.told(t).Results[0].Result)
		require.NotContains(t, string(got.body), "john")
	}
	require.Equal(t, e.publisher.events[0].GetEventId(), e.publisher.events[1].GetEventId(), "a repeat counts once")
	event := e.publisher.events[0]
	require.Equal(t, onepxv1.IdOrigin_ID_ORIGIN_CLIENT, event.GetEventIdOrigin())
	require.Equal(t, onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY, event.GetKind())
	require.Equal(t, "email_bounced", event.GetName())
	require.Equal(t, "postmark", event.GetTransport().GetDialect())
	require.Equal(t, []any{"autumn-26", "m-1", johnsKey}, []any{event.GetMail().GetCampaignId(), event.GetMail().GetMessageId(), event.GetMail().GetRecipientKey()})
	require.Equal(t, map[string]string{"bounce": "hard"}, event.GetProps())
	require.EqualValues(t, arrival.UnixMilli()-1_909_727, event.GetOccurredAtMs(), "the time is the provider's")
	require.Empty(t, event.GetFlags())
	require.NotContains(t, event.String(), "john")
}

// notification is one of Amazon SNS that asks for a certificate.
const notification = `{"Type":"Notification","TopicArn":"arn:aws:sns:us-east-1:123456789012:mail","Timestamp":"2026-11-25T12:00:00Z","SignatureVersion":"1",` +
	`"SigningCertURL":"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem"}`

// unreachable is an internet in which nobody answers.
type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no such host")
}

func TestAnUnknownSiteIsAnsweredAsAWrongSignature(t *testing.T) {
	e := on(t, `
sites:
  - id: shop
    timezone: UTC
    currency: EUR
    mail_providers:
      ses_topics: ["arn:aws:sns:us-east-1:123456789012:mail"]
      sendgrid_public_keys: [MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==]
      mailgun_secret_envs: [X]
      postmark_credentials: ["sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"]
  - {id: blog, timezone: UTC, currency: EUR}
`)
	forged := strings.Replace(notification, "SimpleNotificationService", "x", 1)
	for _, provider := range deliveries.Providers {
		for _, body := range []string{"", "{", "{}", "[]", forged, webhook(t, "postmark/delivery"), webhook(t, "mailgun/delivered"), webhook(t, "sendgrid/batch")} {
			want := e.post("/v1/mail/shop/"+string(provider), body, ofPostmark...)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusBadRequest}, want.StatusCode)
			require.Equal(t, want.StatusCode == http.StatusUnauthorized, want.Header.Get("WWW-Authenticate") == `Basic realm="onepx"`)
			for _, site := range []string{"nowhere", "blog", "%20"} {
				got := e.post("/v1/mail/"+site+"/"+string(provider), body, ofPostmark...)
				want.Header.Set("Date", got.Header.Get("Date"))
				require.Equal(t, want.Header, got.Header, "%s %s", site, provider)
				require.Equal(t, want.StatusCode, got.StatusCode)
				require.Equal(t, string(want.body), string(got.body))
			}
		}
	}
	require.Empty(t, e.publisher.events)
}

func TestWhatOfAWebhookIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, target, body string
		status             int
		reason             reason.Reason
	}{
		{"no JSON", "/v1/mail/shop/postmark", "{", 400, reason.JSONInvalid},
		{"another form", "/v1/mail/shop/postmark", "{}", 400, reason.DeliveryInvalid},
		{"too large", "/v1/mail/shop/postmark", strings.Repeat(" ", 1<<20+1), 413, reason.BodyTooLarge},
		{"an unknown provider", "/v1/mail/shop/sparkpost", "{}", 404, reason.WrongPath},
		{"no provider", "/v1/mail/shop", "{}", 404, reason.WrongPath},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			got := e.post(test.target, test.body, ofPostmark...)
			require.Equal(t, test.status, got.StatusCode)
			require.Equal(t, "rejected; reason="+string(test.reason), got.onepx())
			require.Empty(t, e.publisher.events)
		})
	}
}

func TestAWebhookIsSentAgainWhereItCouldNotBeStored(t *testing.T) {
	e := start(t)
	e.publisher.answer = reason.KafkaUnavailable
	got := e.post("/v1/mail/shop/postmark", webhook(t, "postmark/delivery"), ofPostmark...)
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.NotEmpty(t, got.Header.Get("Retry-After"))
}

func TestAWebhookOfWhoHasWithdrawn(t *testing.T) {
	e := start(t)
	e.suppressions.kind, e.suppressions.id = suppression.Recipient, johnsKey
	got := e.post("/v1/mail/shop/postmark", webhook(t, "postmark/delivery"), ofPostmark...)
	require.Equal(t, http.StatusOK, got.StatusCode, "sending it again would change nothing")
	require.Equal(t, "suppressed; reason=suppression_list", got.onepx())
	require.Empty(t, e.publisher.events)
	require.Equal(t, "stored", e.post("/v1/mail/shop/postmark", webhook(t, "postmark/unsubscribe"), ofPostmark...).onepx(), "but may want no more mail")
}

func TestABadEventOfABatchCostsItselfOnly(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	e := on(t, `sites: [{id: shop, timezone: UTC, currency: EUR, rate_limit: 1, allowed_origins: ["https://shop.example"], mail_providers: {sendgrid_public_keys: [`+base64.StdEncoding.EncodeToString(public)+`]}}]`)
	one := `{"event":"delivered","email":"john@example.com","sg_event_id":"a","timestamp":1795600000}`
	body := `[` + one + `,{"event":"delivered"},{"event":"open"},{"event":"delivered","email":"nobody","sg_event_id":"b","timestamp":"1e9"}` + strings.Repeat(","+one, 4996) + `]`
	post := func(body string) answer {
		digest := sha256.Sum256([]byte("1795608000" + body))
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		require.NoError(t, err)
		return e.post("/v1/mail/shop/sendgrid", body, "X-Twilio-Email-Event-Webhook-Timestamp", "1795608000", "X-Twilio-Email-Event-Webhook-Signature", base64.StdEncoding.EncodeToString(signature))
	}
	got := post(body)
	require.Equal(t, http.StatusOK, got.StatusCode, "sending it again would mend nothing")
	require.Equal(t, "rejected; reason=delivery_invalid", got.onepx())
	results := got.told(t).Results
	require.Equal(t, []string{"stored", "rejected", "ignored", "stored"}, []string{results[0].Result, results[1].Result, results[2].Result, results[3].Result})
	require.Len(t, e.publisher.events, 4998, "of 5000 that are taken at once")
	require.Equal(t, johnsKey, e.publisher.events[0].GetMail().GetRecipientKey())
	require.Equal(t, []string{"time_clamped", "recipient_invalid"}, e.publisher.events[1].GetFlags())
	require.Empty(t, e.publisher.events[1].GetMail().GetRecipientKey())
	again := post("[" + one + "," + one + "," + one + "]")
	require.Equal(t, http.StatusTooManyRequests, again.StatusCode, "the provider sends it again")
	require.Equal(t, "rejected; reason=rate_limited", again.onepx())
	require.Equal(t, "1", again.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, post(`[{"event":"open"}]`).StatusCode, "what is not stored takes nothing")
	require.Equal(t, "stored", e.post("/e", `{"site":"shop"}`, "Origin", "https://shop.example").onepx(), "a mailing takes nothing from page views")
	require.Len(t, e.publisher.events, 4999)
}

func TestASignatureInTheBody(t *testing.T) {
	e := on(t, `sites: [{id: shop, timezone: UTC, currency: EUR, mail_providers: {mailgun_secret_envs: [X]}}]`)
	mac := hmac.New(sha256.New, []byte("mailgun-key"))
	mac.Write([]byte("1795607990token"))
	body := strings.NewReplacer("replaced by the test", hex.EncodeToString(mac.Sum(nil)), `"token": "0c5d9ac3fbd1b4b5c6cfd4ba2c6a7e6f9e1e31f0d5b1c2a3d4"`, `"token": "token"`).Replace(webhook(t, "mailgun/failed_permanent"))
	require.Equal(t, http.StatusUnauthorized, e.post("/v1/mail/nowhere/mailgun", body).StatusCode)
	require.Equal(t, "stored", e.post("/v1/mail/shop/mailgun", body).onepx())
	require.Equal(t, http.StatusUnauthorized, e.post("/v1/mail/shop/mailgun", strings.Replace(body, "Ase7i2zsRYeDXztHGENqRA", "another", 1)).StatusCode, "a token is for one event")
	event := e.stored()
	require.Equal(t, []any{"email_bounced", "mailgun", "autumn-26", "m-1"}, []any{event.GetName(), event.GetTransport().GetDialect(), event.GetMail().GetCampaignId(), event.GetMail().GetMessageId()})
	require.NotContains(t, event.String(), "alice")
}
