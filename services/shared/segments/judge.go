package segments

import (
	"bytes"
	"cmp"
	"math/big"
	"slices"

	"github.com/google/uuid"
)

// maxProducts is how many products of a membership are told.
const maxProducts = 10

// Rule is what a row of the table segments says of memberships. Spans and instants are in milliseconds.
type Rule struct {
	Segment         string `ch:"segment"`
	Version         string `ch:"version"`
	SameProduct     bool   `ch:"same_product"`
	TimesMin        uint32 `ch:"times_min"`
	TimesMax        uint32 `ch:"times_max"` // 0 = none
	WithinMs        int64  `ch:"within_ms"`
	ValueMinMicros  *int64 `ch:"value_min_micros"`
	ValueMaxMicros  *int64 `ch:"value_max_micros"`
	HasThen         bool   `ch:"has_then"`
	ThenWithinMs    int64  `ch:"then_within_ms"`
	AfterMs         int64  `ch:"after_ms"`
	LivesMs         int64  `ch:"lives_ms"`
	HoldoutPermille uint16 `ch:"holdout_permille"`
}

// Reach is how long before an instant hits may lie that matter there.
func (r *Rule) Reach() int64 {
	reach := r.WithinMs + r.LivesMs
	if r.HasThen {
		reach += r.ThenWithinMs
	}
	return reach
}

// StoredHit is a hit of a visitor and the version of a rule, as visitor_facts has it.
type StoredHit struct {
	Step    Step
	Product string
	Nth     uint16
	// At is the instant, in milliseconds since 1970.
	At      int64
	EventID uuid.UUID
	// ValueMicros is what the event is worth, ItemMicros its item; nil for NULL.
	ValueMicros, ItemMicros *int64
}

// Standing is a membership at an instant.
type Standing struct {
	// Qualified is the newest instant that lets in, Ends when the membership ends; in milliseconds since 1970.
	Qualified, Ends int64
	// Products are as docs/audiences.md, Membership, orders them.
	Products []string
}

// Judge tells whether the visitor with these hits is in the segment at an instant, as the view audiences_of does, for up to
// MostHits hits of a key. refused is the instant of the visitor's newest refusal, 0 for none. The order of the hits is of no matter.
func (r *Rule) Judge(hits []StoredHit, refused, at int64) (Standing, bool) {
	stopOfAll := refused
	keys := map[string][]StoredHit{}
	for _, h := range hits {
		if h.At > at || h.At <= at-r.Reach() {
			continue
		}
		if h.Step == StepLeave && h.Product == "" {
			stopOfAll = max(stopOfAll, h.At)
			continue
		}
		switch {
		case r.SameProduct && h.Product != "":
			keys[h.Product] = append(keys[h.Product], h)
		case !r.SameProduct && h.Nth == 0:
			keys[""] = append(keys[""], h)
		}
	}
	var in []standingKey
	for product, ofKey := range keys {
		counted := r.counted(ofKey, stopOfAll)
		if q := r.newest(counted, ofKey); q != 0 && q+r.AfterMs <= at && at < q+r.LivesMs {
			in = append(in, standingKey{product, q, counted})
		}
	}
	if len(in) == 0 {
		return Standing{}, false
	}
	slices.SortFunc(in, func(a, b standingKey) int {
		return cmp.Or(cmp.Compare(b.newest, a.newest), cmp.Compare(a.product, b.product))
	})
	return Standing{Qualified: in[0].newest, Ends: in[0].newest + r.LivesMs, Products: r.products(in)}, true
}

// standingKey is a key by which the visitor is in.
type standingKey struct {
	product string
	newest  int64
	counted []StoredHit
}

// counted are the enters of a key after its last stop, of each event the newest, in the order of time.
func (r *Rule) counted(ofKey []StoredHit, stop int64) []StoredHit {
	for _, h := range ofKey {
		if h.Step == StepLeave {
			stop = max(stop, h.At)
		}
	}
	var counted []StoredHit
	for _, h := range ofKey {
		if h.Step == StepEnter && h.At > stop {
			counted = append(counted, h)
		}
	}
	slices.SortFunc(counted, func(a, b StoredHit) int {
		return cmp.Or(bytes.Compare(a.EventID[:], b.EventID[:]), cmp.Compare(b.At, a.At), cmp.Compare(b.Product, a.Product), r.worth(b).Cmp(r.worth(a)))
	})
	counted = slices.CompactFunc(counted, func(a, b StoredHit) bool { return a.EventID == b.EventID })
	slices.SortFunc(counted, func(a, b StoredHit) int { return cmp.Compare(a.At, b.At) })
	return counted
}

// newest is the newest instant that lets in by a key, 0 if there is none.
func (r *Rule) newest(counted, ofKey []StoredHit) int64 {
	var thens []int64
	for _, h := range ofKey {
		if h.Step == StepThen && r.HasThen {
			thens = append(thens, h.At)
		}
	}
	slices.Sort(thens)
	var newest, until int64 // until: how long a second step may follow
	follow := func(before int64) {
		for len(thens) > 0 && thens[0] <= before {
			if thens[0] <= until {
				newest = thens[0]
			}
			thens = thens[1:]
		}
	}
	value, oldest := new(big.Int), 0
	for i, h := range counted {
		value.Add(value, r.worth(h))
		if i+1 < len(counted) && counted[i+1].At == h.At {
			continue // all of one instant are judged together
		}
		for ; oldest < i && counted[oldest].At <= h.At-r.WithinMs; oldest++ {
			value.Sub(value, r.worth(counted[oldest]))
		}
		follow(h.At)
		switch times := i - oldest + 1; {
		case r.TimesMax > 0 && times > int(r.TimesMax), r.ValueMaxMicros != nil && value.Cmp(big.NewInt(*r.ValueMaxMicros)) > 0:
			newest, until = 0, 0
		case times < int(r.TimesMin), r.ValueMinMicros != nil && value.Cmp(big.NewInt(*r.ValueMinMicros)) < 0:
		case r.HasThen:
			until = h.At + r.ThenWithinMs
		default:
			newest = h.At
		}
	}
	if len(counted) > 0 {
		follow(1 << 62)
	}
	return newest
}

// worth is what a hit adds to the value.
func (r *Rule) worth(h StoredHit) *big.Int {
	of := h.ValueMicros
	if r.SameProduct {
		of = h.ItemMicros
	}
	if of == nil {
		return new(big.Int)
	}
	return big.NewInt(*of)
}

// products are those of the keys, or without same_product those of the counted hits, the last one first.
func (r *Rule) products(in []standingKey) []string {
	var products []string
	if r.SameProduct {
		for _, key := range in {
			products = append(products, key.product)
		}
		return products[:min(len(products), maxProducts)]
	}
	counted := slices.Clone(in[0].counted)
	slices.SortFunc(counted, func(a, b StoredHit) int { return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Product, b.Product)) })
	for _, h := range counted {
		if h.Product != "" && !slices.Contains(products, h.Product) {
			products = append(products, h.Product)
		}
		if len(products) == maxProducts {
			break
		}
	}
	return products
}
