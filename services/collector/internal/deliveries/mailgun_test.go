package deliveries_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// withMailgun knows Mailgun by the keys in NEW and OLD; UNSET is not set.
var withMailgun = siteconfig.MailProviders{MailgunSecretEnvs: []string{"UNSET", "NEW", "OLD"}}

const mailgunToken = "0c5d9ac3fbd1b4b5c6cfd4ba2c6a7e6f9e1e31f0d5b1c2a3d4"

// getenv is the environment of these tests.
func getenv(name string) string {
	return map[string]string{"NEW": "key-new", "OLD": "key-old", "OTHER": "key-other"}[name]
}

// hmacOf is a signature of Mailgun's.
func hmacOf(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// signMailgun puts a signature into the body, if it is an object.
func signMailgun(secret string, at time.Time, body []byte) []byte {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return withSignature(body, map[string]any{"timestamp": timestamp, "token": mailgunToken, "signature": hmacOf(secret, timestamp+mailgunToken)})
}

func withSignature(body []byte, signature map[string]any) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields == nil {
		return body
	}
	fields["signature"], _ = json.Marshal(signature)
	signed, _ := json.Marshal(fields)
	return signed
}

func TestWhatMailgunTells(t *testing.T) {
	alice := func(name, bounce string) []deliveries.Report {
		return []deliveries.Report{told(name, bounce, "alice@example.com", time.Date(2026, 11, 25, 10, 30, 5, 909_000_000, time.UTC))}
	}
	unnamed := alice("email_bounced", "soft")
	unnamed[0].Campaign, unnamed[0].Message = "", ""
	for name, want := range map[string][]deliveries.Report{
		"accepted":         alice("email_sent", ""),
		"delivered":        alice("email_delivered", ""),
		"failed_permanent": alice("email_bounced", "hard"),
		"failed_temporary": unnamed,
		"complained":       alice("email_complained", ""),
		"unsubscribed":     alice("email_unsubscribe", ""),
		"opened":           ignored,
		"clicked":          ignored,
		"rejected":         ignored,
	} {
		t.Run(name, func(t *testing.T) {
			body := signMailgun("key-new", now, file(t, deliveries.Mailgun, name))
			requireTold(t, reader(), deliveries.Mailgun, withMailgun, nil, body, want)
		})
	}
}

// TestMailgunsSignature has a signature that was made with openssl:
//
//	printf %s 1795608000TOKEN | openssl dgst -sha256 -hmac key-new
func TestMailgunsSignature(t *testing.T) {
	body := withSignature(file(t, deliveries.Mailgun, "delivered"), map[string]any{
		"timestamp": "1795608000", "token": mailgunToken, "signature": "85db81efe0db371bed61595b07b6ec44081a5cbfea5ec0854edf53e923c12232",
	})
	reports, word := read(reader(), deliveries.Mailgun, withMailgun, nil, body)
	require.Empty(t, word)
	require.Equal(t, "email_delivered", reports[0].Name)
}

func TestMailgunIsKnownByItsSignature(t *testing.T) {
	plain := file(t, deliveries.Mailgun, "delivered")
	const seconds = "1795608000"
	signature := func(change map[string]any) []byte {
		all := map[string]any{"timestamp": seconds, "token": mailgunToken, "signature": hmacOf("key-new", seconds+mailgunToken)}
		for name, value := range change {
			all[name] = value
		}
		return withSignature(plain, all)
	}
	for name, test := range map[string]struct {
		from siteconfig.MailProviders
		body []byte
		want reason.Reason
	}{
		"the key":                  {withMailgun, signature(nil), ""},
		"the time as a number":     {withMailgun, signature(map[string]any{"timestamp": 1795608000}), ""},
		"the key before":           {withMailgun, signature(map[string]any{"signature": hmacOf("key-old", seconds+mailgunToken)}), ""},
		"a primary account's":      {withMailgun, signature(map[string]any{"signature": "x", "parent-signature": hmacOf("key-new", seconds+mailgunToken)}), ""},
		"another key":              {withMailgun, signature(map[string]any{"signature": hmacOf("key-other", seconds+mailgunToken)}), reason.DeliveryUnproven},
		"no key":                   {withMailgun, signature(map[string]any{"signature": hmacOf("", seconds+mailgunToken)}), reason.DeliveryUnproven},
		"another site's key":       {siteconfig.MailProviders{MailgunSecretEnvs: []string{"OTHER"}}, signature(nil), reason.DeliveryUnproven},
		"a site without webhook":   {siteconfig.MailProviders{}, signature(nil), reason.DeliveryUnproven},
		"another token":            {withMailgun, signature(map[string]any{"token": "x"}), reason.DeliveryUnproven},
		"another time":             {withMailgun, signature(map[string]any{"timestamp": "1795608001"}), reason.DeliveryUnproven},
		"no time":                  {withMailgun, signature(map[string]any{"timestamp": nil}), reason.DeliveryUnproven},
		"digits moved":             {withMailgun, signature(map[string]any{"timestamp": seconds + mailgunToken[:1], "token": mailgunToken[1:]}), reason.DeliveryUnproven},
		"an old signature":         {withMailgun, signMailgun("key-new", now.Add(-26*time.Hour), plain), reason.DeliveryUnproven},
		"one of the future":        {withMailgun, signMailgun("key-new", now.Add(6*time.Minute), plain), reason.DeliveryUnproven},
		"no signature":             {withMailgun, []byte(`{}`), reason.DeliveryUnproven},
		"a signature that is none": {withMailgun, []byte(`{"signature":7}`), reason.DeliveryInvalid},
		"no JSON":                  {withMailgun, []byte(`{`), reason.JSONInvalid},
		"no event":                 {withMailgun, signMailgun("key-new", now, []byte(`{}`)), reason.DeliveryInvalid},
		"no recipient":             {withMailgun, signMailgun("key-new", now, []byte(`{"event-data":{"event":"delivered","id":"a"}}`)), reason.DeliveryInvalid},
	} {
		_, word := read(reader(), deliveries.Mailgun, test.from, nil, test.body)
		require.Equal(t, test.want, word, name)
	}
}

func TestNoOtherEventIsPutIntoAWebhookOfMailgun(t *testing.T) {
	r := reader()
	body := signMailgun("key-new", now, file(t, deliveries.Mailgun, "delivered"))
	for range 2 { // Mailgun sends again what was not answered
		_, word := read(r, deliveries.Mailgun, withMailgun, nil, body)
		require.Empty(t, word)
	}
	forged := signMailgun("key-new", now, []byte(`{"event-data":{"event":"unsubscribed","id":"forged","recipient":"alice@example.com"}}`))
	_, word := read(r, deliveries.Mailgun, withMailgun, nil, forged)
	require.Equal(t, reason.DeliveryUnproven, word)
}

func TestSecretsThatAreNotSetAreNamed(t *testing.T) {
	sites := &siteconfig.Config{Sites: []siteconfig.Site{{ID: "shop", MailProviders: withMailgun}, {ID: "blog"}}}
	require.EqualError(t, deliveries.CheckSecrets(sites, getenv), "site shop: mail_providers.mailgun_secret_envs names UNSET, which is not set in the environment")
	require.NoError(t, deliveries.CheckSecrets(sites, func(string) string { return "x" }))
}

func FuzzMailgun(f *testing.F) {
	fuzz(f, reader(), deliveries.Mailgun, withMailgun, func(body []byte) (http.Header, []byte) {
		timestamp, token := strconv.FormatInt(now.Unix(), 10), hmacOf("token", string(body)) // each has its own, as a token is for one event
		return nil, withSignature(body, map[string]any{"timestamp": timestamp, "token": token, "signature": hmacOf("key-new", timestamp+token)})
	})
}
