package enrich_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestAnEventIsAHitOfTheGoalsWhoseConditionsAllHold(t *testing.T) {
	const thanks = "https://shop.example/thanks?order=1"
	for name, test := range map[string]struct {
		options []func(*onepxv1.Event)
		want    []string
	}{
		"the name of the event":                        {with(named("purchase")), []string{"purchase"}},
		"another case of the name is another name":     {with(named("Purchase")), nil},
		"a name that begins like it is another name":   {with(named("purchase_failed")), nil},
		"a page, for an event of any name":             {with(page("https://shop.example/thanks", "")), []string{"thanks"}},
		"the pattern may end before the URL does":      {with(page("https://shop.example/de/thanks-a-lot?x", "")), []string{"thanks"}},
		"the pattern says where the URL begins":        {with(page("https://other.example/?u=https://shop.example/thanks", "")), nil},
		"the referrer is not the page":                 {with(page("https://shop.example/", "https://shop.example/thanks")), nil},
		"an event without a page is on none":           {with(named("purchase"), props("size", "big")), []string{"purchase"}},
		"all properties":                               {with(named("signup"), props("plan", "pro", "paid", "1", "more", "x")), []string{"pro"}},
		"one property of two is not enough":            {with(named("signup"), props("plan", "pro")), nil},
		"another value of a property":                  {with(named("signup"), props("plan", "Pro", "paid", "1")), nil},
		"the properties, but another name":             {with(named("login"), props("plan", "pro", "paid", "1")), nil},
		"several goals in the order of the file":       {with(named("purchase"), page(thanks, ""), props("test", "yes", "size", "big")), []string{"purchase", "thanks", "big", "test"}},
		"the page of a goal, but not its property":     {with(named("purchase"), page(thanks, "")), []string{"purchase", "thanks"}},
		"a machine is judged like anybody":             {with(named("purchase"), prefetch), []string{"purchase"}},
		"a refund is no purchase":                      {with(named("refund")), nil},
		"a site without the key has the goal purchase": {with(site("kiribati"), named("purchase")), []string{"purchase"}},
		"a site with an empty list has none":           {with(site("york"), named("purchase")), nil},
		"a site that the rules don't know has none":    {with(site("gone"), named("purchase")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, goal := range facts(t, hit(chromeOnWindows, test.options...)).Goals {
				got = append(got, goal.ID)
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestTheValueOfAHitIsWhatTheGoalSays(t *testing.T) {
	micros := func(n int64) *int64 { return &n }
	purchase := func(value *int64, currency string) enrich.GoalHit {
		return enrich.GoalHit{ID: "purchase", OncePer: "order", Value: "event", ValueMicros: value, Currency: currency, ClickWindowDays: 30, ViewWindowDays: 1}
	}
	for name, test := range map[string]struct {
		options []func(*onepxv1.Event)
		want    enrich.GoalHit
	}{
		"of the event":                              {with(named("purchase"), worth(5, "USD")), purchase(micros(5), "USD")},
		"of the event, in the site's currency":      {with(named("purchase"), worth(0, "")), purchase(micros(0), "EUR")},
		"of an event without a value":               {with(named("purchase")), purchase(nil, "EUR")},
		"of an event with a negative value":         {with(named("purchase"), worth(-1, "USD")), purchase(nil, "USD")},
		"of an event with the most negative value":  {with(named("purchase"), worth(-1<<63, "")), purchase(nil, "EUR")},
		"fixed, whatever the event says":            {with(named("signup"), worth(5, "USD"), props("plan", "pro", "paid", "1")), enrich.GoalHit{ID: "pro", OncePer: "event", Value: "fixed", ValueMicros: micros(9_900_000), Currency: "CHF", ClickWindowDays: 7, ViewWindowDays: 1}},
		"fixed at nought, in the site's currency":   {with(props("test", "yes"), worth(5, "USD")), enrich.GoalHit{ID: "test", OncePer: "order", Value: "fixed", ValueMicros: micros(0), Currency: "EUR", ClickWindowDays: 30, ViewWindowDays: 1}},
		"none, in the site's currency all the same": {with(page("https://shop.example/thanks", ""), worth(5, "USD")), enrich.GoalHit{ID: "thanks", OncePer: "session", Value: "none", Currency: "EUR", ClickWindowDays: 30, ViewWindowDays: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, []enrich.GoalHit{test.want}, facts(t, hit(chromeOnWindows, test.options...)).Goals)
		})
	}
}

// Patterns are left out: what regexp keeps for reuse is thrown away at random under the race detector.
func TestAnEventThatMatchesNothingCostsNoMemory(t *testing.T) {
	config := manyGoals(t, 50)
	for i := range config.Sites[0].Goals {
		if goal := &config.Sites[0].Goals[i]; goal.Event == "" && goal.Props == nil {
			goal.Event = "other"
		}
	}
	with, err := enrich.New(enrich.NewRules(config))
	require.NoError(t, err)
	config.Sites[0].Goals = nil
	without, err := enrich.New(enrich.NewRules(config))
	require.NoError(t, err)
	event := hit("", page("https://shop.example/p/42", ""), props("color", "red"))
	require.Empty(t, with.Facts(event).Goals)
	run := func(e *enrich.Enricher) float64 { return testing.AllocsPerRun(100, func() { e.Facts(event) }) }
	require.Equal(t, run(without), run(with))
}

// manyGoals is a site with n goals, of which a third each is for the name of an event, for a page, and for properties, all
// of which an ordinary page view does not match.
func manyGoals(tb testing.TB, n int) *siteconfig.Config {
	tb.Helper()
	text := "sites: [{id: shop, timezone: Europe/Berlin, currency: EUR, goals: ["
	for i := range n {
		condition := []string{"event: event_%[1]d, url: /thanks/%[1]d", `url: 'shop\.example/(checkout|thanks)/%d'`, `props: {plan: "%d"}`}[i%3]
		text += fmt.Sprintf("{id: g%d, "+condition+"},", i, i)
	}
	config, err := siteconfig.Parse("f", []byte(text+"]}]"))
	require.NoError(tb, err)
	return config
}

func TestAStoredEventHasTheGoalsOfANewOne(t *testing.T) {
	enricher, err := shared()
	require.NoError(t, err)
	for name, event := range map[string]*onepxv1.Event{
		"several goals":             hit(chromeOnWindows, named("purchase"), page("https://shop.example/thanks?order=1", ""), props("test", "yes", "size", "big"), worth(5, "USD")),
		"in the site's currency":    hit(chromeOnWindows, named("purchase"), worth(5, "")),
		"without a value":           hit(chromeOnWindows, named("purchase")),
		"none":                      hit(chromeOnWindows),
		"a site that has gone away": hit(chromeOnWindows, site("gone"), named("purchase")),
	} {
		t.Run(name, func(t *testing.T) {
			made := enricher.Facts(event)
			require.Equal(t, made.Goals, enricher.Goals(event, made.Currency, made.SiteCurrency))
		})
	}
	was := enricher.Goals(hit("", named("purchase"), page("https://shop.example/thanks", ""), worth(5, "USD")), "USD", "GBP")
	require.Equal(t, []string{"USD", "GBP"}, []string{was[0].Currency, was[1].Currency}, "the site had another currency then")
}
