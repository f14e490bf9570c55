package answers

import (
	"math"
	"slices"
	"time"
)

// EmailRow is one of email_stats.
type EmailRow struct {
	Campaign            string `key:"campaign"`
	FirstDay            Day    `col:"first_day"`
	Denominator         string `col:"denominator"`
	Sent                int    `col:"sent"`
	Delivered           Share  `col:"delivered"`
	Bounced             int    `col:"bounced"`
	Complained          int    `col:"complained"`
	OpensHuman          int    `col:"opens_human"`
	OpensProxy          int    `col:"opens_proxy"`
	OpensUnknown        int    `col:"opens_unknown"`
	MachineOpens        int    `col:"machine_opens"`
	OpenersHuman        int    `col:"openers_human"`
	OpenersProxy        int    `col:"openers_proxy"`
	MachineOpeners      int    `col:"machine_openers"`
	Confirmed           int    `col:"confirmed"`
	OpenRate            Share  `col:"open_rate"`
	Trackable           Share  `col:"trackable"`
	ConfirmedTrackable  Share  `col:"confirmed_trackable"`
	OpenRateTrackable   Share  `col:"open_rate_trackable"`
	Estimated           Share  `col:"estimated_openers"`
	Low                 Share  `col:"estimated_low"`
	High                Share  `col:"estimated_high"`
	Clicks              int    `col:"clicks"`
	ClicksUnknown       int    `col:"clicks_unknown"`
	MachineClicks       int    `col:"machine_clicks"`
	Clickers            int    `col:"clickers"`
	CTR                 Share  `col:"ctr"`
	CTOR                Share  `col:"ctor"`
	Unsubscribed        int    `col:"unsubscribed"`
	MachineUnsubscribed int    `col:"machine_unsubscribed"`
	UnsubscribeRate     Share  `col:"unsubscribe_rate"`
	WithoutRecipient    int    `col:"hits_without_recipient"`
}

// reader is what one recipient did, or one hit without a recipient.
type reader struct {
	known bool
	// n are numbers of hits by hit and class; of deliveries by hit alone.
	n                  map[string]int
	delivered, bounced time.Time
	arrived, trackable bool
}

func (r *reader) confirmed() bool {
	return r.known && r.n["open human"]+r.n["open proxy"]+r.n["click human"] > 0
}

// chosen are the campaigns whose first hit is in the range.
func (m *Mail) chosen(r Range) (names []string) {
	for name, hits := range m.campaigns {
		if r.has(dayOf(hits[0].At)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func dayOf(t time.Time) Day { return Day(t.UTC().Format(time.DateOnly)) }

// readers are those of a campaign, and what its rates are shares of.
func (m *Mail) readers(campaign string) (all map[string]*reader, denominator string) {
	hits := m.campaigns[campaign]
	all = map[string]*reader{}
	denominator = "none"
	for _, h := range hits {
		who := h.Recipient
		if who == "" {
			who = h.ID
		}
		r := all[who]
		if r == nil {
			r = &reader{known: h.Recipient != "", n: map[string]int{}}
			all[who] = r
		}
		r.n[h.Hit]++
		r.n[h.Hit+" "+h.class]++
		switch {
		case h.Hit == "delivered":
			r.delivered, denominator = h.At, "delivered"
		case h.Hit == "bounced":
			r.bounced = h.At
		case h.Hit == "sent" && denominator == "none":
			denominator = "sent"
		}
	}
	hidden := m.hidden(dayOf(hits[0].At).Add(-90), dayOf(hits[len(hits)-1].At))
	for who, r := range all {
		bounced := !r.bounced.IsZero() && !r.delivered.After(r.bounced)
		switch denominator {
		case "delivered":
			r.arrived = !bounced && !r.delivered.IsZero()
		case "sent":
			r.arrived = !bounced && r.n["sent"] > 0
		}
		r.trackable = r.arrived && r.known && !hidden[who]
	}
	return all, denominator
}

// hidden are the recipients who have an open by Apple Mail on one of these days, in whatever campaign.
func (m *Mail) hidden(from, to Day) map[string]bool {
	all := map[string]bool{}
	for _, h := range m.hits {
		if h.Hit == "open" && h.Traffic == "machine_open" && h.Recipient != "" && (Range{from, to}).has(dayOf(h.At)) {
			all[h.Recipient] = true
		}
	}
	return all
}

// EmailStats answers: who opened, who clicked?
func (m *Mail) EmailStats(r Range) []EmailRow {
	var rows []EmailRow
	for _, campaign := range m.chosen(r) {
		readers, denominator := m.readers(campaign)
		row := EmailRow{Campaign: campaign, FirstDay: dayOf(m.campaigns[campaign][0].At), Denominator: denominator}
		var delivered, trackable, seen, seenHidden int
		for _, r := range readers {
			row.add(r)
			delivered += one(r.arrived)
			trackable += one(r.trackable)
			seen += one(r.trackable && r.confirmed())
			seenHidden += one(r.arrived && !r.trackable && r.confirmed())
		}
		row.CTOR = share64(row.Clickers, row.Confirmed)
		if denominator != "none" {
			row.rates(delivered, trackable, seen, seenHidden)
		}
		rows = append(rows, row)
	}
	return rows
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (row *EmailRow) add(r *reader) {
	row.Sent += one(r.n["sent"] > 0)
	row.Bounced += one(!r.bounced.IsZero() && !r.delivered.After(r.bounced))
	row.Complained += one(r.n["complained"] > 0)
	row.OpensHuman += r.n["open human"]
	row.OpensProxy += r.n["open proxy"]
	row.OpensUnknown += r.n["open unknown"]
	row.MachineOpens += r.n["open machine"]
	row.Clicks += r.n["click human"]
	row.ClicksUnknown += r.n["click unknown"]
	row.MachineClicks += r.n["click machine"]
	if !r.known {
		row.WithoutRecipient += r.n["open human"] + r.n["open proxy"] + r.n["open unknown"] + r.n["click human"] + r.n["click unknown"]
		return
	}
	row.OpenersHuman += one(r.n["open human"] > 0)
	row.OpenersProxy += one(r.n["open proxy"] > 0)
	row.MachineOpeners += one(r.n["open machine"] > 0)
	row.Confirmed += one(r.confirmed())
	row.Clickers += one(r.n["click human"] > 0)
	row.Unsubscribed += one(r.n["unsubscribe"] > r.n["unsubscribe machine"])
	row.MachineUnsubscribed += one(r.n["unsubscribe machine"] > 0)
}

func (row *EmailRow) rates(delivered, trackable, seen, seenHidden int) {
	d, t, s := float64(delivered), float64(trackable), float64(seen)
	row.Delivered, row.Trackable, row.ConfirmedTrackable = &d, &t, &s
	row.OpenRate, row.CTR, row.UnsubscribeRate = share64(row.Confirmed, delivered), share64(row.Clickers, delivered), share64(row.Unsubscribed, delivered)
	row.OpenRateTrackable = share64(seen, trackable)
	if row.OpenRateTrackable == nil {
		return
	}
	p, others := *row.OpenRateTrackable, d-t
	foretold := func(share float64) *float64 {
		n := s + max(others*share, float64(seenHidden))
		return &n
	}
	row.Estimated, row.Low, row.High = foretold(p), foretold(0), foretold(0)
	if others > 0 {
		low, high := wilsonOf(p, t*others/d)
		row.Low, row.High = foretold(low), foretold(high)
	}
}

// wilsonOf is wilson of a number of observations that need not be whole.
func wilsonOf(p, n float64) (low, high float64) {
	z := math.Sqrt2 * math.Erfinv(0.95)
	middle, half := (p+z*z/(2*n))/(1+z*z/n), z/(1+z*z/n)*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return middle - half, middle + half
}

// EmailLinkRow is one of link_stats.
type EmailLinkRow struct {
	Campaign      string `key:"campaign"`
	Link          string `key:"link_id"`
	Clicks        int    `col:"clicks"`
	Clickers      int    `col:"clickers"`
	Share         Share  `col:"share"`
	ClicksUnknown int    `col:"clicks_unknown"`
	MachineClicks int    `col:"machine_clicks"`
}

// LinkStats answers: which links were clicked?
func (m *Mail) LinkStats(r Range) (rows []EmailLinkRow) {
	for _, campaign := range m.chosen(r) {
		links, clickers, clicks := map[string]*EmailLinkRow{}, map[[2]string]bool{}, 0
		for _, h := range m.campaigns[campaign] {
			if h.Hit != "click" {
				continue
			}
			row := links[h.Link]
			if row == nil {
				row = &EmailLinkRow{Campaign: campaign, Link: h.Link}
				links[h.Link] = row
			}
			switch h.class {
			case "human":
				clicks++
				row.Clicks++
				row.Clickers += one(h.Recipient != "" && !clickers[[2]string{h.Link, h.Recipient}])
				clickers[[2]string{h.Link, h.Recipient}] = true
			case "unknown":
				row.ClicksUnknown++
			case "machine":
				row.MachineClicks++
			}
		}
		for _, row := range links {
			row.Share = share64(row.Clicks, clicks)
			rows = append(rows, *row)
		}
	}
	return rows
}
