//go:build integration

package store_test

import (
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// origin is the instant from which the cases count.
var origin = time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC)

const (
	minuteMs = int64(60_000)
	hourMs   = 60 * minuteMs
	dayMs    = 24 * hourMs
)

// membership is a rule with the hits of one visitor, and who is in when. A hit is "instant step product worth more…": the product may be
// -, the worth is in units of both the event and the item or -; more is nth=1, id=text, minted, version=text, item=worth. The
// instant may also be that of a refusal. want has by instant the products, the newest qualifying instant, the end and the counted hits;
// "" = not a member. Lives and within are a day unless they are given.
type membership struct {
	name string
	rule store.Segment
	hits string
	want map[string]string
}

var (
	twice   = store.Segment{TimesMin: 2}
	same    = store.Segment{SameProduct: true}
	atMost2 = store.Segment{TimesMax: 2}
	worth   = store.Segment{ValueMinMicros: inUnits(100)}
	then    = store.Segment{HasThen: true, ThenWithinMs: hourMs}
)

func inUnits(n int64) *int64 { n *= 1_000_000; return &n }

var memberships = []membership{
	// lives
	{"a hit lets in at its instant, not before", store.Segment{}, "0s enter p1 -", map[string]string{"-1ms": "", "0s": "p1 0s 24h0m0s 1", "1h": "p1 0s 24h0m0s 1"}},
	{"a membership ends to the millisecond", store.Segment{}, "0s enter p1 -", map[string]string{"23h59m59.999s": "p1 0s 24h0m0s 1", "24h": ""}},
	{"a new hit makes it last anew", store.Segment{}, "0s enter p1 -; 20h enter p2 -", map[string]string{"25h": "p2,p1 20h0m0s 44h0m0s 2", "19h": "p1 0s 24h0m0s 1"}},
	{"without hits nobody is in", store.Segment{}, "", map[string]string{"0s": ""}},
	{"a hit without a product lets in, with no product to show", store.Segment{}, "0s enter - -", map[string]string{"0s": " 0s 24h0m0s 1"}},
	{"a hit of the far future counts only then", store.Segment{}, "200000h enter p1 -", map[string]string{"1h": "", "200001h": "p1 200000h0m0s 200024h0m0s 1"}},
	{"a hit of the far past is over", store.Segment{}, "-400000h enter p1 -", map[string]string{"0s": "", "-399999h": "p1 -400000h0m0s -399976h0m0s 1"}},
	{"a rule may live for 540 days", store.Segment{LivesMs: 540 * dayMs}, "-12959h enter p1 -", map[string]string{"0s": "p1 -12959h0m0s 1h0m0s 1", "1h": ""}},

	// leave
	{"a leave after the hit ends it", store.Segment{}, "0s enter p1 -; 1h leave p9 -", map[string]string{"59m59.999s": "p1 0s 24h0m0s 1", "1h": "", "2h": ""}},
	{"a leave at the instant of the hit wins", store.Segment{}, "0s enter p1 -; 0s leave p1 -", map[string]string{"0s": "", "1h": ""}},
	{"a leave before the hit does not matter", store.Segment{}, "-1ms leave p1 -; 0s enter p1 -", map[string]string{"0s": "p1 0s 24h0m0s 1"}},
	{"what was before a leave counts no more", store.Segment{}, "0s enter p1 -; 1h leave - -; 2h enter p2 -", map[string]string{"3h": "p2 2h0m0s 26h0m0s 1"}},
	{"a leave of the future does not matter yet", store.Segment{}, "0s enter p1 -; 5h leave p1 -", map[string]string{"4h": "p1 0s 24h0m0s 1"}},
	{"hits come in any order", store.Segment{}, "2h enter p2 -; 1h leave - -; 0s enter p1 -", map[string]string{"3h": "p2 2h0m0s 26h0m0s 1", "30m": "p1 0s 24h0m0s 1"}},

	// products
	{"of several products of one event the first counts where products do not matter", store.Segment{}, "0s enter p1 - id=a; 0s enter p2 - id=a nth=1", map[string]string{"0s": "p1 0s 24h0m0s 1"}},
	{"products of one instant are in the order of their ids", store.Segment{}, "0s enter p2 - id=z; 0s enter p1 - id=y; -1h enter p3 -", map[string]string{"0s": "p1,p2,p3 0s 24h0m0s 3"}},
	{"a product seen twice is shown once, where it was seen last", store.Segment{}, "0s enter p1 -; 1h enter p2 -; 2h enter p1 -", map[string]string{"2h": "p1,p2 2h0m0s 26h0m0s 3"}},
	{"at most ten products are shown", store.Segment{}, "0s enter a -; 1s enter b -; 2s enter c -; 3s enter d -; 4s enter e -; 5s enter f -; 6s enter g -; 7s enter h -; 8s enter i -; 9s enter j -; 10s enter k -",
		map[string]string{"1m": "k,j,i,h,g,f,e,d,c,b 10s 24h0m10s 11"}},
	{"product ids are any text", same, "0s enter Ж'\\1 -; 1s enter 茶,\" -; 2s leave 茶 -", map[string]string{"1m": "茶,\",Ж'\\1 1s 24h0m1s 2"}},

	// same_product
	{"each product is in by itself", same, "0s enter p1 -; 1h enter p2 -", map[string]string{"2h": "p2,p1 1h0m0s 25h0m0s 2", "24h": "p2 1h0m0s 25h0m0s 1"}},
	{"a product that is bought leaves, another stays", same, "0s enter p1 -; 1h enter p2 -; 2h leave p2 -", map[string]string{"3h": "p1 0s 24h0m0s 1"}},
	{"the last product that leaves ends the membership", same, "0s enter p1 -; 1h leave p1 -", map[string]string{"2h": ""}},
	{"a leave without a product is one of all products", same, "0s enter p1 -; 1h enter p2 -; 2h leave - -; 3h enter p3 -", map[string]string{"2h": "", "4h": "p3 3h0m0s 27h0m0s 1"}},
	{"a leave of a product that nobody entered with is of no other", same, "0s enter p1 -; 1h leave p2 -", map[string]string{"2h": "p1 0s 24h0m0s 1"}},
	{"a hit without a product does not let in", same, "0s enter - -", map[string]string{"0s": ""}},
	{"all products of an event let in", same, "0s enter p1 - id=a; 0s enter p2 - id=a nth=1", map[string]string{"0s": "p1,p2 0s 24h0m0s 2"}},
	{"a leave of the second product of an event leaves", same, "0s enter p2 -; 1h leave p1 - id=b; 1h leave p2 - id=b nth=1", map[string]string{"1h": ""}},
	{"a leave at the same instant is of its product", same, "0s enter p1 -; 0s leave p1 -; 0s enter p2 -", map[string]string{"0s": "p2 0s 24h0m0s 1"}},
	{"times are of one product", store.Segment{SameProduct: true, TimesMin: 2}, "0s enter p1 -; 1h enter p2 -; 2h enter p2 -", map[string]string{"3h": "p2 2h0m0s 26h0m0s 2"}},

	// times, within
	{"a rule of two times lets in with the second", twice, "0s enter p1 -; 1h enter p2 -", map[string]string{"59m": "", "1h": "p2,p1 1h0m0s 25h0m0s 2"}},
	{"two hits of one instant are two times", twice, "0s enter p1 - id=a; 0s enter p1 - id=b", map[string]string{"0s": "p1 0s 24h0m0s 2"}},
	{"an event that is stored twice is one", twice, "0s enter p1 - id=a; 0s enter p1 - id=a; 200h enter p1 - id=a", map[string]string{"0s": "", "200h": ""}},
	{"the window of times is open where it begins", store.Segment{TimesMin: 2, WithinMs: hourMs}, "0s enter p1 -; 1h enter p1 -", map[string]string{"1h": ""}},
	{"and closed where it ends", store.Segment{TimesMin: 2, WithinMs: hourMs}, "1ms enter p1 -; 1h enter p1 -", map[string]string{"1h": "p1 1h0m0s 25h0m0s 2"}},
	{"once qualified, the window need not hold on", store.Segment{TimesMin: 2, WithinMs: hourMs}, "0s enter p1 -; 30m enter p1 -; 5h enter p1 -", map[string]string{"6h": "p1 30m0s 24h30m0s 3"}},
	{"a leave between the times begins anew", twice, "0s enter p1 -; 1h leave - -; 2h enter p1 -", map[string]string{"2h": ""}},
	{"more than max is too much", atMost2, "0s enter p1 -; 1h enter p1 -; 2h enter p1 -", map[string]string{"1h": "p1 1h0m0s 25h0m0s 2", "2h": "", "3h": ""}},
	{"too much is over when the window has passed", store.Segment{TimesMax: 2, WithinMs: 2 * hourMs}, "0s enter p1 -; 1h enter p1 -; 90m enter p1 -; 5h enter p2 -",
		map[string]string{"2h": "", "5h": "p2,p1 5h0m0s 29h0m0s 4"}},
	{"more than max at one instant is too much for all of it", atMost2, "0s enter p1 - id=a; 0s enter p1 - id=b; 0s enter p1 - id=c", map[string]string{"0s": ""}},
	{"a leave makes too much good", atMost2, "0s enter p1 -; 1h enter p1 -; 2h enter p1 -; 3h leave - -; 4h enter p1 -", map[string]string{"4h": "p1 4h0m0s 28h0m0s 1"}},

	// value
	{"values within the window are added up", worth, "0s enter p1 60; 1h enter p2 40", map[string]string{"30m": "", "1h": "p2,p1 1h0m0s 25h0m0s 2"}},
	{"an unknown value is 0", worth, "0s enter p1 -; 1h enter p1 99", map[string]string{"1h": ""}},
	{"the value of a product is that of its items", store.Segment{SameProduct: true, ValueMinMicros: inUnits(100)}, "0s enter p1 500 item=99; 0s enter p2 1 item=100", map[string]string{"0s": "p2 0s 24h0m0s 1"}},
	{"a value above the band is too much", store.Segment{ValueMaxMicros: inUnits(100)}, "0s enter p1 100; 1h enter p1 1", map[string]string{"30m": "p1 0s 24h0m0s 1", "1h": ""}},
	{"values of one instant are judged together", store.Segment{ValueMaxMicros: inUnits(100)}, "0s enter p1 150 id=a; 0s enter p1 -60 id=b", map[string]string{"0s": "p1 0s 24h0m0s 2"}},
	{"sums beyond 64 bits are sums", store.Segment{ValueMinMicros: inUnits(9_000_000_000_000)}, "0s enter p1 9000000000000; 1h enter p1 9000000000000", map[string]string{"1h": "p1 1h0m0s 25h0m0s 2"}},

	// then
	{"the second step lets in", then, "0s enter p1 -; 30m then p2 -", map[string]string{"29m": "", "30m": "p1 30m0s 24h30m0s 1"}},
	{"the second step may come at the end of its time", then, "0s enter p1 -; 1h then - -", map[string]string{"1h": "p1 1h0m0s 25h0m0s 1"}},
	{"and not a millisecond later", then, "0s enter p1 -; 1h1ms then - -", map[string]string{"2h": ""}},
	{"nor at the instant of the first", then, "0s enter p1 -; 0s then - -", map[string]string{"1h": ""}},
	{"the second step before the first is none", then, "0s then - -; 1m enter p1 -", map[string]string{"1h": ""}},
	{"a leave between the steps breaks them", then, "0s enter p1 -; 10m leave - -; 30m then - -", map[string]string{"1h": ""}},
	{"a leave at the second step breaks it", then, "0s enter p1 -; 30m leave - -; 30m then - -", map[string]string{"1h": ""}},
	{"the second step counts again after each first", then, "0s enter p1 -; 30m then - -; 5h enter p2 -; 6h then - -", map[string]string{"7h": "p2,p1 6h0m0s 30h0m0s 2"}},
	{"too much between the steps breaks them", store.Segment{HasThen: true, ThenWithinMs: 5 * hourMs, TimesMax: 1}, "0s enter p1 -; 1h enter p1 -; 2h then - -", map[string]string{"3h": ""}},
	{"the second step is of the same product", store.Segment{HasThen: true, ThenWithinMs: hourMs, SameProduct: true}, "0s enter p1 -; 0s enter p2 -; 30m then p2 -; 31m then - -", map[string]string{"1h": "p2 30m0s 24h30m0s 1"}},

	// after
	{"a membership may begin later, to the millisecond", store.Segment{AfterMs: hourMs}, "0s enter p1 -", map[string]string{"59m59.999s": "", "1h": "p1 0s 24h0m0s 1"}},
	{"a new hit puts it off", store.Segment{AfterMs: hourMs}, "0s enter p1 -; 5h enter p1 -", map[string]string{"4h": "p1 0s 24h0m0s 1", "5h30m": "", "6h": "p1 5h0m0s 29h0m0s 2"}},
	{"a new hit of another product does not", store.Segment{AfterMs: hourMs, SameProduct: true}, "0s enter p1 -; 5h enter p2 -", map[string]string{"5h30m": "p1 0s 24h0m0s 1"}},

	// refusals, wishes
	{"a refusal ends the membership and what was before", store.Segment{}, "0s enter p1 -; 1h refusal", map[string]string{"30m": "p1 0s 24h0m0s 1", "1h": "", "2h": ""}},
	{"a refusal at the instant of the hit wins", store.Segment{}, "0s enter p1 -; 0s refusal", map[string]string{"0s": ""}},
	{"who agrees again begins anew", twice, "0s enter p1 -; 1h refusal; 2h enter p1 -; 3h enter p2 -", map[string]string{"2h": "", "3h": "p2,p1 3h0m0s 27h0m0s 2"}},
	{"of several refusals the newest counts", store.Segment{}, "0s refusal; 1h enter p1 -; 2h refusal", map[string]string{"3h": ""}},
	{"a refusal is one of all products", same, "0s enter p1 -; 1s enter p2 -; 1h refusal", map[string]string{"2h": ""}},

	// hits
	{"hits of another version are not the segment's", store.Segment{}, "0s enter p1 - version=old", map[string]string{"0s": ""}},
	{"hits older than all windows do not count", store.Segment{}, "-49h enter p1 -; 0s enter p2 -", map[string]string{"0s": "p2 0s 24h0m0s 1"}},
}
