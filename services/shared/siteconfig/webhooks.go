package siteconfig

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// MaxWebhooks is how many webhooks a site may have.
const MaxWebhooks = 10

const maxWebhookURL = 2048 // bytes

// WebhookEvent is what an address may be sent.
type WebhookEvent string

const (
	// WebhookAudiences are the changes of the audiences whose segments are streamed.
	WebhookAudiences WebhookEvent = "audiences"
	// WebhookUnsubscribes are the recipients who want no more mail.
	WebhookUnsubscribes WebhookEvent = "unsubscribes"
)

// WebhookEvents are all of them.
var WebhookEvents = []WebhookEvent{WebhookAudiences, WebhookUnsubscribes}

// Webhook is an address that is sent what happens on a site; docs/audiences.md has the form.
type Webhook struct {
	// URL is https, or http to a loopback host; without user and fragment, unique in the site.
	URL string
	// SecretEnv names the environment variable of `consumer jobs` that holds the secret of the signatures.
	SecretEnv string
	// Events are what is sent: at least one.
	Events []WebhookEvent
}

// webhookFields are the keys of a webhook.
var webhookFields = []field[Webhook]{
	{name: "url", required: true, read: readWebhookURL},
	{name: "secret_env", required: true, read: readSecretEnv},
	{name: "events", required: true, read: readWebhookEvents},
}

func readWebhooks(p *problems, path string, node ast.Node, s *Site) {
	firstWith := map[string]string{} // URL to the path of its webhook
	readList(p, path, node, func(path string, element ast.Node) {
		var webhook Webhook
		readMapping(p, path, element, webhookFields, &webhook)
		s.Webhooks = append(s.Webhooks, webhook)
		if webhook.URL == "" {
			return
		}
		if first, taken := firstWith[webhook.URL]; taken {
			p.add(placeOf(element, "url"), path+".url", "is that of %s already", first)
			return
		}
		firstWith[webhook.URL] = path
	})
	if len(s.Webhooks) > MaxWebhooks {
		p.add(start(node), path, "has %d webhooks; at most %d are allowed", len(s.Webhooks), MaxWebhooks)
	}
}

func readWebhookURL(p *problems, path string, node ast.Node, w *Webhook) {
	text, ok := readText(p, path, node)
	if !ok {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || len(text) > maxWebhookURL || u.Scheme != "https" && u.Scheme != "http":
		p.add(start(node), path, "%s is not an address; write https://, a host and a path, at most %d bytes", quoted(text), maxWebhookURL)
	case u.User != nil || strings.Contains(text, "#"): // the value is not shown: it may hold a password
		p.add(start(node), path, "has a user or a fragment; the signature tells who sends, so remove it")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		p.add(start(node), path, "%s is not https; http is for hosts of the machine itself only, such as localhost", quoted(text))
	default:
		w.URL = text
	}
}

// isLoopback tells whether a host is the machine itself, by its name.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

var envPattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,127}$`)

func readSecretEnv(p *problems, path string, node ast.Node, w *Webhook) {
	w.SecretEnv = readEnvName(p, path, node)
}

// readEnvName returns the name of an environment variable, or "" after adding a problem.
func readEnvName(p *problems, path string, node ast.Node) string {
	name, _ := textOf(node)
	if !envPattern.MatchString(name) { // the value is not shown: it may be the secret itself
		p.add(start(node), path, "is not the name of an environment variable; write 1 to 128 of A-Z, 0-9 and _, beginning with a letter, never the secret")
		return ""
	}
	return name
}

func readWebhookEvents(p *problems, path string, node ast.Node, w *Webhook) {
	readList(p, path, node, func(path string, element ast.Node) {
		event := readWord(p, path, element, "what a webhook can be sent", WebhookEvents)
		switch {
		case event == "":
		case slices.Contains(w.Events, event):
			p.add(start(element), path, "is here for the second time")
		default:
			w.Events = append(w.Events, event)
		}
	})
	if list, ok := node.(*ast.SequenceNode); ok && len(list.Values) == 0 {
		p.add(start(node), path, "is empty; a webhook needs at least one event")
	}
}
