package enrich

import (
	"strings"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

// The traffic classes: who, or what kind of machine, made the event happen. Machines are marked, never deleted.
const (
	// ClassPerson is everybody of whom nothing else is known.
	ClassPerson = "person"
	// ClassServer is a site's own server that reports what a person did (transport server) under its own name.
	ClassServer = "server"
	// ClassMailProxy is a mail provider that acts for its reader: it fetches the image when the mail is read, or sends the
	// one-click unsubscription of RFC 8058. The reader's browser stays unknown.
	ClassMailProxy = "mail_proxy"
	// ClassCrawler is a program that says what it is: crawlers, monitors, link previews, automated browsers.
	ClassCrawler = "crawler"
	// ClassNonbrowser is a user agent that is no browser's: none, a library for HTTP, a bare Mozilla/5.0.
	ClassNonbrowser = "nonbrowser"
	// ClassPrefetch is a page fetched ahead of time, which perhaps nobody will see.
	ClassPrefetch = "prefetch"
	// ClassMachineOpen is Apple Mail, which fetches the images of every mail whether it is read or not.
	ClassMachineOpen = "machine_open"
	// ClassScanner is a mail provider that looks into a mail before it delivers it.
	ClassScanner = "scanner"
	// ClassImpossible calls itself a browser that there can't be.
	ClassImpossible = "impossible"
	// ClassDatacenter calls itself a browser, and comes from where servers are.
	ClassDatacenter = "datacenter"
)

// TrafficClasses are all traffic classes. The first three are a person's doing, the others are bots (Facts.IsBot).
// docs/quality.md says what each means.
var TrafficClasses = []string{
	ClassPerson, ClassServer, ClassMailProxy,
	ClassCrawler, ClassNonbrowser, ClassPrefetch, ClassMachineOpen, ClassScanner, ClassImpossible, ClassDatacenter,
}

// mailScanners are the whole user agents of scanners; browsers of people don't send them.
// Source: Mautic pull request 10245 (a Gmail scanner).
var mailScanners = map[string]bool{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0": true,
}

// applePrivacyProxy is all that Apple Mail Privacy Protection says of itself. Source: uap-core issue 509.
const applePrivacyProxy = "Mozilla/5.0"

// isBot tells the classes that are no person's doing.
func isBot(class string) bool {
	return class != ClassPerson && class != ClassServer && class != ClassMailProxy
}

// trafficClass decides by what is most certain first.
func (e *Enricher) trafficClass(event *onepxv1.Event) string {
	userAgent := event.GetClient().GetUserAgent()
	if class := mailClass(event.GetKind(), userAgent); class != "" {
		return class
	}
	class := e.crawlers.class(userAgent)
	switch {
	case class == ClassCrawler:
		return ClassCrawler
	case event.GetTransport().GetPrefetch():
		return ClassPrefetch
	case class != ClassNonbrowser && !singleToken(userAgent):
		return browserClass(event)
	case event.GetTransport().GetKind() == onepxv1.TransportKind_TRANSPORT_KIND_SERVER:
		return ClassServer
	case event.GetKind() == onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE:
		return ClassMailProxy
	case event.GetKind() == onepxv1.EventKind_EVENT_KIND_EMAIL_OPEN && userAgent == applePrivacyProxy:
		return ClassMachineOpen
	}
	return ClassNonbrowser
}

// browserClass judges what calls itself a browser. When a mail is read or left by such a one from a data centre, it is a mail
// provider that acts for its reader under a browser's name, as Outlook.com does; people click in mails themselves.
func browserClass(event *onepxv1.Event) string {
	kind := event.GetKind()
	switch {
	case impossible(event.GetClient().GetUserAgent()) != "":
		return ClassImpossible
	case event.GetClient().GetNetworkClass() != onepxv1.NetworkClass_NETWORK_CLASS_DATACENTER,
		event.GetTransport().GetKind() == onepxv1.TransportKind_TRANSPORT_KIND_SERVER: // the address may be the server's own
		return ClassPerson
	case kind == onepxv1.EventKind_EVENT_KIND_EMAIL_OPEN, kind == onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE:
		return ClassMailProxy
	}
	return ClassDatacenter
}

// mailClass knows the mail providers, which the list of crawlers lists as well, but which are none when a mail is read.
func mailClass(kind onepxv1.EventKind, userAgent string) string {
	switch kind {
	case onepxv1.EventKind_EVENT_KIND_EMAIL_OPEN:
		if strings.Contains(userAgent, "GoogleImageProxy") || strings.Contains(userAgent, "YahooMailProxy") {
			return ClassMailProxy
		}
	case onepxv1.EventKind_EVENT_KIND_EMAIL_CLICK:
	default:
		return ""
	}
	if mailScanners[userAgent] {
		return ClassScanner
	}
	return ""
}

// singleToken reports a user agent of a single word, such as none at all, `Mozilla/5.0` or `PostmanRuntime/7.29.0`:
// browsers say in brackets what they run on.
func singleToken(userAgent string) bool { return !strings.ContainsAny(userAgent, " (") }
