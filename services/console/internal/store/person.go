package store

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/tailor"
	"github.com/onepx/onepx/services/shared/segments"
)

// person is what the facts say of a visitor. Moments are in ms, 0 for never.
type person struct {
	// refused is when the visitor last did not allow profiling; what was before it counts for nothing. shared is when sharing was last
	// allowed, unshared when not.
	refused, shared, unshared int64
	hits                      map[segmentVersion]ofSegment
	// cutHits is how many there are where some may not have been read, else 0: more than mostFacts if so.
	cutHits int
	ads     map[sawAd]bool
	// products are by their id.
	products map[string]*interest
}

type segmentVersion struct{ segment, version string }

type ofSegment struct {
	hits []segments.StoredHit
	// holdout is below the permille of a segment for those who are held out of it.
	holdout uint16
}

// sawAd is a view of an ad; day is that of the site, YYYY-MM-DD.
type sawAd struct {
	day, campaign, event string
	at                   int64
}

// interest is what a visitor did with a product; price and category are the newest, their moments before them.
type interest struct {
	viewed, carted, bought int64
	price, category        string
}

// told puts the facts of visitors together: of a fact that several parts of the table have, the newest moment and detail hold. Cut says
// that no more than mostFacts + 1 of a kind were read.
func told(rows []factRow, cut bool) map[uuid.UUID]*person {
	people := map[uuid.UUID]*person{}
	for _, r := range rows {
		p := people[r.Visitor]
		if p == nil {
			p = &person{hits: map[segmentVersion]ofSegment{}, ads: map[sawAd]bool{}, products: map[string]*interest{}}
			people[r.Visitor] = p
		}
		switch r.Fact {
		case "refused":
			p.refused = max(p.refused, r.At)
		case "shared":
			p.shared = max(p.shared, r.At)
		case "unshared":
			p.unshared = max(p.unshared, r.At)
		case "hit":
			p.noteHit(r)
			if cut {
				p.cutHits++
			}
		case "ad":
			p.ads[sawAd{r.Subject[0], r.Subject[1], r.Subject[2], r.At}] = true
		default:
			p.noteProduct(r)
		}
	}
	return people
}

func (p *person) noteHit(r factRow) {
	nth, _ := strconv.ParseUint(r.Subject[4], 10, 16)
	holdout, _ := strconv.ParseUint(r.Subject[9], 10, 16)
	event, _ := uuid.Parse(r.Subject[5])
	hit := segments.StoredHit{
		Step: segments.Step(r.Subject[2]), Product: r.Subject[3], Nth: uint16(nth), At: r.At, EventID: event, ValueMicros: micros(r.Subject[6]), ItemMicros: micros(r.Subject[7]),
	}
	of := segmentVersion{r.Subject[0], r.Subject[1]}
	p.hits[of] = ofSegment{append(p.hits[of].hits, hit), uint16(holdout)}
}

// of are the hits of a segment in the version of the rule.
func (p *person) of(rule *segments.Rule) ofSegment {
	return p.hits[segmentVersion{rule.Segment, rule.Version}]
}

// crowded tells whether there are more hits that can matter to a rule than Judge can judge, or than were read.
func (p *person) crowded(rules []segments.Rule, at int64) bool {
	if p.cutHits > mostFacts {
		return true
	}
	for i := range rules {
		count, since := 0, at-rules[i].Reach()
		for _, hit := range p.of(&rules[i]).hits {
			if hit.At > since {
				count++
			}
		}
		if count > segments.MostHits {
			return true
		}
	}
	return false
}

// micros is an amount; nil for none.
func micros(text string) *int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

func (p *person) noteProduct(r factRow) {
	id := r.Subject[0]
	if p.products[id] == nil {
		p.products[id] = &interest{}
	}
	switch of := p.products[id]; r.Fact {
	case "viewed":
		of.viewed = max(of.viewed, r.At)
	case "carted":
		of.carted = max(of.carted, r.At)
	case "bought":
		of.bought = max(of.bought, r.At)
	case "price":
		of.price = max(of.price, r.Detail)
	case "category":
		of.category = max(of.category, r.Detail)
	}
}

// viewsOfAds are how many ads of each campaign were seen on a day of the site, up to mostFacts; nil if none.
func (p *person) viewsOfAds(day string) map[string]uint64 {
	var views map[string]uint64
	for ad := range p.ads {
		if ad.day != day || ad.at <= p.refused {
			continue
		}
		if views == nil {
			views = map[string]uint64{}
		}
		views[ad.campaign] = min(views[ad.campaign]+1, mostFacts)
	}
	return views
}

// seen are the products, the newest first, without what was done until the newest refusal: what the view product_interest_of says.
func (p *person) seen(now time.Time) []tailor.Seen {
	type dated struct {
		tailor.Seen
		newest int64
	}
	since, until := p.refused, now.UnixMilli()
	if since > until {
		since = 0
	}
	counted := func(moment int64) int64 {
		if moment <= since || moment > until {
			return 0
		}
		return moment
	}
	var list []dated
	for id, of := range p.products {
		viewed, carted, bought := counted(of.viewed), counted(of.carted), counted(of.bought)
		one := dated{tailor.Seen{ID: id, State: "viewed"}, max(viewed, carted, bought)}
		switch {
		case one.newest == 0:
			continue
		case bought >= viewed && bought >= carted:
			one.State = tailor.StateBought
		case carted > bought:
			one.State = "carted"
		}
		if currency, micros, found := strings.Cut(said(of.price, since, until), " "); found {
			one.Currency = currency
			one.PriceMicros, _ = strconv.ParseInt(micros, 10, 64) // 0 for what is no number, as in SQL
		}
		one.Category = said(of.category, since, until)
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b dated) int { return cmp.Or(cmp.Compare(b.newest, a.newest), cmp.Compare(a.ID, b.ID)) })
	all := make([]tailor.Seen, len(list))
	for i := range list {
		all[i] = list[i].Seen
	}
	return all
}

// said is what follows a moment in a text of the table, "" if the moment does not count. Such moments are in the order of their texts.
func said(text string, since, until int64) string {
	const form = "2006-01-02 15:04:05.000"
	moment := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(form) }
	if len(text) <= len(form) || text[:len(form)] <= moment(since) || text[:len(form)] > moment(until) {
		return ""
	}
	return text[len(form)+1:]
}
