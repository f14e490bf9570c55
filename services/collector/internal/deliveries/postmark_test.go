package deliveries_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// withPostmark knows Postmark by onepx and password.
var withPostmark = siteconfig.MailProviders{PostmarkCredentials: []siteconfig.KeyHash{siteconfig.HashKey("onepx:other"), siteconfig.HashKey("onepx:password")}}

// basic is the header of basic authentication.
func basic(user, password string) http.Header {
	request := post(http.Header{})
	request.SetBasicAuth(user, password)
	return request.Header
}

func TestWhatPostmarkTells(t *testing.T) {
	john := func(name, bounce string, at time.Time) []deliveries.Report {
		return []deliveries.Report{told(name, bounce, "john@example.com", at)}
	}
	at := func(hour, minute, second, nanosecond int) time.Time {
		return time.Date(2026, 11, 25, hour, minute, second, nanosecond, time.UTC)
	}
	complaint := john("email_complained", "", at(10, 0, 0, 0))
	complaint[0].Message = "7"
	for name, want := range map[string][]deliveries.Report{
		"delivery":                john("email_delivered", "", at(11, 0, 5, 123456700)),
		"bounce_hard":             john("email_bounced", "hard", at(11, 28, 10, 273539300)),
		"bounce_soft":             john("email_bounced", "soft", at(11, 28, 10, 273539300)),
		"spam_complaint":          complaint,
		"unsubscribe":             john("email_unsubscribe", "", at(10, 53, 34, 416071000)),
		"bounce_out_of_office":    ignored,
		"resubscribe":             ignored,
		"suppressed_after_bounce": ignored,
		"suppressed_by_sender":    ignored,
		"open":                    ignored,
		"click":                   ignored,
	} {
		t.Run(name, func(t *testing.T) {
			requireTold(t, reader(), deliveries.Postmark, withPostmark, basic("onepx", "password"), file(t, deliveries.Postmark, name), want)
		})
	}
}

func TestAMessageToSeveralIsDeliveredToEach(t *testing.T) {
	body := func(to string) []byte {
		return []byte(`{"RecordType":"Delivery","MessageID":"883953f4-6105-42a2-a16a-77a8eac79483","Recipient":"` + to + `"}`)
	}
	id := func(to string) string {
		reports, word := read(reader(), deliveries.Postmark, withPostmark, basic("onepx", "password"), body(to))
		require.Empty(t, word)
		return reports[0].ID
	}
	require.Equal(t, id("a@example.com"), id("a@example.com"))
	require.NotEqual(t, id("a@example.com"), id("b@example.com"))
}

func TestPostmarkIsKnownByItsPassword(t *testing.T) {
	body := file(t, deliveries.Postmark, "delivery")
	for name, test := range map[string]struct {
		from   siteconfig.MailProviders
		header http.Header
		want   reason.Reason
	}{
		"the password":           {withPostmark, basic("onepx", "password"), ""},
		"the other password":     {withPostmark, basic("onepx", "other"), ""},
		"no password":            {withPostmark, http.Header{}, reason.DeliveryUnproven},
		"another password":       {withPostmark, basic("onepx", "Password"), reason.DeliveryUnproven},
		"another user":           {withPostmark, basic("onepy", "password"), reason.DeliveryUnproven},
		"the colon moved":        {withPostmark, basic("onepx:password", ""), reason.DeliveryUnproven},
		"a site without webhook": {siteconfig.MailProviders{}, basic("onepx", "password"), reason.DeliveryUnproven},
		"another scheme":         {withPostmark, http.Header{"Authorization": {"Bearer password"}}, reason.DeliveryUnproven},
	} {
		_, word := read(reader(), deliveries.Postmark, test.from, test.header, body)
		require.Equal(t, test.want, word, name)
	}
}

func TestWhatPostmarkDoesNotWrite(t *testing.T) {
	for body, want := range map[string]reason.Reason{
		"":                 reason.JSONInvalid,
		"{":                reason.JSONInvalid,
		"[]":               reason.DeliveryInvalid,
		"{}":               reason.DeliveryInvalid,
		`{"RecordType":7}`: reason.DeliveryInvalid,
		`{"RecordType":"Delivery","MessageID":"m"}`:    reason.DeliveryInvalid,
		`{"RecordType":"Delivery","Recipient":"a@b"}`:  reason.DeliveryInvalid,
		`{"RecordType":"SpamComplaint","Email":"a@b"}`: reason.DeliveryInvalid,
	} {
		_, word := read(reader(), deliveries.Postmark, withPostmark, basic("onepx", "password"), []byte(body))
		require.Equal(t, want, word, body)
	}
}

func FuzzPostmark(f *testing.F) {
	fuzz(f, reader(), deliveries.Postmark, withPostmark, func(body []byte) (http.Header, []byte) { return basic("onepx", "password"), body })
}
