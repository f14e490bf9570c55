package golden_test

import (
	"regexp"
	"strings"
	"time"

	"github.com/onepx/onepx/tools/internal/answers"
)

// condition judges an event and one of its items.
type condition = func(*answers.Event, *answers.Item) bool

func named(name string) condition {
	return func(e *answers.Event, _ *answers.Item) bool { return e.Name == name }
}

func all(of ...condition) condition {
	return func(e *answers.Event, i *answers.Item) bool {
		for _, c := range of {
			if !c(e, i) {
				return false
			}
		}
		return true
	}
}

func anyOf(of ...condition) condition { return not(all(negated(of)...)) }

func negated(of []condition) (list []condition) {
	for _, c := range of {
		list = append(list, not(c))
	}
	return list
}

func not(of condition) condition {
	return func(e *answers.Event, i *answers.Item) bool { return !of(e, i) }
}

func at(pattern string) condition {
	re := regexp.MustCompile(pattern)
	return func(e *answers.Event, _ *answers.Item) bool { return re.MatchString(e.URL) }
}

func prop(name, value string) condition {
	return func(e *answers.Event, _ *answers.Item) bool { return e.Props[name] == value }
}

func product(ids ...string) condition {
	return func(_ *answers.Event, i *answers.Item) bool {
		return i != nil && strings.Contains(" "+strings.Join(ids, " ")+" ", " "+i.ID+" ")
	}
}

func category(name string) condition {
	return func(_ *answers.Event, i *answers.Item) bool { return i != nil && i.Category == name }
}

// between tells that an amount of the site's currency lies between the bounds, both included; "" is no bound.
func between(text, currency, from, to string) bool {
	amount := answers.ParseAmount(text)
	if amount == nil || currency != "" && !strings.EqualFold(currency, "EUR") {
		return false
	}
	return (from == "" || amount.Cmp(answers.ParseAmount(from)) >= 0) && (to == "" || amount.Cmp(answers.ParseAmount(to)) <= 0)
}

func price(from, to string) condition {
	return func(e *answers.Event, i *answers.Item) bool {
		return i != nil && between(i.Price, e.Currency, from, to)
	}
}

func value(from, to string) condition {
	return func(e *answers.Event, _ *answers.Item) bool { return between(e.Value, e.Currency, from, to) }
}

// segment is a rule as onepx.yaml has it, and as the reference understands it.
type segment struct {
	yaml string
	rule answers.Segment
}

const (
	minute = time.Minute
	hour   = time.Hour
)

// rule completes a rule with what it has unless set.
func rule(id, yaml string, s answers.Segment) segment {
	s.ID = id
	if s.MinTimes == 0 {
		s.MinTimes = 1
	}
	if s.Lives == 0 {
		s.Lives = 30 * aDay
	}
	if s.Within == 0 {
		s.Within = s.Lives
	}
	return segment{"{id: " + id + ", " + yaml + "}", s}
}

func micros(text string) answers.Amount { return answers.ParseAmount(text) }

// segments are those of the shop that has audiences.
var segments = []segment{
	rule("viewed", "enter: {event: view_item}, holdout: 20", answers.Segment{Enter: named("view_item")}),
	rule("cart_abandoners", "enter: {event: add_to_cart}, leave: {event: purchase}, same_product: true, holdout: 20",
		answers.Segment{Enter: named("add_to_cart"), Leave: named("purchase"), SameProduct: true}),
	rule("viewed_not_bought", "enter: {event: view_item}, leave: {event: purchase}, same_product: true, lives: 7d",
		answers.Segment{Enter: named("view_item"), Leave: named("purchase"), SameProduct: true, Lives: 7 * aDay}),
	rule("cart_any", "enter: {event: add_to_cart}, leave: {event: purchase}, lives: 14d",
		answers.Segment{Enter: named("add_to_cart"), Leave: named("purchase"), Lives: 14 * aDay}),
	rule("buyers", "enter: {event: purchase}", answers.Segment{Enter: named("purchase")}),
	rule("three_times", "enter: {event: view_item}, times: {min: 3}, within: 7d",
		answers.Segment{Enter: named("view_item"), MinTimes: 3, Within: 7 * aDay}),
	rule("two_of_one", "enter: {event: view_item}, times: {min: 2}, within: 1d, same_product: true",
		answers.Segment{Enter: named("view_item"), MinTimes: 2, Within: aDay, SameProduct: true}),
	rule("seldom", "enter: {event: view_item}, times: {max: 3}, within: 14d, holdout: 20",
		answers.Segment{Enter: named("view_item"), MaxTimes: 3, Within: 14 * aDay}),
	rule("band", "enter: {event: view_item}, times: {min: 2, max: 4}, within: 7d, leave: {event: purchase}, lives: 14d",
		answers.Segment{Enter: named("view_item"), MinTimes: 2, MaxTimes: 4, Within: 7 * aDay, Leave: named("purchase"), Lives: 14 * aDay}),
	rule("within_the_hour", "enter: {event: view_item}, times: {min: 2}, within: 1h, lives: 2h",
		answers.Segment{Enter: named("view_item"), MinTimes: 2, Within: hour, Lives: 2 * hour}),
	rule("spent", `enter: {event: purchase}, value: {min: "100"}, lives: 60d`,
		answers.Segment{Enter: named("purchase"), MinValue: micros("100"), Lives: 60 * aDay}),
	rule("spent_between", `enter: {event: purchase}, value: {min: "50", max: "250.50"}, within: 30d`,
		answers.Segment{Enter: named("purchase"), MinValue: micros("50"), MaxValue: micros("250.50")}),
	rule("dear_product", `enter: {event: add_to_cart}, same_product: true, value: {min: "60"}, within: 7d`,
		answers.Segment{Enter: named("add_to_cart"), SameProduct: true, MinValue: micros("60"), Within: 7 * aDay}),
	rule("then", "enter: {event: view_item}, then: {event: add_to_cart}, then_within: 3d",
		answers.Segment{Enter: named("view_item"), Then: named("add_to_cart"), ThenWithin: 3 * aDay}),
	rule("then_same", "enter: {event: view_item}, then: {event: add_to_cart}, then_within: 1d, same_product: true, leave: {event: purchase}, holdout: 20",
		answers.Segment{Enter: named("view_item"), Then: named("add_to_cart"), ThenWithin: aDay, SameProduct: true, Leave: named("purchase")}),
	rule("then_after_three", "enter: {event: view_item}, times: {min: 3, max: 8}, within: 7d, then: {event: begin_checkout}, then_within: 30m, leave: {event: purchase}",
		answers.Segment{Enter: named("view_item"), MinTimes: 3, MaxTimes: 8, Within: 7 * aDay, Then: named("begin_checkout"), ThenWithin: 30 * minute, Leave: named("purchase")}),
	rule("silent", "enter: {event: add_to_cart}, leave: {event: purchase}, after: 1d, lives: 14d, same_product: true, holdout: 20",
		answers.Segment{Enter: named("add_to_cart"), Leave: named("purchase"), After: aDay, Lives: 14 * aDay, SameProduct: true}),
	rule("lapsed", "enter: {event: purchase}, after: 10d, lives: 40d",
		answers.Segment{Enter: named("purchase"), After: 10 * aDay, Lives: 40 * aDay}),
	rule("tea", "enter: {event: view_item, category: tea}, leave: {event: purchase, category: tea}",
		answers.Segment{Enter: all(named("view_item"), category("tea")), Leave: all(named("purchase"), category("tea"))}),
	rule("green_or_black", "enter: {product: [green, black]}, same_product: true",
		answers.Segment{Enter: product("green", "black"), SameProduct: true}),
	rule("cheap", `enter: {all: [{event: view_item}, {price: {max: "9.99"}}]}, same_product: true`,
		answers.Segment{Enter: all(named("view_item"), price("", "9.99")), SameProduct: true}),
	rule("worth", `enter: {event: purchase, value: {min: "20", max: "80"}}`,
		answers.Segment{Enter: all(named("purchase"), value("20", "80"))}),
	rule("by_page", "enter: {url: '/(tee|tea)/.*green'}", answers.Segment{Enter: at(`/(tee|tea)/.*green`)}),
	rule("by_prop", "enter: {event: search, props: {q: grün}}", answers.Segment{Enter: all(named("search"), prop("q", "grün"))}),
	rule("any", "enter: {any: [{event: signup}, {event: search}, {all: [{event: purchase}, {not: {category: tea}}]}]}, leave: {event: logout}",
		answers.Segment{Enter: anyOf(named("signup"), named("search"), all(named("purchase"), not(category("tea")))), Leave: named("logout")}),
	rule("not_sale", "enter: {event: view_item, not: {any: [{url: /sale}, {product: [cup]}]}}",
		answers.Segment{Enter: all(named("view_item"), not(anyOf(at("/sale"), product("cup"))))}),
	rule("left_by_page", "enter: {event: view_item}, leave: {url: '/thanks$'}, same_product: true, lives: 3d",
		answers.Segment{Enter: named("view_item"), Leave: at("/thanks$"), SameProduct: true, Lives: 3 * aDay}),
	rule("minute", "enter: {event: search}, lives: 1m, holdout: 20", answers.Segment{Enter: named("search"), Lives: minute}),
	rule("long", "enter: {event: signup}, within: 1m, lives: 300d", answers.Segment{Enter: named("signup"), Within: minute, Lives: 300 * aDay}),
}
