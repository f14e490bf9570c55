package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// What people and machines say of themselves.
const (
	personAgent  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	machineAgent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
)

// serverEvent is an event as POST /v1/events takes it (docs/pixel.md).
type serverEvent struct {
	Name      string    `json:"e"`
	ID        string    `json:"id"`
	At        time.Time `json:"ts"`
	Visitor   string    `json:"v,omitempty"`
	UserAgent string    `json:"ua,omitempty"`
	URL       string    `json:"u,omitempty"`
	Source    string    `json:"utm_source,omitempty"`
	Medium    string    `json:"utm_medium,omitempty"`
	Campaign  string    `json:"utm_campaign,omitempty"`
	OrderID   string    `json:"order_id,omitempty"`
	Value     string    `json:"value,omitempty"`
	Currency  string    `json:"currency,omitempty"`
	// Choice is "1" for somebody who has allowed audiences.
	Choice string `json:"c,omitempty"`
	// Mail, Message and Recipient are campaign, message and recipient's key of a mail.
	Mail      string       `json:"mail_campaign,omitempty"`
	Message   string       `json:"mail_message,omitempty"`
	Recipient string       `json:"mail_recipient,omitempty"`
	Items     []serverItem `json:"items,omitempty"`
}

// serverItem is an item of an event.
type serverItem struct {
	ID       string `json:"id"`
	Price    string `json:"price,omitempty"`
	Category string `json:"category,omitempty"`
}

// ordering is how long people are in the shop before they order.
const ordering = 10 * time.Minute

// events are those of all people of the journey, seen from now; none is older than the 7 days that the collector takes.
func (j journey) events(now time.Time) []serverEvent {
	var all []serverEvent
	for n := range j.people {
		who := fmt.Sprintf("%s %d", j.name, n+1)
		bought := now.Add(-j.bought - time.Duration(n)*time.Hour)
		agent := personAgent
		if j.machine {
			agent = machineAgent
		}
		for i, t := range j.touches {
			all = append(all, serverEvent{
				Name: t.event, ID: fmt.Sprintf("%s, touch %d", who, i+1), At: bought.Add(-ordering - t.before), Visitor: who, UserAgent: agent,
				URL: "https://shop.localhost/", Source: t.campaign.source, Medium: t.campaign.medium, Campaign: t.campaign.name,
			})
		}
		order := serverEvent{Name: "purchase", ID: who + ", order", At: bought, Visitor: who, UserAgent: agent, URL: "https://shop.localhost/thanks", OrderID: who, Value: j.value, Currency: "EUR"}
		all = append(all, order)
		if j.refund != "" {
			all = append(all, serverEvent{Name: "refund", ID: who + ", refund", At: bought.Add(24 * time.Hour), OrderID: who, Value: j.refund, Currency: "EUR"})
		}
	}
	return all
}

// String is the journey in a line.
func (j journey) String() string {
	who := "people"
	if j.machine {
		who = "machine"
	}
	text := fmt.Sprintf("%2d %s: %s, order of %s", j.people, who, j.name, j.value)
	if j.refund != "" {
		text += ", refund of " + j.refund
	}
	return text
}

// playJourneys sends the events of all journeys, and returns how many they are.
func playJourneys(ctx context.Context, collector, key string, now time.Time) (int, error) {
	var all []serverEvent
	for _, j := range journeys {
		all = append(all, j.events(now)...)
	}
	return len(all), send(ctx, collector, key, all)
}

// send sends events in one request, as a shop's server does.
func send(ctx context.Context, collector, key string, events []serverEvent) error {
	body, err := json.Marshal(events)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, collector+"/v1/events", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	// The header speaks of the event that fared worst.
	if answer := res.Header.Get("Onepx-Event"); answer != "stored" {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return fmt.Errorf("events of a server: %s, %s: %s", res.Status, answer, text)
	}
	return nil
}
