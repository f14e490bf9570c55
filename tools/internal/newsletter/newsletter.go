// Package newsletter makes the events of a newsletter whose truth is known: who read it, who clicked, and which hits were
// made by machines.
package newsletter

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/tools/internal/answers"
)

// Newsletter is what the collector sees, and the truth.
type Newsletter struct {
	Hits []answers.MailHit
	// Pages are what people looked at on the site; a page comes after a click of its visitor.
	Pages  []answers.MailPage
	Orders []answers.MailOrder
	// Readers are the recipients whose mail a person read, seen or not; Clickers those whose links a person clicked.
	Readers, Clickers map[string]bool
	// PersonClicks and MachineClicks are the ids of clicks.
	PersonClicks, MachineClicks map[string]bool
}

// Links is how many links the message has.
const Links = 8

const (
	calmAgent  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	gmailAgent = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
	appleAgent = "Mozilla/5.0"
	macAgent   = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
	birdAgent  = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.6.0"
)

// outlooks are those of Outlook on the desktop.
var outlooks = []change{
	agent("Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.8431; Pro)", "Windows", "desktop"),
	agent("Mozilla/4.0 (compatible; ms-office; MSOffice 16)", "", "unknown"),
}

// New makes a newsletter of so many recipients, sent at an instant.
func New(seed uint64, campaign string, recipients int, sent time.Time) *Newsletter {
	n := &Newsletter{Readers: map[string]bool{}, Clickers: map[string]bool{}, PersonClicks: map[string]bool{}, MachineClicks: map[string]bool{}}
	random := rand.New(rand.NewPCG(seed, 8))
	for i := range recipients {
		r := &recipient{
			Rand: random, n: n, campaign: campaign, sent: sent, id: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, campaign, seed, i)).String(),
			message: fmt.Sprint("m-", i), network: fmt.Sprintf("81.%d.%d.0", i/250, i%250), visitor: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "visitor", campaign, seed, i)).String(),
		}
		r.delivered = sent.Add(r.between(time.Second, 40*time.Second))
		r.live(i % 100)
	}
	return n
}

// Unseen is how many people read without images and without a click: no collector sees anything of them.
func (n *Newsletter) Unseen() int {
	seen := map[string]bool{}
	for _, h := range n.Hits {
		if h.Hit == "open" || h.Hit == "click" {
			seen[h.Recipient] = true
		}
	}
	unseen := 0
	for reader := range n.Readers {
		if !seen[reader] {
			unseen++
		}
	}
	return unseen
}

// recipient is one of them, and whoever reads their mail.
type recipient struct {
	*rand.Rand
	n                                       *Newsletter
	campaign, id, message, network, visitor string
	sent, delivered                         time.Time
}

// live is what happens to the mail; share is 0 to 99.
func (r *recipient) live(share int) {
	r.event("sent", "", r.sent)
	if share == 99 {
		r.event("bounced", "", r.delivered)
		return
	}
	r.event("delivered", "", r.delivered)
	if share == 98 {
		r.withoutRecipient()
		return
	}
	switch {
	case share < 30: // a client that shows images
		client := map[int]change{0: agent(birdAgent, "Linux", "desktop"), 1: agent(macAgent, "MacOS", "desktop")}[share%10]
		r.read(func(at time.Time) {
			if client == nil {
				r.event("open", "", at)
			} else {
				r.event("open", "", at, client)
			}
		})
	case share < 55: // Apple Mail fetches the images whether the mail is read or not
		r.event("open", "", r.delivered.Add(r.between(time.Minute, 6*time.Hour)), traffic("machine_open", appleAgent), network("172.224.0.0"))
		r.read(nil)
	case share < 73: // Gmail
		r.read(func(at time.Time) { r.event("open", "", at, traffic("mail_proxy", gmailAgent), network("66.249.0.0")) })
	case share < 80: // Outlook on the desktop shows images to half of its readers
		r.read(func(at time.Time) {
			if r.IntN(2) == 0 {
				r.event("open", "", at, outlooks[share%len(outlooks)])
			}
		})
	default:
		r.scan(share % 5)
		r.read(func(at time.Time) { r.event("open", "", at) })
	}
	if share%33 == 7 {
		r.forward()
	}
}

// scan is what a gateway does with the mail before it shows it.
func (r *recipient) scan(gateway int) {
	switch gateway {
	case 0: // all links, some of them at once, 20 to 60 s later, and some again from elsewhere
		at := r.delivered.Add(r.between(20*time.Second, time.Minute))
		r.event("open", "", at, network("198.18.1.0"))
		for link := range Links {
			r.click(link+1, at.Add(time.Duration(link)*r.between(0, 900*time.Millisecond)), network("198.18.1.0"))
		}
		r.click(1+r.IntN(Links), at.Add(r.between(10*time.Second, 12*time.Second)), network("198.18.2.0"))
	case 1: // known as what it is: HEAD requests, and then from a data centre
		at := r.delivered.Add(r.between(0, time.Hour))
		r.click(1, at, network("104.131.3.0"), traffic("datacenter", calmAgent), func(h *answers.MailHit) { h.Head = true })
		r.click(2, at.Add(time.Second), network("104.131.3.0"), traffic("datacenter", calmAgent))
	case 2: // one link of each mail, all mails at once
		r.click(1+r.IntN(Links), r.sent.Add(90*time.Second+r.between(0, 25*time.Second)), network("198.18.4.0"))
	case 3: // all links in their order, slowly
		at := r.delivered.Add(r.between(time.Minute, time.Hour))
		for link := range Links {
			r.click(link+1, at, network("198.18.5.0"))
			at = at.Add(r.between(6*time.Second, 40*time.Second))
		}
	case 4: // two links, the hidden one among them
		at := r.delivered.Add(r.between(20*time.Second, time.Hour))
		r.machine("honeypot", at, network("198.18.6.0"))
		r.click(1+r.IntN(Links), at.Add(r.between(0, 9*time.Second)), network("198.18.6.0"))
	}
}

// read is a person who perhaps reads, seen by open if at all, and perhaps clicks.
func (r *recipient) read(open func(at time.Time)) {
	if r.IntN(100) >= 45 {
		return
	}
	at := r.delivered.Add(2*time.Hour + r.between(0, 50*time.Hour))
	r.n.Readers[r.id] = true
	if open != nil {
		open(at)
	}
	if r.IntN(100) >= 35 {
		return
	}
	for range 1 + r.IntN(2) {
		at = at.Add(r.between(8*time.Second, 5*time.Minute))
		r.person(at)
	}
	if r.IntN(12) == 0 {
		r.event("unsubscribe", "", at.Add(time.Minute), network("")) // of which no address is kept
	}
}

// person clicks a link, and is perhaps seen on the site.
func (r *recipient) person(at time.Time, changes ...change) {
	r.n.Clickers[r.id] = true
	h := r.event("click", r.link(1+r.IntN(Links)), at, append(changes, func(h *answers.MailHit) { h.Visitor = r.visitor })...)
	r.n.PersonClicks[h.ID] = true
	if r.IntN(2) == 0 {
		return
	}
	landed := at.Add(r.between(time.Millisecond, 80*time.Second))
	r.n.Pages = append(r.n.Pages, answers.MailPage{Visitor: r.visitor, Campaign: r.campaign, At: landed.UTC().Truncate(time.Millisecond)})
	if r.IntN(5) == 0 {
		r.n.Orders = append(r.n.Orders, answers.MailOrder{
			ID: fmt.Sprintf("%s-%d", r.campaign, len(r.n.Orders)), Visitor: r.visitor, At: landed.Add(r.between(2*time.Minute, 20*time.Minute)).UTC().Truncate(time.Millisecond),
			Cents: int64(500 + r.IntN(20_000)),
		})
	}
}

// forward is somebody else who gets the mail from the recipient: their clicks are a person's.
func (r *recipient) forward() {
	at := r.delivered.Add(60*time.Hour + r.between(0, 20*time.Hour))
	r.n.Readers[r.id] = true
	r.event("open", "", at, network("203.0.113.0"))
	r.person(at.Add(20*time.Second), network("203.0.113.0"))
}

// withoutRecipient are the hits of a mail in mode aggregate.
func (r *recipient) withoutRecipient() {
	at := r.delivered.Add(r.between(time.Hour, 50*time.Hour))
	nobody := func(h *answers.MailHit) {
		h.Recipient, h.Message, h.Network, h.Sent = "", "", "", r.sent.Truncate(time.Hour)
	}
	r.event("open", "", at, nobody)
	r.event("open", "", at, nobody, traffic("mail_proxy", gmailAgent))
	r.event("click", r.link(1), at.Add(time.Minute), nobody)
}

type change = func(*answers.MailHit)

func traffic(class, agent string) change {
	return func(h *answers.MailHit) { h.Traffic, h.Agent = class, agent }
}

func agent(name, os, device string) change {
	return func(h *answers.MailHit) { h.Agent, h.OS, h.Device = name, os, device }
}

func network(prefix string) change { return func(h *answers.MailHit) { h.Network = prefix } }

func (r *recipient) link(position int) string { return fmt.Sprintf("%d-%06x", position, position*7919) }

func (r *recipient) click(position int, at time.Time, changes ...change) {
	r.machine(r.link(position), at, changes...)
}

func (r *recipient) machine(link string, at time.Time, changes ...change) {
	r.n.MachineClicks[r.event("click", link, at, changes...).ID] = true
}

func (r *recipient) event(hit, link string, at time.Time, changes ...change) answers.MailHit {
	h := answers.MailHit{
		ID:       uuid.NewSHA1(uuid.Nil, fmt.Append(nil, r.campaign, r.id, len(r.n.Hits))).String(),
		Campaign: r.campaign, Recipient: r.id, Message: r.message, Hit: hit, Link: link, At: at.UTC().Truncate(time.Millisecond), Sent: r.sent,
		Traffic: "person", Network: r.network, Agent: calmAgent, OS: "Windows", Device: "desktop",
	}
	for _, c := range changes {
		c(&h)
	}
	r.n.Hits = append(r.n.Hits, h)
	return h
}

func (r *recipient) between(from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}
