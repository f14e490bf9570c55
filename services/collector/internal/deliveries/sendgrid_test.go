package deliveries_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

var (
	sendGridKey  = newECDSA()
	withSendGrid = siteconfig.MailProviders{SendGridKeys: []*ecdsa.PublicKey{&newECDSA().PublicKey, &sendGridKey.PublicKey}}
)

func newECDSA() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// signSendGrid is the header of a webhook that the key signs at a time.
func signSendGrid(key *ecdsa.PrivateKey, at time.Time, body []byte) http.Header {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	digest := sha256.Sum256(append([]byte(timestamp), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		panic(err)
	}
	return ofSendGrid(timestamp, base64.StdEncoding.EncodeToString(signature))
}

func ofSendGrid(timestamp, signature string) http.Header {
	return http.Header{"X-Twilio-Email-Event-Webhook-Timestamp": {timestamp}, "X-Twilio-Email-Event-Webhook-Signature": {signature}}
}

func TestWhatSendGridTells(t *testing.T) {
	at := time.Date(2026, 11, 25, 10, 30, 0, 0, time.UTC)
	const john = "john@example.com"
	complaint := told("email_complained", "", john, at)
	complaint.Campaign, complaint.Message = "", "12"
	want := []deliveries.Report{
		told("email_sent", "", john, at),
		ignored[0], // deferred
		told("email_delivered", "", john, at.Add(5*time.Second)),
		ignored[0], // open
		ignored[0], // click
		told("email_bounced", "hard", john, at),
		told("email_bounced", "soft", john, at),
		ignored[0], // dropped
		complaint,
		told("email_unsubscribe", "", john, at),
		told("email_unsubscribe", "", john, at),
		ignored[0], // group_resubscribe
	}
	body := file(t, deliveries.SendGrid, "batch")
	requireTold(t, reader(), deliveries.SendGrid, withSendGrid, signSendGrid(sendGridKey, now, body), body, want)
}

// TestTheVectorOfSendGrid has key, signature and body of the tests of SendGrid's own library
// (github.com/sendgrid/sendgrid-go, helpers/eventwebhook).
func TestTheVectorOfSendGrid(t *testing.T) {
	const (
		publicKey = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
		signature = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
		timestamp = "1600112502"
		body      = `[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",` +
			`"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]` + "\r\n"
	)
	der, err := base64.StdEncoding.DecodeString(publicKey)
	require.NoError(t, err)
	parsed, err := x509.ParsePKIXPublicKey(der)
	require.NoError(t, err)
	key, _ := parsed.(*ecdsa.PublicKey)
	from := siteconfig.MailProviders{SendGridKeys: []*ecdsa.PublicKey{key}}
	at := func(when time.Time) *deliveries.Reader {
		cfg := config()
		cfg.Now = func() time.Time { return when }
		return deliveries.New(cfg)
	}
	sent := time.Unix(1600112502, 0)
	reports, word := read(at(sent), deliveries.SendGrid, from, ofSendGrid(timestamp, signature), []byte(body))
	require.Empty(t, word)
	require.Equal(t, ignored, reports)
	for name, when := range map[string]time.Time{"a day later it is old": sent.Add(25*time.Hour + time.Second), "it is not of the future": sent.Add(-5*time.Minute - time.Second)} {
		_, word = read(at(when), deliveries.SendGrid, from, ofSendGrid(timestamp, signature), []byte(body))
		require.Equal(t, reason.DeliveryUnproven, word, name)
	}
}

func TestSendGridIsKnownByItsSignature(t *testing.T) {
	body := file(t, deliveries.SendGrid, "batch")
	good := signSendGrid(sendGridKey, now, body)
	changed := func(change func(http.Header)) http.Header {
		header := good.Clone()
		change(header)
		return header
	}
	for name, test := range map[string]struct {
		from   siteconfig.MailProviders
		header http.Header
		body   string
	}{
		"another body":           {withSendGrid, good, string(body) + " "},
		"another key":            {withSendGrid, signSendGrid(newECDSA(), now, body), string(body)},
		"another site's key":     {siteconfig.MailProviders{SendGridKeys: []*ecdsa.PublicKey{&newECDSA().PublicKey}}, good, string(body)},
		"a site without webhook": {siteconfig.MailProviders{}, good, string(body)},
		"another time":           {withSendGrid, changed(func(h http.Header) { h.Set("X-Twilio-Email-Event-Webhook-Timestamp", "1795608001") }), string(body)},
		"no time":                {withSendGrid, changed(func(h http.Header) { h.Del("X-Twilio-Email-Event-Webhook-Timestamp") }), string(body)},
		"no signature":           {withSendGrid, changed(func(h http.Header) { h.Del("X-Twilio-Email-Event-Webhook-Signature") }), string(body)},
		"no base64":              {withSendGrid, changed(func(h http.Header) { h.Set("X-Twilio-Email-Event-Webhook-Signature", "?") }), string(body)},
		"no ASN.1":               {withSendGrid, changed(func(h http.Header) { h.Set("X-Twilio-Email-Event-Webhook-Signature", "MEUC") }), string(body)},
		"an old signature":       {withSendGrid, signSendGrid(sendGridKey, now.Add(-26*time.Hour), body), string(body)},
		"nothing":                {withSendGrid, http.Header{}, ""},
	} {
		reports, word := read(reader(), deliveries.SendGrid, test.from, test.header, []byte(test.body))
		require.Equal(t, reason.DeliveryUnproven, word, name)
		require.Empty(t, reports)
	}
}

func TestWhatSendGridDoesNotWrite(t *testing.T) {
	for body, want := range map[string]reason.Reason{
		"":    reason.JSONInvalid,
		"[{}": reason.JSONInvalid,
		"{}":  reason.DeliveryInvalid,
		"7":   reason.DeliveryInvalid,
		"[" + strings.Repeat("{},", 5000) + "{}]": reason.TooManyEvents,
	} {
		_, word := read(reader(), deliveries.SendGrid, withSendGrid, signSendGrid(sendGridKey, now, []byte(body)), []byte(body))
		require.Equal(t, want, word)
	}
	mixed := []byte(`[7, {}, {"event":"delivered","sg_event_id":"a"}, {"event":"delivered","email":"a@b"}, {"event":"delivered","email":"a@b","sg_event_id":"c","timestamp":"x","type":[1],"onepx_message":{}}]`)
	reports, word := read(reader(), deliveries.SendGrid, withSendGrid, signSendGrid(sendGridKey, now, mixed), mixed)
	require.Empty(t, word)
	bad := deliveries.Report{Reason: reason.DeliveryInvalid}
	require.Equal(t, []deliveries.Report{bad, bad, bad, bad, {Name: "email_delivered", Recipient: "a@b"}}, withoutID(t, deliveries.SendGrid, reports), "a bad event costs itself only")
}

func FuzzSendGrid(f *testing.F) {
	fuzz(f, reader(), deliveries.SendGrid, withSendGrid, func(body []byte) (http.Header, []byte) { return signSendGrid(sendGridKey, now, body), body })
}
