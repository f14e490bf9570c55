package main

import (
	"bytes"
	_ "embed" // the text of docs/pixel.md
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
	table "github.com/onepx/onepx/services/shared/settings"
)

// generated is the first line of every page.
const generated = "<!-- Written by `collector docs` from the code. DO NOT EDIT: change the code and run make docs. -->\n"

// docsCmd writes the reference pages that are made from the code.
type docsCmd struct {
	Dir string `help:"Folder to write to." default:"docs"`
}

// Run writes the pages.
func (c *docsCmd) Run() error {
	for name, write := range map[string]func(*bytes.Buffer) error{
		"pixel.md":                   pixelPage,
		"reasons.md":                 reasonsPage,
		"configuration-collector.md": configurationPage,
	} {
		page := bytes.NewBufferString(generated)
		if err := write(page); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(c.Dir, name), page.Bytes(), 0o644); err != nil { //nolint:gosec // for everybody to read
			return err
		}
	}
	return nil
}

//go:embed pixel.md.tmpl
var pixelText string

// snippet is a tag to paste.
type snippet struct {
	// Title and About say what it is for.
	Title, About string
	// HTML is the tag.
	HTML string
}

// endpoint is where the pixel of the examples lives.
const endpoint = "https://px.shop.example/p.gif"

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
		{"Order on a thank-you page", "The page's server fills in the values. The event id makes a reload count once; `order_id` ties refunds to the order.",
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

func pixelPage(page *bytes.Buffer) error {
	text, err := template.New("pixel").Funcs(template.FuncMap{"cell": cell, "join": strings.Join}).Parse(pixelText)
	if err != nil {
		return err
	}
	return text.Execute(page, map[string]any{
		"Snippets": snippets(), "Params": params.Table, "ClickIDs": params.ClickIDs, "Stripped": params.StrippedParams,
		"Endpoint": endpoint,
		"Plain":    endpoint + "?" + params.Encode("site", "shop", "e", "signup", "p.plan", "yearly"),
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
| ignored | answered, not stored, because it is no event |
| suppressed | not stored or not counted, because the visitor wishes so |
| rejected | not stored; the request is at fault (status 400) |
| lost | not known to be stored; we are at fault (status 503), the client may try again |
| not counted | a row in ` + "`events`" + ` that counts for nothing |
| stopped | the consumer stopped a partition and waits for a person |

| Reason | Set by | Effect | Meaning |
|---|---|---|---|
`)
	for _, e := range reason.All {
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", e.Reason, e.By, e.Effect, cell(e.Meaning))
	}
	return nil
}

func configurationPage(page *bytes.Buffer) error {
	page.WriteString(`# Settings of the collector

Each is an environment variable or a flag of ` + "`collector run`" + `; the flag goes first. Wrong ones end the start with exit code 80
and all problems named. Secrets have no default and are never logged.

`)
	return table.Markdown(page, &cli{}, kong.Name("collector"), kong.Vars{"version": version})
}
