// Package mailrules is the closed table of rules by which hits of e-mails are classified. The reports' SQL and the page
// docs/mail-rules.md are made from it.
package mailrules

import (
	"fmt"
	"strings"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

// The classes of hits.
const (
	// Human: a person did it.
	Human = "human"
	// Proxy: a person did it, of whom a mail provider shows nothing.
	Proxy = "proxy"
	// Machine: no person did it.
	Machine = "machine"
	// Unknown: nothing tells a person from a machine.
	Unknown = "unknown"
)

// Limits of the rules.
const (
	// SweepLinks different links of a message within SweepMs are more than a person clicks.
	SweepLinks = 3
	SweepMs    = 10_000
	// SweepNearMs around a click of a sweep everything is the scanner's: some come again from another network 10 to 12 s later.
	SweepNearMs = 15_000
	// HoneypotMs around a click on the hidden link everything is the scanner's.
	HoneypotMs = 10_000
	// OrderLinks in their order within OrderMs are a slow sweep.
	OrderLinks = 4
	OrderMs    = 600_000
	// EarlyMs after its delivery nobody has read a mail; EarlyBeforeMs before it, clocks may differ.
	EarlyMs       = 10_000
	EarlyBeforeMs = 60_000
	// NetworkRecipients whose links one network clicks within two halves of a minute are more than one office has.
	NetworkRecipients = 10
	NetworkHalfMs     = 30_000
	// OnSiteMs after a click the page it leads to has been seen.
	OnSiteMs = 60_000
	// TogetherMs apart, a link and the unsubscription are not clicked by a person.
	TogetherMs = 1000
)

// Rule tells the class of the hits that it applies to.
type Rule struct {
	ID, Class string
	// condition is SQL on the columns that migration 0024 computes for each hit.
	condition string
	// Meaning completes "the hit …".
	Meaning string
}

// declared is a rule of the traffic class that the hit got at its arrival.
func declared(class, meaning string) Rule {
	return Rule{class, Machine, "traffic_class = '" + class + "'", meaning}
}

// ScannerNetwork is the rule that looks at what the others have found.
const ScannerNetwork = "scanner_network"

// scans are the rules after which a network is a scanner's.
var scans = []string{"head", "scanner", "honeypot", "sweep", "in_order"}

// people are the rules whose hits may be a scanner's all the same.
var people = []string{"image_proxy", "calm"}

// Rules are all rules; the first one that applies decides.
var Rules = []Rule{
	{"head", Machine, "head", "asks for the headers only (HEAD)"},
	declared("crawler", "is by a program that says what it is"),
	declared("nonbrowser", "has a user agent that is no browser's"),
	declared("impossible", "has the user agent of a browser that there can't be"),
	declared("prefetch", "was fetched ahead of time"),
	declared("machine_open", "is by Apple Mail, which fetches images whether the mail is read or not"),
	declared("scanner", "has the user agent of a mail provider's scanner"),
	declared("datacenter", "is a click from where servers are"),
	{"honeypot", Machine, "by_honeypot", fmt.Sprintf("is on the hidden link (id `%s`), or of the same recipient at most %d s before or after such a one", mailtoken.Honeypot, HoneypotMs/1000)},
	{"on_site", Human, "on_site", fmt.Sprintf("is a click whose visitor has a page view with a cookie on the site, by a person, at most %d s later", OnSiteMs/1000)},
	{"sweep", Machine, "by_sweep", fmt.Sprintf("is of a message of which %d different links are clicked within %d s, at most %d s before or after one of these clicks", SweepLinks, SweepMs/1000, SweepNearMs/1000)},
	{"in_order", Machine, "in_order", fmt.Sprintf("is a click at most %d minutes after the first one of its message, and the clicks of that time are one on each link of the campaign that has a position and was ever clicked, in their order, at least %d", OrderMs/60_000, OrderLinks)},
	{"together", Machine, "together", fmt.Sprintf("is a click or an unsubscription, and there is the other one of the same message less than %d s before or after", TogetherMs/1000)},
	{"early", Machine, "early", fmt.Sprintf("is an open or click less than %d s after the mail was delivered (without a report of that: sent), and at most %d s before", EarlyMs/1000, EarlyBeforeMs/1000)},
	{"network", Machine, "by_network", fmt.Sprintf("is an open or click from a network that clicks links of more than %d recipients of the campaign within a minute (from :00 or :30)", NetworkRecipients)},
	{"reported", Unknown, "traffic_class = 'server'", "is reported by a server, which does not show who did it"},
	{"aggregate", Unknown, "if(known, false, traffic_class != 'mail_proxy')", "names no recipient (mode `aggregate`), so that nothing can be put beside it"},
	{ScannerNetwork, Unknown, "", "is of a recipient of whom another hit from the same network is a scanner's (`" + strings.Join(scans, "`, `") + "`), where that network may be the recipient's own"},
	{"image_proxy", Proxy, "traffic_class = 'mail_proxy'", "is by a mail provider, when its reader reads or unsubscribes"},
	{"calm", Human, "true", "is none of these"},
}

// Found is the SQL expression of the rule of a hit, but for the one that looks at what the others have found.
func Found() string {
	var b strings.Builder
	b.WriteString("multiIf(")
	for _, r := range Rules[:len(Rules)-1] {
		if r.condition != "" {
			fmt.Fprintf(&b, "%s, '%s', ", r.condition, r.ID)
		}
	}
	return b.String() + "'" + Rules[len(Rules)-1].ID + "')"
}

// IsScan is the SQL condition that the hit found shows a scanner's network.
func IsScan() string { return "found IN " + words(scans) }

// Final is the SQL expression of the rule of a hit whose network is, by the column of_scanner, a scanner's.
func Final() string {
	return "multiIf(NOT of_scanner, found, found IN " + words(people) + ", '" + ScannerNetwork + "', found)"
}

// Class is the SQL expression of the class of the rule in the column rule.
func Class() string {
	ids, classes := make([]string, len(Rules)), make([]string, len(Rules))
	for i, r := range Rules {
		ids[i], classes[i] = r.ID, r.Class
	}
	return "transform(rule, " + array(ids) + ", " + array(classes) + ", '')"
}

func words(of []string) string { return "('" + strings.Join(of, "', '") + "')" }

func array(of []string) string { return "['" + strings.Join(of, "', '") + "']" }
