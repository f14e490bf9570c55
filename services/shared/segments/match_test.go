package segments_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/segments"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func rule(t testing.TB, text string) siteconfig.Segment {
	t.Helper()
	segment, err := siteconfig.ParseSegment("rule.yaml", []byte(text))
	require.NoError(t, err)
	return segment
}

func matcher(t testing.TB, rules ...string) *segments.Matcher {
	t.Helper()
	var definitions []segments.Definition
	for _, text := range rules {
		definitions = append(definitions, segments.NewDefinition(rule(t, text), "EUR"))
	}
	m, err := segments.Compile(definitions)
	require.NoError(t, err)
	return m
}

type change func(*onepxv1.Event)

func event(name string, changes ...change) *onepxv1.Event {
	e := &onepxv1.Event{Name: name, Commerce: &onepxv1.Commerce{}}
	for _, change := range changes {
		change(e)
	}
	return e
}

func url(url string) change     { return func(e *onepxv1.Event) { e.Page = &onepxv1.Page{Url: url} } }
func worth(micros int64) change { return func(e *onepxv1.Event) { e.Commerce.ValueMicros = &micros } }
func bare(e *onepxv1.Event)     { e.Commerce = nil }

func prop(name, value string) change {
	return func(e *onepxv1.Event) { e.Props = map[string]string{name: value} }
}

func item(id, category string, price, quantity int64) change {
	return func(e *onepxv1.Event) {
		e.Commerce.Items = append(e.Commerce.Items, &onepxv1.Item{Id: id, Category: category, PriceMicros: &price, QuantityMicros: quantity})
	}
}

func withoutPrice(id string) change {
	return func(e *onepxv1.Event) { e.Commerce.Items = append(e.Commerce.Items, &onepxv1.Item{Id: id}) }
}

// products are the products of hits, each as step/nth/product.
func products(hits []segments.Hit) []string {
	var all []string
	for _, h := range hits {
		all = append(all, fmt.Sprintf("%s/%d/%s", h.Step, h.Nth, h.Product))
	}
	return all
}

func TestAConditionHoldsIfAllOfItHolds(t *testing.T) {
	const piece = 1_000_000
	in := []string{"enter/0/"}
	for name, test := range map[string]struct {
		enter string
		event *onepxv1.Event
		want  []string
	}{
		"the name":                                {"{event: cart}", event("cart"), in},
		"another name":                            {"{event: cart}", event("Cart"), nil},
		"an event without commerce":               {"{event: cart}", event("cart", bare), in},
		"a part of the page's URL":                {"{url: '/tea/$'}", event("x", url("https://shop.example/tea/")), in},
		"another page":                            {"{url: '/tea/$'}", event("x", url("https://shop.example/tea/p")), nil},
		"no page, and a pattern for everything":   {"{url: '.*'}", event("x"), nil},
		"a property":                              {"{props: {plan: pro}}", event("x", prop("plan", "pro")), in},
		"another value of it":                     {"{props: {plan: pro}}", event("x", prop("plan", "Pro")), nil},
		"the value at the lower end":              {"{value: {min: '5'}}", event("x", worth(5_000_000)), in},
		"the value below the lower end":           {"{value: {min: '5'}}", event("x", worth(4_999_999)), nil},
		"the value at the upper end":              {"{value: {max: '5'}}", event("x", worth(5_000_000)), in},
		"the value above the upper end":           {"{value: {max: '5'}}", event("x", worth(5_000_001)), nil},
		"a negative value is below":               {"{value: {max: '5'}}", event("x", worth(-1)), in},
		"no value is in no band":                  {"{value: {min: '0'}}", event("x"), nil},
		"no commerce is in no band":               {"{value: {min: '0'}}", event("x", bare), nil},
		"a value, whatever the item":              {"{value: {min: '5'}}", event("x", worth(5_000_000), item("a", "", 1, piece), item("b", "", 1, piece)), []string{"enter/0/a", "enter/1/b"}},
		"all items of an event that does":         {"{event: x}", event("x", item("a", "", 1, piece), item("b", "", 1, piece)), []string{"enter/0/a", "enter/1/b"}},
		"items with equal ids once":               {"{event: x}", event("x", item("a", "", 1, piece), item("b", "", 1, piece), item("a", "", 2, piece)), []string{"enter/0/a", "enter/1/b"}},
		"the product":                             {"{product: [b, c]}", event("x", item("a", "", 1, piece), item("b", "", 1, piece)), []string{"enter/0/b"}},
		"no item, and a product":                  {"{product: [b]}", event("x"), nil},
		"the category":                            {"{category: tea}", event("x", item("a", "tea", 1, piece), item("b", "Tea", 1, piece)), []string{"enter/0/a"}},
		"the second of two items with equal ids":  {"{category: tea}", event("x", item("a", "coffee", 1, piece), item("a", "tea", 1, piece)), []string{"enter/0/a"}},
		"the price of a piece, not of all":        {"{price: {max: '5'}}", event("x", item("a", "", 5_000_000, 9*piece)), []string{"enter/0/a"}},
		"no price is in no band":                  {"{price: {min: '0'}}", event("x", withoutPrice("a")), nil},
		"no item has no price":                    {"{price: {min: '0'}}", event("x"), nil},
		"product and price of the same item":      {"{product: [a], price: {max: '5'}}", event("x", item("a", "", 6_000_000, piece), item("b", "", 1, piece)), nil},
		"not: of an event without an item too":    {"{event: x, not: {product: [a]}}", event("x"), in},
		"not: the other items":                    {"{not: {product: [a]}}", event("x", item("a", "", 1, piece), item("b", "", 1, piece)), []string{"enter/0/b"}},
		"not: an amount that is not known":        {"{not: {price: {min: '0'}}}", event("x", withoutPrice("a")), []string{"enter/0/a"}},
		"any: one is enough":                      {"{any: [{event: y}, {event: x}]}", event("x"), in},
		"any: none":                               {"{any: [{event: y}, {event: z}]}", event("x"), nil},
		"any: by item":                            {"{any: [{product: [a]}, {category: tea}]}", event("x", item("a", "", 1, piece), item("b", "tea", 1, piece), item("c", "", 1, piece)), []string{"enter/0/a", "enter/1/b"}},
		"all: each of them":                       {"{all: [{event: x}, {value: {min: '1'}}]}", event("x", worth(1_000_000)), in},
		"all: one is missing":                     {"{all: [{event: x}, {value: {min: '1'}}]}", event("x"), nil},
		"nested: any in all beside a name":        {"{event: x, all: [{any: [{url: a}, {url: b}]}]}", event("x", url("b")), in},
		"nested: not not":                         {"{not: {not: {event: x}}}", event("x"), in},
		"names in any of which some know no name": {"{any: [{event: y}, {url: b}]}", event("never_named", url("b")), in},
		"names that only not knows":               {"{not: {event: y}}", event("never_named"), in},
		"the name that not knows":                 {"{not: {event: y}}", event("y"), nil},
		"ids with quotes and umlauts":             {`{product: ["a'\"\\ö"]}`, event("x", item(`a'"\ö`, "", 1, piece)), []string{`enter/0/a'"\ö`}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, products(matcher(t, "{id: s, enter: "+test.enter+"}").Hits(test.event, "EUR", "EUR")))
		})
	}
}

func TestBandsAreOfAmountsInTheCurrencyOfTheSite(t *testing.T) {
	m := matcher(t, "{id: value, enter: {value: {min: '1'}}}", "{id: price, enter: {price: {min: '1'}}}", "{id: none, enter: {not: {value: {min: '1'}}}}")
	e := event("x", worth(5_000_000), item("a", "", 5_000_000, 1_000_000))
	ids := func(hits []segments.Hit) (ids []string) {
		for _, h := range hits {
			ids = append(ids, h.Segment)
		}
		return ids
	}
	require.Equal(t, []string{"value", "price"}, ids(m.Hits(e, "EUR", "EUR")))
	require.Equal(t, []string{"none"}, ids(m.Hits(e, "USD", "EUR")))
	require.Nil(t, m.Hits(e, "USD", "EUR")[0].ItemMicros, "the amount is in another currency")
	require.Equal(t, []string{"none"}, ids(m.Hits(e, "USD", "USD")), "the rule is of when the site's currency was another one")
}

func TestHitsStandInTheOrderOfTheDefinitionsAndSteps(t *testing.T) {
	m := matcher(t, "{id: b, enter: {event: x}, leave: {url: a}, then: {not: {event: y}}, then_within: 1d}", "{id: a, enter: {any: [{event: x}, {event: z}]}}")
	var got []string
	for _, h := range m.Hits(event("x", url("a")), "EUR", "EUR") {
		got = append(got, h.Segment+" "+string(h.Step))
	}
	require.Equal(t, []string{"b leave", "b enter", "b then", "a enter"}, got)
}

func TestTheAmountOfAnItemIsPriceTimesQuantityRoundedHalfUp(t *testing.T) {
	m := matcher(t, "{id: s, enter: {event: x}}")
	for name, test := range map[string]struct {
		price, quantity int64
		want            any
	}{
		"two pieces":              {9_900_000, 2_000_000, int64(19_800_000)},
		"a half is rounded up":    {1, 500_000, int64(1)},
		"less is rounded down":    {1, 499_999, int64(0)},
		"a negative half, too":    {-1, 500_000, int64(0)},
		"a bit more than it":      {-1, 500_001, int64(-1)},
		"nothing":                 {0, 0, int64(0)},
		"what is just small":      {3_000_000_000, 3_000_000_000, int64(9_000_000_000_000)},
		"what needs 128 bits":     {math.MaxInt64, 1_000_000, int64(math.MaxInt64)},
		"the lowest":              {math.MinInt64, 1_000_000, int64(math.MinInt64)},
		"what does not fit":       {math.MaxInt64, 1_000_001, nil},
		"what does not fit below": {math.MinInt64, math.MaxInt64, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := m.Hits(event("x", item("a", "", test.price, test.quantity)), "EUR", "EUR")[0].ItemMicros
			if test.want == nil {
				require.Nil(t, got)
				return
			}
			require.Equal(t, test.want, *got)
		})
	}
	require.Nil(t, m.Hits(event("x", withoutPrice("a")), "EUR", "EUR")[0].ItemMicros)
}

func TestTheVersionIsOfWhatHitsDependOn(t *testing.T) {
	const text = "{id: a, enter: {event: x, props: {a: '1', b: '2'}}, leave: {event: y}, then: {event: z}, then_within: 1d}"
	version := func(text, currency string) string { return segments.NewDefinition(rule(t, text), currency).Version }
	was := version(text, "EUR")
	require.Regexp(t, "^[0-9a-f]{12}$", was)
	for same, with := range map[string][2]string{
		"the id":                  {"id: a", "id: other"},
		"a name":                  {"id: a", "id: a, name: Name"},
		"all that counts":         {"id: a", "id: a, same_product: true, times: {min: 2}, within: 1d, value: {min: '1'}, after: 1h, lives: 2d, holdout: 5"},
		"the order of properties": {"a: '1', b: '2'", "b: '2', a: '1'"},
		"the second step's time":  {"then_within: 1d", "then_within: 2d"},
	} {
		require.Equal(t, was, version(strings.Replace(text, with[0], with[1], 1), "EUR"), same)
	}
	for other, with := range map[string][2]string{
		"the condition":       {"event: x", "event: w"},
		"a property":          {"'1'", "'2'"},
		"the way out":         {"leave: {event: y}, ", ""},
		"the way out changed": {"leave: {event: y}", "leave: {event: w}"},
		"the second step":     {"then: {event: z}", "then: {event: w}"},
	} {
		require.NotEqual(t, was, version(strings.Replace(text, with[0], with[1], 1), "EUR"), other)
	}
	require.NotEqual(t, was, version(text, "USD"))
	require.Equal(t, "16d42ff87f8d", version("{id: a, enter: {event: purchase}}", "EUR"), "rows that are stored have such versions: they must not change")
}

func TestADefinitionWithAPatternThatIsNoneIsRefused(t *testing.T) {
	for _, step := range []func(*segments.Definition, siteconfig.Condition){
		func(d *segments.Definition, c siteconfig.Condition) { d.Enter = c },
		func(d *segments.Definition, c siteconfig.Condition) { d.Leave = &c },
		func(d *segments.Definition, c siteconfig.Condition) { d.Then = &siteconfig.Condition{Not: &c} },
		func(d *segments.Definition, c siteconfig.Condition) { d.Enter.Any = []siteconfig.Condition{c} },
		func(d *segments.Definition, c siteconfig.Condition) { d.Enter.All = []siteconfig.Condition{c} },
	} {
		d := segments.Definition{ID: "s"}
		step(&d, siteconfig.Condition{URL: "("})
		_, err := segments.Compile([]segments.Definition{d})
		require.ErrorContains(t, err, `segment "s": `)
	}
}

// manyRules are n segments, a third each for the name of an event, for a page, and for properties, which an ordinary page view does
// not fulfil.
func manyRules(n int) (rules []string) {
	for i := range n {
		rules = append(rules, fmt.Sprintf([]string{
			"{id: s%[1]d, enter: {event: event_%[1]d}, leave: {event: purchase}}", `{id: s%[1]d, enter: {url: 'shop\.example/(checkout|thanks)/%[1]d'}}`, `{id: s%[1]d, enter: {props: {plan: "%[1]d"}, any: [{category: tea}, {event: x}]}}`,
		}[i%3], i))
	}
	return rules
}

func TestAnEventThatFulfilsNothingCostsNoMemory(t *testing.T) {
	m := matcher(t, slices.DeleteFunc(manyRules(100), func(rule string) bool { return strings.Contains(rule, "url") })...)
	e := event("page_view", url("https://shop.example/p/42"), prop("color", "red"), item("a", "tea", 1, 1))
	require.Empty(t, m.Hits(e, "EUR", "EUR"))
	require.Zero(t, testing.AllocsPerRun(100, func() { m.Hits(e, "EUR", "EUR") }))
}

// BenchmarkHits: one event at a site with so many segments, none of which it fulfils, and one that it does.
func BenchmarkHits(b *testing.B) {
	for _, n := range []int{0, 100} {
		m := matcher(b, manyRules(n)...)
		for name, e := range map[string]*onepxv1.Event{
			"nothing": event("page_view", url("https://shop.example/p/42"), prop("color", "red"), item("a", "tea", 1, 1)),
			"one":     event("event_0", url("https://shop.example/p/42"), prop("color", "red"), item("a", "tea", 1, 1)),
		} {
			b.Run(fmt.Sprintf("%d segments/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					m.Hits(e, "EUR", "EUR")
				}
			})
		}
	}
}
