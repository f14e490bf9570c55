package deliveries_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

const certificateURL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"

var (
	withSES = siteconfig.MailProviders{SESTopics: []string{"arn:aws:sns:eu-west-1:123456789012:other", "arn:aws:sns:us-east-1:123456789012:mail"}}
	snsKey  = newRSA()
)

func newRSA() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// certificate is one of the key, in force for a day around the clock of these tests.
func certificate(key crypto.Signer) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-12 * time.Hour), NotAfter: now.Add(12 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// aws answers as Amazon SNS does.
type aws struct {
	// answer is the body by URL; status is 200 unless set.
	answer map[string][]byte
	status int

	mu    sync.Mutex
	asked []string
}

func newAWS() *aws {
	return &aws{answer: map[string][]byte{certificateURL: certificate(snsKey)}}
}

func (a *aws) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.URL.String())
	body, ok := a.answer[r.URL.String()]
	if !ok {
		return nil, errors.New("no such host")
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://elsewhere.example/"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

func (a *aws) reader(changes ...func(*deliveries.Config)) *deliveries.Reader {
	cfg := config()
	cfg.Transport = a
	for _, change := range changes {
		change(&cfg)
	}
	return deliveries.New(cfg)
}

// signSNS signs the message, by the words of the documentation: names and values in the order of the bytes, each with a line feed.
func signSNS(key *rsa.PrivateKey, message map[string]any) {
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if message["Type"] != "Notification" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	var text strings.Builder
	for _, name := range names {
		if value, ok := message[name].(string); ok {
			text.WriteString(name + "\n" + value + "\n")
		}
	}
	hash, digest := crypto.SHA1, sha1.Sum([]byte(text.String()))
	sum := digest[:]
	if message["SignatureVersion"] == "2" {
		digest := sha256.Sum256([]byte(text.String()))
		hash, sum = crypto.SHA256, digest[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, hash, sum)
	if err != nil {
		panic(err)
	}
	message["Signature"] = base64.StdEncoding.EncodeToString(signature)
}

// signed is the body with changes, signed after them; one that is no object is as it was.
func signed(body []byte, changes ...func(map[string]any)) []byte {
	var message map[string]any
	if json.Unmarshal(body, &message) != nil || message == nil {
		return body
	}
	for _, change := range changes {
		change(message)
	}
	signSNS(snsKey, message)
	again, _ := json.Marshal(message)
	return again
}

// set changes a field.
func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

// without takes it out.
func without(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }

func TestWhatSESTells(t *testing.T) {
	at := time.Date(2026, 11, 25, 10, 41, 2, 669_000_000, time.UTC)
	toldOf := func(name, bounce string, recipients ...string) []deliveries.Report {
		var all []deliveries.Report
		for _, to := range recipients {
			all = append(all, told(name, bounce, to, at))
		}
		return all
	}
	const to = "recipient@example.com"
	sent := toldOf("email_sent", "", to, "Ben <ben@example.com>")
	sent[0].At = time.Date(2026, 11, 25, 10, 40, 2, 12_000_000, time.UTC)
	sent[1].At = sent[0].At
	untagged := toldOf("email_delivered", "", to)
	untagged[0].Campaign, untagged[0].Message = "", ""
	for name, want := range map[string][]deliveries.Report{
		"send":                      sent,
		"delivery":                  toldOf("email_delivered", "", to),
		"bounce_permanent":          toldOf("email_bounced", "hard", to, "ben@example.com"),
		"bounce_transient":          toldOf("email_bounced", "soft", to),
		"complaint":                 toldOf("email_complained", "", to),
		"subscription":              toldOf("email_unsubscribe", "", to),
		"feedback_delivery":         untagged,
		"complaint_not_spam":        ignored,
		"subscription_of_one_topic": ignored,
		"open":                      ignored,
		"click":                     ignored,
		"reject":                    ignored,
		"delivery_delay":            ignored,
		"trial":                     ignored,
		"unsubscribe_confirmation":  ignored,
	} {
		for _, version := range []string{"1", "2"} {
			t.Run(name+" version "+version, func(t *testing.T) {
				a := newAWS()
				requireTold(t, a.reader(), deliveries.SES, withSES, nil, signed(file(t, deliveries.SES, name), set("SignatureVersion", version)), want)
				require.Equal(t, []string{certificateURL}, a.asked, "the certificate is fetched once")
			})
		}
	}
}

func TestAMessageNeedsNoSubject(t *testing.T) {
	for name, change := range map[string]func(map[string]any){"none": without("Subject"), "null": set("Subject", nil), "an empty one": set("Subject", "")} {
		_, word := read(newAWS().reader(), deliveries.SES, withSES, nil, signed(file(t, deliveries.SES, "delivery"), change))
		require.Empty(t, word, name)
	}
}

func TestASubscriptionOfAKnownTopicIsConfirmed(t *testing.T) {
	const subscribe = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:123456789012:mail&Token=2336412f37"
	body := file(t, deliveries.SES, "subscription_confirmation")
	a := newAWS()
	a.answer[subscribe] = []byte("<ConfirmSubscriptionResponse/>")
	reports, word := read(a.reader(), deliveries.SES, withSES, nil, signed(body))
	require.Empty(t, word)
	require.Equal(t, ignored, reports)
	require.Equal(t, []string{certificateURL, subscribe}, a.asked)

	a = newAWS()
	_, word = read(a.reader(), deliveries.SES, withSES, nil, signed(body))
	require.Equal(t, reason.ProviderUnreachable, word, "SNS asks again")

	for name, change := range map[string]func(map[string]any){
		"of another topic":     set("TopicArn", "arn:aws:sns:us-east-1:123456789012:foreign"),
		"for another topic":    set("SubscribeURL", strings.Replace(subscribe, ":mail", ":foreign", 1)),
		"to do something else": set("SubscribeURL", strings.Replace(subscribe, "ConfirmSubscription", "DeleteTopic", 1)),
		"on another host":      set("SubscribeURL", strings.Replace(subscribe, "amazonaws.com", "amazonaws.com.example", 1)),
		"in another region":    set("SubscribeURL", strings.Replace(subscribe, "us-east-1", "eu-west-1", 1)),
		"without https":        set("SubscribeURL", strings.Replace(subscribe, "https", "http", 1)),
		"with a user":          set("SubscribeURL", strings.Replace(subscribe, "sns.", "u:p@sns.", 1)),
		"with a port":          set("SubscribeURL", strings.Replace(subscribe, "com/", "com:8443/", 1)),
		"on another path":      set("SubscribeURL", strings.Replace(subscribe, "/?", "/x?", 1)),
		"nowhere":              set("SubscribeURL", ""),
	} {
		a := newAWS()
		_, word := read(a.reader(), deliveries.SES, withSES, nil, signed(body, change))
		require.Equal(t, reason.DeliveryUnproven, word, name)
		require.LessOrEqual(t, len(a.asked), 1, name)
	}
}

func TestSESIsKnownByTopicAndSignature(t *testing.T) {
	body := file(t, deliveries.SES, "delivery")
	after := func(change func(map[string]any)) []byte { // a change that is not signed
		var message map[string]any
		require.NoError(t, json.Unmarshal(signed(body), &message))
		change(message)
		again, err := json.Marshal(message)
		require.NoError(t, err)
		return again
	}
	for name, test := range map[string]struct {
		from  siteconfig.MailProviders
		body  []byte
		asked int
	}{
		"another message":        {withSES, after(set("Message", "{}")), 1},
		"another id":             {withSES, after(set("MessageId", "x")), 1},
		"another time":           {withSES, after(set("Timestamp", "2026-11-25T11:58:00Z")), 1},
		"another subject":        {withSES, after(set("Subject", "x")), 1},
		"no subject":             {withSES, after(without("Subject")), 1},
		"another version":        {withSES, after(set("SignatureVersion", "2")), 1},
		"another of my topics":   {withSES, after(set("TopicArn", withSES.SESTopics[0])), 0},
		"an unknown version":     {withSES, after(set("SignatureVersion", "3")), 0},
		"another type":           {withSES, after(set("Type", "SubscriptionConfirmation")), 1},
		"an unknown type":        {withSES, after(set("Type", "Greeting")), 0},
		"no signature":           {withSES, after(without("Signature")), 1},
		"no base64":              {withSES, after(set("Signature", "?")), 0},
		"a foreign topic":        {withSES, signed(body, set("TopicArn", "arn:aws:sns:us-east-1:123456789012:foreign")), 0},
		"a site without webhook": {siteconfig.MailProviders{}, signed(body), 0},
		"an old signature":       {withSES, signed(body, set("Timestamp", "2026-11-24T10:00:00Z")), 0},
		"one of the future":      {withSES, signed(body, set("Timestamp", "2026-11-25T12:10:00Z")), 0},
		"no time":                {withSES, signed(body, set("Timestamp", "now")), 0},
		"nothing":                {withSES, []byte("{}"), 0},
	} {
		a := newAWS()
		reports, word := read(a.reader(), deliveries.SES, test.from, nil, test.body)
		require.Equal(t, reason.DeliveryUnproven, word, name)
		require.Empty(t, reports, name)
		require.Len(t, a.asked, test.asked, name)
	}
}

func TestCertificatesComeFromAmazonAlone(t *testing.T) {
	foreign := certificate(newRSA())
	for _, url := range []string{
		"https://elsewhere.example/SimpleNotificationService-0.pem",
		"https://sns.us-east-1.amazonaws.com.elsewhere.example/SimpleNotificationService-0.pem",
		"https://sns.us-east-1.amazonaws.com@elsewhere.example/SimpleNotificationService-0.pem",
		"https://elsewhere.example#sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
		"https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-0.pem", // a bucket named sns
		"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",    // of another region
		"https://sns.us-east-1.amazonaws.com.cn/SimpleNotificationService-0.pem",
		"https://SNS.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
		"https://sns.us-east-1.amazonaws.com:443/SimpleNotificationService-0.pem",
		"http://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
		"file:///etc/SimpleNotificationService-0.pem",
		"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem?x=1",
		"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem#x",
		"https://sns.us-east-1.amazonaws.com/x/SimpleNotificationService-0.pem",
		"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-../x.pem",
		"https://sns.us-east-1.amazonaws.com/",
		"",
		"%",
	} {
		a := newAWS()
		a.answer[url] = foreign
		_, word := read(a.reader(), deliveries.SES, withSES, nil, signed(file(t, deliveries.SES, "delivery"), set("SigningCertURL", url)))
		require.Equal(t, reason.DeliveryUnproven, word, url)
		require.Empty(t, a.asked, url)
	}
}

func TestWhatIsFetchedMustBeACertificate(t *testing.T) {
	ec := certificate(newECDSA())
	for name, test := range map[string]struct {
		change func(*aws)
		later  time.Duration
		want   reason.Reason
	}{
		"no answer":  {func(a *aws) { clear(a.answer) }, 0, reason.ProviderUnreachable},
		"a redirect": {func(a *aws) { a.status = http.StatusFound }, 0, reason.ProviderUnreachable},
		"an error":   {func(a *aws) { a.status = http.StatusForbidden }, 0, reason.ProviderUnreachable},
		"too much":   {func(a *aws) { a.answer[certificateURL] = make([]byte, 1<<20) }, 0, reason.ProviderUnreachable},
		"no PEM":     {func(a *aws) { a.answer[certificateURL] = []byte("<html>") }, 0, reason.ProviderUnreachable},
		"no certificate in it": {func(a *aws) {
			a.answer[certificateURL] = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}, 0, reason.ProviderUnreachable},
		"another key's":        {func(a *aws) { a.answer[certificateURL] = certificate(newRSA()) }, 0, reason.DeliveryUnproven},
		"of another algorithm": {func(a *aws) { a.answer[certificateURL] = ec }, 0, reason.DeliveryUnproven},
		"one that has expired": {func(*aws) {}, 13 * time.Hour, reason.DeliveryUnproven},
	} {
		a := newAWS()
		test.change(a)
		r := a.reader(func(c *deliveries.Config) { c.Now = func() time.Time { return now.Add(test.later) } })
		_, word := read(r, deliveries.SES, withSES, nil, signed(file(t, deliveries.SES, "delivery")))
		require.Equal(t, test.want, word, name)
		require.Equal(t, []string{certificateURL}, a.asked, name)
	}
}

func TestNobodyMakesUsFetchMuch(t *testing.T) {
	a := newAWS()
	r := a.reader()
	body := file(t, deliveries.SES, "delivery")
	for i := range 100 {
		url := strings.Replace(certificateURL, "f3ecfb", strings.Repeat("a", i%50+1)+strings.Repeat("b", i/50), 1)
		_, _ = read(r, deliveries.SES, withSES, nil, signed(body, set("SigningCertURL", url)))
	}
	require.LessOrEqual(t, len(a.asked), 20)
}

func TestWhatSESDoesNotWrite(t *testing.T) {
	message := func(text string) []byte { return signed(file(t, deliveries.SES, "delivery"), set("Message", text)) }
	for name, test := range map[string]struct {
		body []byte
		want reason.Reason
	}{
		"no JSON":            {[]byte("{"), reason.JSONInvalid},
		"a number":           {[]byte("7"), reason.DeliveryInvalid},
		"a text as envelope": {[]byte(`{"Message":7}`), reason.DeliveryInvalid},
		"no message id":      {message(`{"eventType":"Delivery","delivery":{"recipients":["a@b"]}}`), reason.DeliveryInvalid},
		"no recipients":      {message(`{"eventType":"Bounce","mail":{"messageId":"m"}}`), reason.DeliveryInvalid},
	} {
		_, word := read(newAWS().reader(), deliveries.SES, withSES, nil, test.body)
		require.Equal(t, test.want, word, name)
	}
	reports, word := read(newAWS().reader(), deliveries.SES, withSES, nil, message(`{"eventType":"Delivery","mail":{"messageId":"m"},"delivery":{"recipients":["a@b",""]}}`))
	require.Empty(t, word)
	require.Equal(t, []deliveries.Report{{Name: "email_delivered", Recipient: "a@b"}, {Reason: reason.DeliveryInvalid}}, withoutID(t, deliveries.SES, reports))
}

// FuzzSES signs any envelope; FuzzSESMessage any message in a good one.
func FuzzSES(f *testing.F) {
	a := newAWS()
	fuzz(f, a.reader(), deliveries.SES, withSES, func(body []byte) (http.Header, []byte) { return nil, signed(body) })
}

func FuzzSESMessage(f *testing.F) {
	envelope := file(f, deliveries.SES, "delivery")
	a := newAWS()
	fuzz(f, a.reader(), deliveries.SES, withSES, func(body []byte) (http.Header, []byte) {
		return nil, signed(envelope, set("Message", string(body)))
	})
}
