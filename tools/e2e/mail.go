package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

const (
	// mailSite sends mails; its events are told apart by the message, which each hit has one of its own.
	mailSite = "mail"
	// mailEvery is how often somebody opens a mail or follows a link, mailTimeout how long they wait for an answer.
	mailEvery   = 50 * time.Millisecond
	mailTimeout = 10 * time.Second
)

// letters are the mails of all rounds.
type letters struct {
	keys string
	ring *mailtoken.Ring

	mu sync.Mutex
	// stored tells of each message whether the hit was answered as stored, or what became of it is not known.
	stored map[string]bool
}

func newLetters() (*letters, error) {
	keys := mailtoken.NewKeys()
	ring, err := mailtoken.ParseRing(keys)
	return &letters{keys: keys, ring: ring, stored: map[string]bool{}}, err
}

// read opens mails and follows links until ctx ends, and then waits for the answers. Nobody tries again: a mail that is opened
// again is another event.
func (l *letters) read(ctx context.Context, round int, targets []string) {
	transport := &http.Transport{DisableKeepAlives: true} // or it asks again by itself, when a collector dies that it was connected to
	client := &http.Client{Transport: transport, Timeout: mailTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer transport.CloseIdleConnections()
	var reading sync.WaitGroup
	defer reading.Wait()
	tick := time.NewTicker(mailEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		message, target := fmt.Sprintf("%d-%d", round, n), targets[n/2%len(targets)]
		reading.Go(func() { l.hit(client, target, message, n%2 == 0) })
	}
}

// hit is one opening or click.
func (l *letters) hit(client *http.Client, target, message string, open bool) {
	urls, err := mailtoken.NewURLs(target, l.ring)
	if err != nil {
		panic(err) // not reached: the address of a collector
	}
	token := mailtoken.Token{Site: mailSite, Campaign: "weekly", Message: message, Recipient: [mailtoken.RecipientSize]byte{1}, Sent: time.Now()}
	url, err := urls.Click(token, "l1", "https://shop.example/?utm_source=news")
	if open {
		url, err = urls.Open(token)
	}
	if err != nil {
		panic(err) // not reached: there is room for the texts
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil) // what was sent is waited for
	if err != nil {
		panic(err) // not reached: the URL is our own
	}
	stored := false
	if answer, err := client.Do(request); err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		word := answer.Header.Get("Onepx-Event")
		stored = word == "stored" || strings.HasPrefix(word, "spooled")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored[message] = stored
}

// mailBalance compares the answers with what is counted.
type mailBalance struct{ Accepted, Lost, Double int }

func (b mailBalance) Err() error {
	return want(b.Lost == 0 && b.Double == 0, "of %d accepted hits in mails %d are not counted, and %d are more than once", b.Accepted, b.Lost, b.Double)
}

func (w *world) compareMail(ctx context.Context) (b mailBalance, err error) {
	counted := map[string]int{}
	err = w.sql().Query(ctx, "SELECT mail_message_id AS Message, count() AS Hits FROM onepx.events WHERE site_id = '"+mailSite+"' AND outcome = 'event' GROUP BY mail_message_id", func(row json.RawMessage) error {
		var r struct {
			Message string
			Hits    int
		}
		err := json.Unmarshal(row, &r)
		counted[r.Message] = r.Hits
		return err
	})
	w.letters.mu.Lock()
	defer w.letters.mu.Unlock()
	for message, stored := range w.letters.stored {
		if stored {
			b.Accepted++
		}
		if stored && counted[message] == 0 {
			b.Lost++
		}
		if counted[message] > 1 {
			b.Double++
		}
	}
	return b, err
}
