package answers

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MailHit is an event of an e-mail as the collector knows it.
type MailHit struct {
	// ID is the event id, a UUID in lower case.
	ID string
	// Recipient is a UUID, empty in mode aggregate; as Message.
	Campaign, Recipient, Message string
	// Hit is open, click, unsubscribe, sent, delivered, bounced or complained.
	Hit, Link string
	// Sent is zero when nobody knows.
	At, Sent time.Time
	// Traffic is the traffic class of the arrival, Network the prefix of the address, empty when nobody knows.
	Traffic, Network, Agent, Visitor string
	// OS and Device are those of the agent.
	OS, Device string
	Head       bool
}

// MailPage is a page view on the site of a visitor whose browser has the cookie. Campaign is that of its URL.
type MailPage struct {
	Visitor, Campaign string
	At                time.Time
	Bot               bool
}

// MailOrder is an order of such a visitor.
type MailOrder struct {
	ID, Visitor string
	At          time.Time
	Cents       int64
}

// mailHit is a hit with what is known of it.
type mailHit struct {
	MailHit
	rule, class string
}

// Mail answers the questions about e-mails, of hits whose days are those of UTC.
type Mail struct {
	hits []*mailHit
	// campaigns are the hits of each, in the order of time.
	campaigns map[string][]*mailHit
}

// NewMail classifies the hits.
func NewMail(hits []MailHit, pages []MailPage) *Mail {
	m := &Mail{campaigns: map[string][]*mailHit{}}
	for _, h := range hits {
		hit := &mailHit{MailHit: h}
		m.hits = append(m.hits, hit)
		m.campaigns[h.Campaign] = append(m.campaigns[h.Campaign], hit)
	}
	views := map[string][]time.Time{}
	for _, p := range pages {
		if !p.Bot {
			views[p.Visitor] = append(views[p.Visitor], p.At)
		}
	}
	for _, all := range m.campaigns {
		slices.SortFunc(all, func(a, b *mailHit) int {
			return cmp.Or(a.At.Compare(b.At), compareIDs(a.ID, b.ID))
		})
		j := newMailJudge(all, views)
		for _, h := range all {
			h.rule = j.rule(h)
		}
		j.scannerNetworks(all)
		for _, h := range all {
			h.class = mailClasses[h.rule]
		}
	}
	return m
}

// Explained are the rules of the hits by event id.
func (m *Mail) Explained() map[string]string {
	rules := map[string]string{}
	for _, h := range m.hits {
		switch h.Hit {
		case "open", "click", "unsubscribe":
			rules[h.ID] = h.rule
		}
	}
	return rules
}

// mailClasses are the classes of the rules that are not a machine's are listed; all others are.
var mailClasses = map[string]string{
	"head": "machine", "crawler": "machine", "nonbrowser": "machine", "impossible": "machine", "prefetch": "machine", "machine_open": "machine",
	"scanner": "machine", "datacenter": "machine", "honeypot": "machine", "sweep": "machine", "in_order": "machine", "together": "machine",
	"early": "machine", "network": "machine",
	"on_site": "human", "calm": "human", "image_proxy": "proxy",
	"reported": "unknown", "aggregate": "unknown", "scanner_network": "unknown",
}

// mailJudge knows the hits of one campaign.
type mailJudge struct {
	views map[string][]time.Time
	// byRecipient and byMessage are in the order of time.
	byRecipient, byMessage map[string][]*mailHit
	// sweeps are the clicks of sweeps by message.
	sweeps map[string][]time.Time
	// slow are the messages whose links were clicked in their order, and until when.
	slow map[string]time.Time
	// crowds are the recipients of a network by the half minute in which a minute begins.
	crowds map[string]map[int64]map[string]bool
}

func (h *mailHit) message() string { return h.Recipient + " " + h.Message }

func (h *mailHit) half() int64 { return h.At.UnixMilli() / 30_000 }

// position of the link in its message; 0 when its id does not tell.
func (h *mailHit) position() int {
	number, hash, found := strings.Cut(h.Link, "-")
	if n, err := strconv.ParseUint(number, 10, 16); found && err == nil && len(hash) == 6 {
		return int(n)
	}
	return 0
}

func newMailJudge(all []*mailHit, views map[string][]time.Time) *mailJudge {
	j := &mailJudge{
		views: views, byRecipient: map[string][]*mailHit{}, byMessage: map[string][]*mailHit{}, sweeps: map[string][]time.Time{},
		slow: map[string]time.Time{}, crowds: map[string]map[int64]map[string]bool{},
	}
	positions := map[int]bool{}
	for _, h := range all {
		if h.Recipient == "" {
			continue
		}
		j.byRecipient[h.Recipient] = append(j.byRecipient[h.Recipient], h)
		j.byMessage[h.message()] = append(j.byMessage[h.message()], h)
		if h.Hit != "click" {
			continue
		}
		if p := h.position(); p > 0 {
			positions[p] = true
		}
		if h.Network != "" {
			j.meet(h)
		}
	}
	for message, hits := range j.byMessage {
		j.findSweeps(message, hits)
		j.findSlow(message, hits, len(positions))
	}
	return j
}

func (j *mailJudge) meet(h *mailHit) {
	if j.crowds[h.Network] == nil {
		j.crowds[h.Network] = map[int64]map[string]bool{}
	}
	for _, minute := range []int64{h.half() - 1, h.half()} {
		if j.crowds[h.Network][minute] == nil {
			j.crowds[h.Network][minute] = map[string]bool{}
		}
		j.crowds[h.Network][minute][h.Recipient] = true
	}
}

func (j *mailJudge) findSweeps(message string, hits []*mailHit) {
	for _, first := range hits {
		links := map[string]bool{}
		var clicks []time.Time
		for _, h := range hits {
			if after := h.At.Sub(first.At); h.Hit == "click" && after >= 0 && after <= 10*time.Second {
				links[h.Link] = true
				clicks = append(clicks, h.At)
			}
		}
		if len(links) >= 3 {
			j.sweeps[message] = append(j.sweeps[message], clicks...)
		}
	}
}

// findSlow looks whether the clicks of the first ten minutes are one on each link, in their order.
func (j *mailJudge) findSlow(message string, hits []*mailHit, links int) {
	var until time.Time
	var positions []int
	for _, h := range hits {
		if h.Hit != "click" || h.position() == 0 {
			continue
		}
		if until.IsZero() {
			until = h.At.Add(10 * time.Minute)
		}
		if !h.At.After(until) {
			positions = append(positions, h.position())
		}
	}
	ascending := slices.Clone(positions)
	slices.Sort(ascending)
	if len(positions) >= 4 && len(positions) == links && slices.Equal(positions, ascending) && len(slices.Compact(ascending)) == links {
		j.slow[message] = until
	}
}

// rule is that of a hit, but for scanner_network.
func (j *mailJudge) rule(h *mailHit) string {
	switch h.Hit {
	case "open", "click", "unsubscribe":
	default:
		return ""
	}
	declared := []string{"crawler", "nonbrowser", "impossible", "prefetch", "machine_open", "scanner", "datacenter"}
	switch {
	case h.Head:
		return "head"
	case slices.Contains(declared, h.Traffic):
		return h.Traffic
	case h.Hit == "click" && h.Link == "honeypot" || j.near(h, j.byRecipient[h.Recipient], 10*time.Second, func(o *mailHit) bool { return o.Hit == "click" && o.Link == "honeypot" }):
		return "honeypot"
	case j.onSite(h):
		return "on_site"
	case slices.ContainsFunc(j.sweeps[h.message()], func(at time.Time) bool { return apart(at, h.At) <= 15*time.Second }):
		return "sweep"
	case h.Hit == "click" && !j.slow[h.message()].Before(h.At):
		return "in_order"
	case j.together(h):
		return "together"
	case j.early(h):
		return "early"
	case h.Recipient != "" && h.Hit != "unsubscribe" && max(len(j.crowds[h.Network][h.half()]), len(j.crowds[h.Network][h.half()-1])) > 10:
		return "network"
	case h.Traffic == "server":
		return "reported"
	case h.Traffic == "mail_proxy":
		return "image_proxy"
	case h.Recipient == "":
		return "aggregate"
	}
	return "calm"
}

func apart(a, b time.Time) time.Duration { return a.Sub(b).Abs() }

// near tells that one of the others fulfils the condition and is at most so far away. Hits without a recipient have no others.
func (j *mailJudge) near(h *mailHit, others []*mailHit, within time.Duration, is func(*mailHit) bool) bool {
	return h.Recipient != "" && slices.ContainsFunc(others, func(o *mailHit) bool { return is(o) && apart(o.At, h.At) <= within })
}

func (j *mailJudge) together(h *mailHit) bool {
	other := map[string]string{"click": "unsubscribe", "unsubscribe": "click"}[h.Hit]
	return other != "" && j.near(h, j.byMessage[h.message()], time.Second-time.Millisecond, func(o *mailHit) bool { return o.Hit == other })
}

func (j *mailJudge) onSite(h *mailHit) bool {
	return h.Hit == "click" && h.Visitor != "" && slices.ContainsFunc(j.views[h.Visitor], func(at time.Time) bool {
		after := at.Sub(h.At)
		return after >= 0 && after <= time.Minute
	})
}

func (j *mailJudge) early(h *mailHit) bool {
	if h.Recipient == "" || h.Hit == "unsubscribe" {
		return false
	}
	since := h.Sent
	for _, o := range j.byMessage[h.message()] { // in the order of time
		if o.Hit == "delivered" {
			since = o.At
			break
		}
	}
	after := h.At.Sub(since)
	return !since.IsZero() && after >= -time.Minute && after < 10*time.Second
}

// scannerNetworks is the rule that looks at what the others have found.
func (j *mailJudge) scannerNetworks(all []*mailHit) {
	scanners := map[string]bool{}
	for _, h := range all {
		switch h.rule {
		case "head", "scanner", "honeypot", "sweep", "in_order":
			if h.Recipient != "" && h.Network != "" {
				scanners[h.Recipient+h.Network] = true
			}
		}
	}
	for _, h := range all {
		if (h.rule == "calm" || h.rule == "image_proxy") && scanners[h.Recipient+h.Network] {
			h.rule = "scanner_network"
		}
	}
}
