//go:build integration

package browser_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/jhillyerd/enmime/v2"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailrewrite"
	"github.com/onepx/onepx/services/shared/mailtoken"
)

// postOffice is a mail server that keeps what it gets.
type postOffice struct {
	mu    sync.Mutex
	mails map[string][]byte // by recipient
}

// NewSession makes it a gosmtp.Backend.
func (p *postOffice) NewSession(*gosmtp.Conn) (gosmtp.Session, error) {
	return &delivery{office: p}, nil
}

// delivery is one mail on its way in.
type delivery struct {
	office *postOffice
	to     []string
}

func (d *delivery) Mail(string, *gosmtp.MailOptions) error { return nil }

func (d *delivery) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	d.to = append(d.to, to)
	return nil
}

func (d *delivery) Data(r io.Reader) error {
	mail, err := io.ReadAll(r)
	d.office.mu.Lock()
	defer d.office.mu.Unlock()
	for _, to := range d.to {
		d.office.mails[to] = mail
	}
	return err
}

func (d *delivery) Reset()        { d.to = nil }
func (d *delivery) Logout() error { return nil }

// openPostOffice starts one, and returns its address too.
func openPostOffice(t *testing.T) (*postOffice, string) {
	t.Helper()
	office := &postOffice{mails: map[string][]byte{}}
	server := gosmtp.NewServer(office)
	server.Domain, server.AllowInsecureAuth = "localhost", true
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.NoError(t, <-ended)
	})
	return office, listener.Addr().String()
}

// fetch returns the mail of a recipient, read by another library than the one that wrote it.
func (p *postOffice) fetch(t *testing.T, to string) *enmime.Envelope {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	envelope, err := enmime.NewParser(enmime.DisableCharacterDetection(true)).ReadEnvelope(bytes.NewReader(p.mails[to]))
	require.NoError(t, err)
	require.Empty(t, envelope.Errors)
	return envelope
}

// newsletterMail is a campaign before it is rewritten; %s is the shop.
const newsletterMail = "From: shop <news@shop.example>\r\nTo: {{to}}\r\nSubject: =?utf-8?q?Gr=C3=BCner_Tee?=\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/alternative; boundary=\"b\"\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello {{name}}, see %[1]s/letters/offer\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
	"<html><body><p>Gr=C3=BC=C3=9Fe, {{name}}</p><a id=3D\"offer\" data-onepx-link=3D\"hero\" href=3D\"%[1]s/letters/offer?size=3D2\">An offer</a></body></html>\r\n--b--\r\n"

// mailsOut is a newsletter that goes out by SMTP, is read in the browser, and is left.
func (s *shop) mailsOut(t *testing.T) {
	keys := mailtoken.NewKeys()
	ring, err := mailtoken.ParseRing(keys)
	require.NoError(t, err)
	collector, err := s.pipeline.StartCollector(t.Context(), "letters", "ONEPX_MAIL_KEYS="+keys)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, collector.Stop()) })
	urls, err := mailtoken.NewURLs("http://px.shop.localhost:"+port(collector.URL), ring)
	require.NoError(t, err)
	template, err := mailrewrite.Message(fmt.Appendf(nil, newsletterMail, s.url), mailrewrite.Config{URLs: urls, UTM: []mailrewrite.Param{{Name: "utm_source", Value: "news"}, {Name: "utm_medium", Value: "email"}}})
	require.NoError(t, err)
	office, address := openPostOffice(t)
	readers := []string{"anna@example.com", "ben@example.com", "cleo@example.com", "dora@example.com"}
	for i, to := range readers {
		// Mails are read a while after they were sent: at once they would be a machine's.
		token := mailtoken.Token{Site: "gazette", Campaign: "autumn", Message: fmt.Sprint("m-", i), Recipient: [mailtoken.RecipientSize]byte{15: byte(i + 1)}, Sent: time.Now().Add(-time.Hour)}
		mail, err := template.Render(mailrewrite.Recipient{Token: token, Data: map[string]string{"name": to[:4], "to": to}})
		require.NoError(t, err)
		require.NoError(t, smtp.SendMail(address, nil, "news@shop.example", []string{to}, mail))
	}
	s.serve("/letters/offer", "An offer", nil)

	b := start(t)
	open := func(reader string) *enmime.Envelope {
		mail := office.fetch(t, reader)
		require.Equal(t, "Grüner Tee", mail.GetHeader("Subject"))
		require.Contains(t, mail.HTML, "Grüße, "+reader[:4])
		s.serve("/inbox/"+reader, mail.HTML, nil)
		b.visit(s.url + "/inbox/" + reader)
		return mail
	}
	open("anna@example.com")
	require.NoError(t, chromedp.Do(b.ctx, chromedp.Click("#offer", chromedp.NodeVisible)))
	b.titled("Shop")
	require.Eventually(t, func() bool { return s.asks("/letters/offer") == 1 }, patience, glance, "the link leads to the shop")
	open("ben@example.com")
	mail := open("cleo@example.com")
	unsubscribe := strings.Trim(mail.GetHeader("List-Unsubscribe"), "<>")
	b.visit(unsubscribe)
	b.press(tab, enter)
	b.titled("You have unsubscribed")
	open("ben@example.com") // whose image nobody has kept
	// A mail program does the same with one click, for a mail that nobody has opened.
	dora := office.fetch(t, "dora@example.com")
	require.Contains(t, dora.Text, "/c/")
	oneClick := strings.Replace(strings.Trim(dora.GetHeader("List-Unsubscribe"), "<>"), "px.shop.localhost", "127.0.0.1", 1)
	response, err := http.Post(oneClick, "application/x-www-form-urlencoded", strings.NewReader(dora.GetHeader("List-Unsubscribe-Post")))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	var got string
	require.Eventually(t, func() bool {
		got = ""
		err := s.clickHouse.Query(t.Context(), "SELECT concat(toString(opens_human), ' ', toString(openers_human), ' ', toString(clicks), ' ', toString(clickers), ' ', toString(unsubscribed)) AS Numbers, "+
			"(SELECT groupArray(concat(link_id, ' ', toString(clicks))) FROM onepx.link_stats(site = 'gazette')) AS Links FROM onepx.email_stats(site = 'gazette')", func(raw json.RawMessage) error {
			got = string(raw)
			return nil
		})
		return err == nil && strings.Contains(got, `"4 3 1 1 2"`)
	}, patience, glance, func() string { return got })
	require.JSONEq(t, `{"Numbers":"4 3 1 1 2","Links":["hero 1"]}`, got)
}
