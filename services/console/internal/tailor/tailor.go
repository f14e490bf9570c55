// Package tailor chooses the product that a visitor is shown, as docs/audiences.md, tailored, defines it. The view tailored_of
// does the same in one query, which takes the database most of a second to plan; ad servers wait for this one. A test of
// tools/console holds both equal.
//
// It decides by what it is given: Candidates, then Categories and Wanted, for which the caller asks the feed, then Choose.
package tailor

// Seen is a product as a visitor saw it last.
type Seen struct {
	ID string
	// State is viewed, carted, bought, or matched for one of a membership that is not known otherwise.
	State string
	// PriceMicros is of one piece, in Currency, which is empty where no price was seen.
	PriceMicros int64
	Currency    string
	Category    string
}

// Offer is a product of the feed, or what is offered of a group of products.
type Offer struct {
	ID string
	// Available products are not out of stock.
	Available   bool
	Category    string
	PriceMicros int64
}

// Feed is what a site sells, as far as it was asked for.
type Feed struct {
	// Offers are by the product's id, Groups by the group's.
	Offers, Groups map[string]Offer
	// Stocked are the categories that have a product in stock.
	Stocked map[string]bool
	// Nearest are the ids of products in stock that stand for others.
	Nearest map[Want]string
}

// Want asks for the product in stock of a category whose price is nearest, of two as near the cheaper one, of one price the
// one with the lower id.
type Want struct {
	Category    string
	PriceMicros int64
}

// Choice is the product to show, and the one that was seen.
type Choice struct {
	ID string
	// Reason is the state of the product, or same_category.
	Reason string
	Seen   Seen
}

const (
	// maxCandidates is how many products a visitor may be shown for a membership.
	maxCandidates = 10
	// StateBought is the state of a product that is not shown unless a membership is by it.
	StateBought  = "bought"
	stateMatched = "matched"
	// The reasons that are not states.
	reasonSameCategory = "same_category"
	reasonNoFeed       = "no_feed"
	reasonPriceChanged = "price_changed"
)

// Candidates are what a visitor may be shown for a membership with the products: these, then the others that were seen and
// not bought. seen is in order, the newest first.
func Candidates(products []string, seen []Seen) []Seen {
	var all []Seen
	named := map[string]bool{}
	known := make(map[string]Seen, len(seen))
	for _, s := range seen {
		known[s.ID] = s
	}
	for _, id := range products {
		one, ok := known[id]
		if !ok {
			one = Seen{ID: id, State: stateMatched}
		}
		named[id] = true
		all = append(all, one)
	}
	for _, s := range seen {
		if s.State != StateBought && !named[s.ID] {
			all = append(all, s)
		}
	}
	return all[:min(len(all), maxCandidates)]
}

// Categories are those of which a product may have to stand for a candidate.
func (f Feed) Categories(candidates []Seen) []string {
	var all []string
	for _, c := range candidates {
		offer, want := f.find(c)
		if offer.Available {
			break // what follows is not shown
		}
		if want.Category != "" {
			all = append(all, want.Category)
		}
	}
	return all
}

// Wanted is what has to stand for a candidate, if anything has: of the first whose category has something, unless one before is
// there itself.
func (f Feed) Wanted(candidates []Seen) (Want, bool) {
	for _, c := range candidates {
		offer, want := f.find(c)
		if offer.Available || f.Stocked[want.Category] {
			return want, !offer.Available
		}
	}
	return Want{}, false
}

// Choose returns the first candidate that there is something to show for.
func (f Feed) Choose(candidates []Seen) (Choice, bool) {
	for _, c := range candidates {
		offer, want := f.find(c)
		if offer.Available {
			return Choice{offer.ID, c.State, c}, true
		}
		if id := f.Nearest[want]; id != "" {
			return Choice{id, reasonSameCategory, c}, true
		}
	}
	return Choice{}, false
}

// find returns what the feed offers of a candidate, and what may stand for it.
func (f Feed) find(c Seen) (Offer, Want) {
	offer, single := f.Offers[c.ID]
	group, grouped := f.Groups[c.ID]
	want := Want{offer.Category, c.PriceMicros}
	if want.Category == "" {
		want.Category = group.Category
	}
	if want.Category == "" {
		want.Category = c.Category
	}
	switch {
	case single:
		want.PriceMicros = offer.PriceMicros
	case grouped:
		want.PriceMicros, offer = group.PriceMicros, group
	}
	return offer, want
}

// Shown is a product with its present price.
type Shown struct {
	ID string
	// PriceMicros is in Currency, which is empty where no price is known.
	PriceMicros int64
	Currency    string
	// Reason says why this product: a word of docs/audiences.md. Seen is the product that was seen.
	Reason, Seen string
}

// At is the product at its present price.
func (c Choice) At(priceMicros int64, currency string) Shown {
	shown := Shown{ID: c.ID, PriceMicros: priceMicros, Currency: currency, Reason: c.Reason, Seen: c.Seen.ID}
	if c.Reason != reasonSameCategory && c.Seen.Currency == currency && c.Seen.PriceMicros != priceMicros {
		shown.Reason = reasonPriceChanged
	}
	return shown
}

// WithoutFeed is what is shown where the site has no feed: the first candidate, as it was seen. There is one.
func WithoutFeed(candidates []Seen) Shown {
	c := candidates[0]
	return Shown{c.ID, c.PriceMicros, c.Currency, reasonNoFeed, c.ID}
}
