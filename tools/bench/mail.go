package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/onepx/onepx/services/shared/mailrewrite"
	"github.com/onepx/onepx/services/shared/mailtoken"
)

const (
	// mailRecipients is how many mails are read, by turns.
	mailRecipients = 1000
	// newsletterBytes is how long the newsletter's HTML is.
	newsletterBytes = 100_000
	mailLink        = "3-1f9a03"
	// mailTarget is the page of hitURI.
	mailTarget = "https://shop.example/products/green-tea?color=red&utm_source=news&utm_campaign=autumn"
)

// mailBench compares hits in mails with page views at the same collector, and measures what tokens and rewriting take.
func mailBench(ctx context.Context, w *world) (report, error) {
	keys := mailtoken.NewKeys()
	ring, err := mailtoken.ParseRing(keys)
	if err != nil {
		return report{}, err
	}
	verify, err := measure(w.runs, verifying(ring))
	if err != nil {
		return report{}, err
	}
	rewrite, err := measure(w.runs, rewriting(ring))
	if err != nil {
		return report{}, err
	}
	collector, err := w.pipeline.StartCollector(ctx, "collector", "ONEPX_MAIL_KEYS="+keys)
	if err != nil {
		return report{}, err
	}
	defer func() { _ = collector.Stop() }()
	urls, err := mailtoken.NewURLs(collector.URL, ring)
	if err != nil {
		return report{}, err
	}
	var turns []*contestant
	for _, url := range []func(mailtoken.Token) (string, error){nil, func(t mailtoken.Token) (string, error) { return urls.Click(t, mailLink, mailTarget) }, urls.Open} {
		c, err := contest("mail", collector.Process, collector.URL, "stored")
		if err == nil && url != nil {
			err = readMails(c.client, url)
		}
		if err != nil {
			return report{}, err
		}
		turns = append(turns, c)
	}
	if err := fullLoad(ctx, w, turns); err != nil {
		return report{}, err
	}
	return mailReport(turns[0], turns[1], turns[2], verify, rewrite), nil
}

func mailReport(page, click, open *contestant, verify, rewrite float64) report {
	return report{
		numbers: []number{
			{"mail_token_verify", verify / 1e3, " µs", atMost(3), "a click's token verified"},
			{"mail_rewrite", rewrite / 1e6, " ms", atMost(5), fmt.Sprintf("a newsletter of %d KB read, rewritten and written for one recipient", newsletterBytes/1000)},
			{"mail_click_throughput_ratio", ratio(click.rates, page.rates), "x", atLeast(0.9), "answers per second of `/c/`, against those of `/p.gif`"},
			{"mail_open_throughput_ratio", ratio(open.rates, page.rates), "x", atLeast(0.9), "answers per second of `/o/`, the same way"},
			{"mail_click_cpu_ratio", ratio(click.cpu, page.cpu), "x", nil, "CPU time of the collector for an answer of `/c/`, the same way"},
			{"mail_open_cpu_ratio", ratio(open.cpu, page.cpu), "x", nil, "CPU time of the collector for an answer of `/o/`, the same way"},
		},
		method: fmt.Sprintf(`One collector takes page views, clicks and opens of %d mails, by turns of %s. All have a cookie; a click leads to the page that is viewed. %d connections never wait; Kafka
acknowledges each hit. A ratio is that of neighbouring turns. Tokens and rewriting are measured in this process, before the others start.`, mailRecipients, measured, busy),
	}
}

// readMails lets the client ask for the URL of one mail after the other.
func readMails(c *client, url func(mailtoken.Token) (string, error)) error {
	var all []string
	for i := range mailRecipients {
		u, err := url(mailToken(i))
		if err != nil {
			return err
		}
		all = append(all, u)
	}
	c.ask = func(request *fasthttp.Request) {
		request.SetRequestURI(all[int(c.sent.Add(1))%len(all)])
		asBrowser(request)
	}
	return nil
}

// mailToken is what the tokens of the mail to a recipient say.
func mailToken(recipient int) mailtoken.Token {
	return mailtoken.Token{
		Site: site, Campaign: "autumn-26", Message: fmt.Sprint("m-", recipient), Sent: time.Now().UTC().Truncate(time.Second),
		Recipient: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, recipient)),
	}
}

// measure is the median of how many nanoseconds the function takes.
func measure(runs int, do func() error) (float64, error) {
	var all []float64
	var failed error
	for range runs {
		result := testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				if err := do(); err != nil {
					failed = err
					b.FailNow()
				}
			}
		})
		if failed != nil {
			return 0, failed
		}
		all = append(all, float64(result.T.Nanoseconds())/float64(result.N))
	}
	return median(all), nil
}

// verifying verifies a token of a click.
func verifying(ring *mailtoken.Ring) func() error {
	token, now := mailToken(0), time.Now()
	token.Kind, token.Link = mailtoken.Click, mailLink
	signed, failed := ring.Sign(token, mailTarget)
	return func() error {
		_, err := ring.Verify(mailtoken.Click, signed, mailTarget, now)
		return errors.Join(failed, err)
	}
}

// rewriting reads a newsletter and writes it for a recipient.
func rewriting(ring *mailtoken.Ring) func() error {
	urls, failed := mailtoken.NewURLs("https://px.shop.example", ring)
	message, token := newsletterMessage(newsletterBytes), mailToken(0)
	return func() error {
		template, err := mailrewrite.Message(message, mailrewrite.Config{URLs: urls})
		if err != nil {
			return err
		}
		_, err = template.Render(mailrewrite.Recipient{Token: token})
		return errors.Join(failed, err)
	}
}

// newsletterMessage is a message with HTML of about that many bytes, which has two links for each 1000.
func newsletterMessage(length int) []byte {
	const block = `<table role="presentation" border="0" cellpadding="0" cellspacing="0" width="100%%" style="border-collapse:collapse"><tr><td align="left" valign="top" style="padding:16px 24px;font-family:Arial,Helvetica,sans-serif;font-size:16px;line-height:24px;color:#333333">` +
		`<!--[if mso]><v:rect href="https://shop.example/p/%[1]d?color=red&amp;size=42" fill="true"><![endif]--><a href="https://shop.example/p/%[1]d?color=red&amp;size=42" target="_blank" style="color:#cc0000;text-decoration:underline"><img src="https://cdn.shop.example/p/%[1]d.jpg" width="552" height="300" alt="Schuh %[1]d" style="display:block;border:0"></a><!--[if mso]></v:rect><![endif]-->` +
		`<p style="margin:0 0 16px">Der Schuh Nummer %[1]d ist aus echtem Leder, und er passt zu allem, was Sie schon haben: für Große und Kleine, für Frühling, Sommer, Herbst und Winter.</p></td></tr></table>` + "\r\n"
	var message bytes.Buffer
	message.WriteString("From: shop@shop.example\r\nTo: anna@example.com\r\nSubject: News\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	html := quotedprintable.NewWriter(&message) // whose errors are those of the buffer, which has none
	_, _ = io.WriteString(html, "<!DOCTYPE html>\r\n<html><head><title>News</title></head><body>\r\n")
	for size, i := 0, 0; size < length; i++ {
		n, _ := fmt.Fprintf(html, block, i)
		size += n
	}
	_, _ = io.WriteString(html, "</body></html>\r\n")
	_ = html.Close()
	return message.Bytes()
}
