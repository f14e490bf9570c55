package main

import (
	"bytes"
	_ "embed" // the texts of docs/pixel.md and docs/privacy.md
	"errors"
	"fmt"
	"html"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/onepx/onepx/services/collector/internal/api"
	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/consent"
	"github.com/onepx/onepx/services/collector/internal/kept"
	"github.com/onepx/onepx/services/collector/internal/useragent"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/refdocs"
	table "github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// docsCmd writes the reference pages that are made from the code.
type docsCmd struct {
	Dir string `help:"Folder to write to." default:"docs"`
}

// Run writes the pages.
func (c *docsCmd) Run() error {
	return refdocs.Write(c.Dir, "collector docs", map[string]func(*bytes.Buffer) error{
		"pixel.md":                   pixelPage,
		"privacy.md":                 privacyPage,
		"reasons.md":                 reasonsPage,
		"configuration-collector.md": configurationPage,
		"metrics-collector.md":       metricsPage,
	})
}

// metricsPage has the metrics of a collector that is built and does not run.
func metricsPage(page *bytes.Buffer) (err error) {
	dir, err := os.MkdirTemp("", "onepx-docs-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config := filepath.Join(dir, "onepx.yaml")
	if err := os.WriteFile(config, []byte("sites: [{id: shop, timezone: UTC, currency: EUR}]\n"), 0o600); err != nil {
		return err
	}
	cfg := settings{Config: config, Spool: spoolSettings{Dir: filepath.Join(dir, "spool"), QuotaBytes: maxSpoolQuota}}
	page.WriteString("# Metrics of the collector\n\n")
	return refdocs.Metrics(page, func(meter metric.Meter) error {
		s, err := build(cfg, &telemetry.Telemetry{Meter: meter, Tracer: noop.Tracer{}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		s.server.Sample()
		return s.close()
	})
}

//go:embed pixel.md.tmpl
var pixelText string

//go:embed privacy.md.tmpl
var privacyText string

// snippet is a tag to paste.
type snippet struct {
	// Title and About say what it is for.
	Title, About string
	// HTML is the tag.
	HTML string
}

// host and endpoint are where the pixel of the examples lives.
const (
	host     = "https://px.shop.example"
	endpoint = host + "/p.gif"
)

// image returns an image tag of the parameters, given as name, value, name, value …
func image(pairs ...string) string {
	return fmt.Sprintf(`<img src="%s" width="1" height="1" alt="" referrerpolicy="no-referrer-when-downgrade">`,
		html.EscapeString(endpoint+"?"+params.Encode(pairs...)))
}

// snippets are all tags of docs/pixel.md; a test sends them.
func snippets() []snippet {
	return []snippet{
		{"Page view", "Anywhere in the page. The page URL is the Referer header; without `referrerpolicy` browsers send only its origin to another host.",
			image("site", "shop")},
		{"Page view where scripts are off", "The page's server fills in the page URL, which then needs no Referer.",
			"<noscript>" + image("site", "shop", "u", "https://shop.example/tea?utm_source=news", "t", "Green tea") + "</noscript>"},
		{"Order on a thank-you page", "The page's server fills in the values, `value` as a plain [amount](#amounts). `order_id` makes the order count once, however often and however late the page is loaded again, and whoever else reports it; it ties [refunds](#server-events) to it. The event id makes the loads of 7 days one event. Without it each load is one, which reports show as repeats (`hits`, `repeats` in [questions.md](questions.md)) and never add up.",
			image("site", "shop", "e", "purchase", "id", "order-1001", "order_id", "1001", "value", "49.90", "currency", "EUR",
				"items", `[{"id":"sku-1","qty":2,"price":"19.95","category":"tea"},{"id":"sku-2","price":"10"}]`, "uid", "customer-77")},
		{"Product that was looked at", "Feeds reports on interest in products.",
			image("site", "shop", "e", "view_item", "items", `[{"id":"sku-1","price":"19.95","category":"tea"}]`)},
		{"Ad that was shown", "For ad servers; their macro makes the event id.",
			image("site", "shop", "e", "impression", "id", "imp-5f2c", "utm_source", "adnet", "utm_campaign", "autumn-26", "p.placement", "top")},
		{"With the visitor's choice", "After the site has asked: `c=1` or `c=0`.",
			image("site", "shop", "c", "1")},
	}
}

// example is a request with a body of events.
type example struct {
	// About says what it is for, Language what it is written in.
	About, Language string
	// Before and After are around the body.
	Before, Body, After string
}

// Text is the whole.
func (e example) Text() string { return e.Before + e.Body + e.After }

// examples are the requests of docs/pixel.md by endpoint; a test reads their bodies.
func examples() map[string][]example {
	return map[string][]example{
		"/e": {
			{"While the page goes away:", "js", `navigator.sendBeacon("` + host + `/e", JSON.stringify(`,
				`{"site": "shop", "e": "add_to_cart", "items": [{"id": "sku-1", "qty": 1, "price": 19.95}], "props": {"color": "red"}}`, "));"},
			{"While it stays, with an answer to read; cookies are sent to the site's own collector:", "js", `const answer = await fetch("` + host + `/e?site=shop", {method: "POST", keepalive: true, credentials: "include", body: JSON.stringify(`,
				`[{"e": "signup", "id": "signup-4711", "uid": "customer-77", "c": true}, {"e": "newsletter"}]`, ")});"},
		},
		"/v1/events": {
			{"An order:", "sh", `curl ` + host + `/v1/events -H "Authorization: Bearer $ONEPX_WRITE_KEY" -H "Content-Type: application/json" -d '`,
				`{"e": "purchase", "id": "order-1001", "order_id": "1001", "value": 49.90, "currency": "EUR", "v": "visitor-5", "uid": "customer-77", "ip": "81.2.69.160", "ua": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "ts": "2026-11-25T11:59:00Z"}`, "'"},
			{"A part of it that was paid back (without `value` and `items`: all that is left). [Reports](questions.md#revenue_ledger) show it on this day and on that of the sale:", "sh", `curl ` + host + `/v1/events -H "Authorization: Bearer $ONEPX_WRITE_KEY" -H "Content-Type: application/json" -d '`,
				`{"e": "refund", "id": "refund-1001-1", "order_id": "1001", "value": 9.90, "currency": "EUR"}`, "'"},
			{"A mail that was [delivered](#mail-that-was-sent):", "sh", `curl ` + host + `/v1/events -H "Authorization: Bearer $ONEPX_WRITE_KEY" -H "Content-Type: application/json" -d '`,
				`{"e": "email_delivered", "id": "m-1-delivered", "ts": "2026-11-25T11:59:00Z", "mail_campaign": "autumn-26", "mail_message": "m-1", "mail_to": "anna@example.com"}`, "'"},
			{"A file of events, one on each line:", "sh", `gzip -c events.ndjson | curl ` + host + `/v1/events -u "$ONEPX_WRITE_KEY:" -H "Content-Type: application/x-ndjson" -H "Content-Encoding: gzip" --data-binary @-`, "", ""},
		},
	}
}

func pixelPage(page *bytes.Buffer) error {
	text, err := template.New("pixel").Funcs(template.FuncMap{"cell": cell, "join": strings.Join}).Parse(pixelText)
	if err != nil {
		return err
	}
	return text.Execute(page, map[string]any{
		"Snippets": snippets(), "Params": params.Table, "Aliases": params.Aliases, "ClickIDs": params.ClickIDs, "Stripped": params.StrippedParams,
		"Endpoint": endpoint, "Examples": examples(), "MaxEvents": params.MaxEvents,
		"Plain": endpoint + "?" + params.Encode("site", "shop", "e", "signup", "p.plan", "yearly"),
	})
}

// exampleAgent is that of a telephone.
const exampleAgent = "Mozilla/5.0 (Linux; Android 13; SM-A528B Build/TP1A.220624.014) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.5615.101 Mobile Safari/537.36"

func privacyPage(page *bytes.Buffer) error {
	text, err := template.New("privacy").Funcs(template.FuncMap{"cell": cell, "join": strings.Join}).Parse(privacyText)
	if err != nil {
		return err
	}
	type rule struct{ Word, Given, Allows string }
	var rules []rule
	for _, r := range consent.Precedence {
		word := strings.ToLower(strings.TrimPrefix(r.Signal.String(), "CONSENT_SIGNAL_"))
		rules = append(rules, rule{word, r.Given, r.Allows})
	}
	return text.Execute(page, map[string]any{
		"Rules": rules, "Modes": consent.Modes, "Kept": kept.Table, "Whole": exampleAgent, "Reduced": useragent.Reduce(exampleAgent),
	})
}

// cell makes a text fit for a cell of a Markdown table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func reasonsPage(page *bytes.Buffer) error {
	page.WriteString(`# Reasons

Every word for what can happen to an event other than being counted as it was sent. The same word stands in the answer's
header ` + "`Onepx-Event`" + `, in the metrics ` + "`onepx_collector_events_total`" + ` and ` + "`onepx_collector_flags_total`" + ` and those of the consumer, and in the
columns ` + "`reason`" + ` and ` + "`flags`" + ` of ` + "`onepx.events`" + `. A word is never renamed.

| Effect | Means |
|---|---|
| flagged | stored and counted; something was changed or left out |
| spooled | durable on the collector's disk; stored and counted once Kafka takes it |
| ignored | answered, not stored, because it is no event |
| suppressed | not stored or not counted, because the visitor wishes so |
| rejected | not stored; the request is at fault |
| lost | not known to be stored; we are at fault, the client may try again |
| wish unmet | a visitor's wish on ` + "`/optout`" + ` or ` + "`/optin`" + ` was not carried out, or only in part; counted in ` + "`onepx_collector_wishes_total`" + `. A bad link is answered with 200, a foreign opt-in with 403, the others with 503 and ` + "`Retry-After`" + ` |
| not counted | a row in ` + "`events`" + ` that counts for nothing |
| stopped | the consumer stopped a partition and waits for a person |

The status is that of a request with this one event; to ` + "`/v1/events`" + ` it is 200 and the word stands in the results, unless
the request is refused as a whole or should be sent again ([pixel.md](pixel.md#server-events)).

| Reason | Set by | Effect | Status | Meaning |
|---|---|---|---|---|
`)
	for _, e := range reason.All {
		fmt.Fprintf(page, "| `%s` | %s | %s | %s | %s |\n", e.Reason, e.By, e.Effect, status(e), cell(e.Meaning))
	}
	return nil
}

// status is the cell with the HTTP status of a reason, empty if it ends no request.
func status(e reason.Entry) string {
	switch e.Effect {
	case reason.Spooled, reason.Ignored, reason.Suppressed, reason.Rejected, reason.Lost:
		return strconv.Itoa(api.Status(e.Reason))
	default:
		return ""
	}
}

func configurationPage(page *bytes.Buffer) error {
	page.WriteString(`# Settings of the collector

Each is an environment variable or a flag of ` + "`collector run`" + `; the flag goes first. Wrong ones end the start with exit code 80
and all problems named. Secrets have no default and are never logged.

`)
	return table.Markdown(page, &cli{}, kong.Name("collector"), kong.Vars{"version": version})
}
