package enrich

import (
	"cmp"
	"fmt"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/urlpattern"
)

// GoalHit is a goal that an event matched, with what reports need of the goal as it was then.
type GoalHit struct {
	// ID is the goal's.
	ID string
	// OncePer and Value are words of siteconfig.OncePer and siteconfig.ValueSource.
	OncePer, Value string
	// ValueMicros is the value in millionths: fixed, or the event's unless that is negative; nil if there is none. Not to
	// be written to.
	ValueMicros *int64
	// Currency is that of the value; where there is none, the one it would be in.
	Currency string
	// ClickWindowDays and ViewWindowDays are for how many days a click and a view may be credited with the conversion.
	ClickWindowDays, ViewWindowDays uint8
}

// goal is a goal with its conditions as they are checked fastest.
type goal struct {
	GoalRules
	// url is nil if any page will do, and none.
	url   *urlpattern.Pattern
	props []property
}

type property struct{ name, value string }

// goals are the goals of a site, both in the order of the configuration.
type goals struct {
	// ofEvent are, by the name of an event, the goals for this name and those for any. A name that no goal is for has no entry.
	ofEvent map[string][]*goal
	// ofAny are the goals for any name.
	ofAny []*goal
}

// Goals returns the goals that a stored event matches, as Facts does for a new one. It needs of the event the site, the name,
// the page's URL, the properties and the value. currency and siteCurrency are those of the stored row; an empty currency is the
// site's.
func (e *Enricher) Goals(event *onepxv1.Event, currency, siteCurrency string) []GoalHit {
	return e.site(event.GetSiteId()).goals.hits(event, cmp.Or(currency, siteCurrency), siteCurrency)
}

// newGoals compiles the goals of a site.
func newGoals(rules []GoalRules) (goals, error) {
	g := goals{ofEvent: map[string][]*goal{}}
	for _, r := range rules {
		g.ofEvent[r.Event] = nil
	}
	delete(g.ofEvent, "")
	for _, r := range rules {
		one, err := newGoal(r)
		if err != nil {
			return goals{}, fmt.Errorf("goal %q: %w", r.ID, err)
		}
		if r.Event != "" {
			g.ofEvent[r.Event] = append(g.ofEvent[r.Event], one)
			continue
		}
		g.ofAny = append(g.ofAny, one)
		for name := range g.ofEvent {
			g.ofEvent[name] = append(g.ofEvent[name], one)
		}
	}
	return g, nil
}

func newGoal(r GoalRules) (*goal, error) {
	one := &goal{GoalRules: r}
	for name, value := range r.Props {
		one.props = append(one.props, property{name, value})
	}
	if r.URL == "" {
		return one, nil
	}
	var err error
	one.url, err = urlpattern.Compile(r.URL)
	return one, err
}

// hits returns a hit for each goal that the event matches, in the order of the configuration; nil if there is none.
// currency is that of the event's value, siteCurrency the site's.
func (g goals) hits(event *onepxv1.Event, currency, siteCurrency string) []GoalHit {
	candidates, named := g.ofEvent[event.GetName()]
	if !named {
		candidates = g.ofAny
	}
	var hits []GoalHit
	for _, one := range candidates {
		if one.matches(event) {
			hits = append(hits, one.hit(event, currency, siteCurrency))
		}
	}
	return hits
}

// matches tells whether an event of the right name fulfils the other conditions; the costly one comes last.
func (g *goal) matches(event *onepxv1.Event) bool {
	for _, want := range g.props {
		if value, found := event.GetProps()[want.name]; !found || value != want.value {
			return false
		}
	}
	return g.url == nil || g.url.Match(event.GetPage().GetUrl())
}

func (g *goal) hit(event *onepxv1.Event, currency, siteCurrency string) GoalHit {
	hit := GoalHit{
		ID: g.ID, OncePer: g.OncePer, Value: g.Value, Currency: siteCurrency, ClickWindowDays: g.ClickWindowDays, ViewWindowDays: g.ViewWindowDays,
	}
	switch siteconfig.ValueSource(g.Value) {
	case siteconfig.ValueFixed:
		hit.ValueMicros, hit.Currency = &g.ValueMicros, g.Currency
	case siteconfig.ValueEvent:
		hit.Currency = currency
		if commerce := event.GetCommerce(); commerce != nil && commerce.ValueMicros != nil && *commerce.ValueMicros >= 0 {
			hit.ValueMicros = commerce.ValueMicros
		}
	case siteconfig.ValueNone:
	}
	return hit
}
