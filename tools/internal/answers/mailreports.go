package answers

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// EmailHourRow is one of email_timeline.
type EmailHourRow struct {
	Campaign     string `key:"campaign"`
	Hour         string `key:"hour"`
	Openers      int    `col:"openers"`
	Clickers     int    `col:"clickers"`
	MachineOpens int    `col:"machine_opens"`
}

// EmailTimeline answers: when do people read? Hours begin in the zone.
func (m *Mail) EmailTimeline(r Range, zone *time.Location) (rows []EmailHourRow) {
	for _, campaign := range m.chosen(r) {
		hours := map[string]*EmailHourRow{}
		at := func(t time.Time) *EmailHourRow {
			hour := t.In(zone).Format("2006-01-02 15:00:00")
			if hours[hour] == nil {
				hours[hour] = &EmailHourRow{Campaign: campaign, Hour: hour}
			}
			return hours[hour]
		}
		opened, clicked := map[string]bool{}, map[string]bool{}
		for _, h := range m.campaigns[campaign] { // in the order of time
			switch {
			case h.Hit == "open" && h.class == "machine":
				at(h.At).MachineOpens++
			case h.Recipient == "":
			case h.Hit == "open" && (h.class == "human" || h.class == "proxy") && !opened[h.Recipient]:
				opened[h.Recipient] = true
				at(h.At).Openers++
			case h.Hit == "click" && h.class == "human" && !clicked[h.Recipient]:
				clicked[h.Recipient] = true
				at(h.At).Clickers++
			}
		}
		for _, row := range hours {
			rows = append(rows, *row)
		}
	}
	return rows
}

// EmailClientRow is one of email_clients.
type EmailClientRow struct {
	Campaign     string `key:"campaign"`
	Client       string `key:"client"`
	OS           string `key:"os"`
	Device       string `key:"device"`
	Opens        int    `col:"opens"`
	Openers      int    `col:"openers"`
	Share        Share  `col:"share"`
	OpensUnknown int    `col:"opens_unknown"`
	MachineOpens int    `col:"machine_opens"`
}

// EmailClients answers: by what do people read?
func (m *Mail) EmailClients(r Range) (rows []EmailClientRow) {
	for _, campaign := range m.chosen(r) {
		clients, openers, opens := map[EmailClientRow]*EmailClientRow{}, map[string]bool{}, 0
		for _, h := range m.campaigns[campaign] {
			if h.Hit != "open" {
				continue
			}
			key := EmailClientRow{Campaign: campaign, Client: h.client(), OS: h.OS, Device: h.Device}
			if h.Traffic == "mail_proxy" || h.Traffic == "machine_open" {
				key.OS, key.Device = "", ""
			}
			row := clients[key]
			if row == nil {
				row = &EmailClientRow{}
				*row = key
				clients[key] = row
			}
			switch h.class {
			case "human", "proxy":
				opens++
				row.Opens++
				who := fmt.Sprint(key, h.Recipient)
				row.Openers += one(h.Recipient != "" && !openers[who])
				openers[who] = true
			case "unknown":
				row.OpensUnknown++
			case "machine":
				row.MachineOpens++
			}
		}
		for _, row := range clients {
			row.Share = share64(row.Opens, opens)
			rows = append(rows, *row)
		}
	}
	return rows
}

// client is what the mail was opened with.
func (h *mailHit) client() string {
	for _, known := range [][2]string{{"GoogleImageProxy", "Gmail"}, {"YahooMailProxy", "Yahoo Mail"}} {
		if strings.Contains(h.Agent, known[0]) {
			return known[1]
		}
	}
	switch {
	case h.Traffic == "machine_open":
		return "Apple Mail"
	case h.Traffic == "mail_proxy":
		return "other proxy"
	case strings.Contains(h.Agent, "Outlook") || strings.Contains(h.Agent, "ms-office"):
		return "Outlook"
	case strings.Contains(h.Agent, "Thunderbird"):
		return "Thunderbird"
	case strings.Contains(h.Agent, "Mac OS X") && strings.HasSuffix(h.Agent, "(KHTML, like Gecko)"):
		return "Apple Mail"
	}
	return "browser or app"
}

// EmailTrackableRow is one of email_trackable.
type EmailTrackableRow struct {
	Campaign   string `key:"campaign"`
	State      string `key:"state"`
	Recipients int    `col:"recipients"`
	Share      Share  `col:"share"`
	Confirmed  int    `col:"confirmed"`
}

// EmailTrackable answers: of how many can opens be seen?
func (m *Mail) EmailTrackable(r Range) (rows []EmailTrackableRow) {
	for _, campaign := range m.chosen(r) {
		readers, _ := m.readers(campaign)
		states, all := map[string]*EmailTrackableRow{}, 0
		for _, r := range readers {
			if !r.arrived {
				continue
			}
			state := "trackable"
			switch {
			case !r.known:
				state = "no_recipient"
			case !r.trackable:
				state = "apple_mail"
			case r.n["open"] == 0 && r.n["click human"] > 0:
				state = "images_blocked"
			}
			if states[state] == nil {
				states[state] = &EmailTrackableRow{Campaign: campaign, State: state}
			}
			all++
			states[state].Recipients++
			states[state].Confirmed += one(r.confirmed())
		}
		for _, row := range states {
			row.Share = share64(row.Recipients, all)
			rows = append(rows, *row)
		}
	}
	return rows
}

// MachineShareRow is one of machine_share.
type MachineShareRow struct {
	Key         string   `key:"key"`
	Hits        int      `col:"hits"`
	MachineHits int      `col:"machine_hits"`
	UnknownHits int      `col:"unknown_hits"`
	Share       Share    `col:"share"`
	Recipients  int      `col:"recipients"`
	Rules       []string `col:"rules"`
}

// MachineShare answers: by what do machines come? by is network, user_agent or rule.
func (m *Mail) MachineShare(r Range, by string) (rows []MachineShareRow) {
	keys, readers := map[string]*MachineShareRow{}, map[[2]string]bool{}
	for _, campaign := range m.chosen(r) {
		for _, h := range m.campaigns[campaign] {
			if h.Hit != "open" && h.Hit != "click" {
				continue
			}
			key := map[string]string{"network": h.Network, "user_agent": h.Agent, "rule": h.rule}[by]
			if keys[key] == nil {
				keys[key] = &MachineShareRow{Key: key}
			}
			keys[key].add(h)
			keys[key].Recipients += one(h.Recipient != "" && !readers[[2]string{key, h.Recipient}])
			readers[[2]string{key, h.Recipient}] = true
		}
	}
	for _, row := range keys {
		row.Share = share64(row.MachineHits, row.Hits)
		rows = append(rows, *row)
	}
	return rows
}

func (row *MachineShareRow) add(h *mailHit) {
	row.Hits++
	switch h.class {
	case "unknown":
		row.UnknownHits++
	case "machine":
		row.MachineHits++
		if !slices.Contains(row.Rules, h.rule) {
			row.Rules = append(row.Rules, h.rule)
		}
	}
}
