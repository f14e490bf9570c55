package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	reference "github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/ledger"
)

// settleLimit is how long everything that was sent may take to be stored.
const settleLimit = 3 * time.Minute

// goals are those of the site in onepx.yaml, and in shop as the reference knows them.
const goals = `      - {id: purchase, event: purchase}
      - {id: kettle, url: /p/kettle-steel, once_per: event, value: "2.50"}
`

var shop = reference.Site{Zone: time.UTC, Currency: "EUR", Goals: []reference.Goal{
	{ID: "purchase", Event: "purchase", OncePer: "order", Value: "event", ClickDays: 30, ViewDays: 1},
	{ID: "kettle", URL: regexp.MustCompile("/p/kettle-steel"), OncePer: "event", Value: "2.50", Currency: "EUR", ClickDays: 30, ViewDays: 1},
}}

// verdict is what all rounds so far have come to.
type verdict struct {
	balance ledger.Balance
	facts   ledger.Facts
	mail    mailBalance
	ledger  ledgerBalance
	// fragile is the sum of the fragile view.
	fragile int
}

// Err says what is wrong, or nil.
func (v verdict) Err() error {
	return errors.Join(v.balance.Err(), v.facts.Err(), v.mail.Err(), v.ledger.Err(), want(v.fragile == v.balance.Rows, "the fragile view sums up to %d events, events has %d", v.fragile, v.balance.Rows))
}

func (v verdict) String() string {
	b := v.balance
	return fmt.Sprintf("accepted=%d rows=%d lost=%d double=%d conversions_lost=%d conversions_double=%d memberships_wrong=%d email_lost=%d email_double=%d",
		b.Accepted, b.Rows, b.Lost, b.Double, len(v.facts.Lost), len(v.facts.Double), v.facts.Of(ledger.Members), v.mail.Lost, v.mail.Double)
}

// settle waits until every event in a spool is in Kafka and every offset of Kafka has a row, and compares the ledger with
// what is stored.
func (w *world) settle(ctx context.Context) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if err := w.spoolsEmpty(ctx); err != nil {
		return verdict{}, err
	}
	again := false
	for {
		v, err := w.compare(ctx)
		whole := err == nil && v.balance.MissingOffsets == 0
		if ctx.Err() != nil || whole && (again || v.Err() == nil) {
			return v, errors.Join(err, v.Err())
		}
		again = whole               // the views of the last batch are filled a moment after the table
		w.pause(ctx, time.Second/2) // an error may be that of a part which is just starting again
	}
}

// compare is the verdict now, that on facts once no offset is missing; an error is of the questions, not of the verdict.
func (w *world) compare(ctx context.Context) (v verdict, err error) {
	ends, err := w.ends(ctx)
	if err != nil {
		return v, err
	}
	if v.balance, err = w.ledger.Compare(ctx, w.sql(), site, ends); err != nil {
		return v, err
	}
	var fragile struct{ Events int }
	if err := w.sql().One(ctx, "SELECT sum(events) AS Events FROM onepx.e2e_counts", &fragile); err != nil {
		return v, err
	}
	v.fragile = fragile.Events
	if v.mail, err = w.compareMail(ctx); err != nil {
		return v, err
	}
	if v.balance.MissingOffsets == 0 {
		if v.ledger, err = w.compareLedger(ctx); err != nil {
			return v, err
		}
		v.facts, err = w.ledger.CompareFacts(ctx, w.sql(), site, shop)
	}
	return v, err
}

func (w *world) ends(ctx context.Context) (map[int]int64, error) {
	listed, err := w.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends := map[int]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[int(o.Partition)] = o.Offset })
	return ends, listed.Error()
}
