package enrich_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/shared/segments"
)

func TestOnlyPeopleWhoAllowItAreJudged(t *testing.T) {
	of := func(change func(*onepxv1.Event)) *onepxv1.Event {
		return hit(chromeOnWindows, named("add_to_cart"), allowing("visitor"), change)
	}
	for name, test := range map[string]struct {
		event *onepxv1.Event
		hits  int
	}{
		"a visitor with a cookie":                  {of(func(*onepxv1.Event) {}), 1},
		"a visitor whose cookie is new":            {of(func(e *onepxv1.Event) { e.Visitor.Kind = onepxv1.VisitorKind_VISITOR_KIND_MINTED }), 1},
		"a visitor whom the site knows":            {of(func(e *onepxv1.Event) { e.Visitor.Kind = onepxv1.VisitorKind_VISITOR_KIND_PROVIDED }), 1},
		"a visitor of a day":                       {of(func(e *onepxv1.Event) { e.Visitor.Kind = onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH }), 0},
		"nobody":                                   {of(func(e *onepxv1.Event) { e.Visitor = nil }), 0},
		"an id of zeros":                           {of(func(e *onepxv1.Event) { e.Visitor.VisitorId = make([]byte, 16) }), 0},
		"an id that is none":                       {of(func(e *onepxv1.Event) { e.Visitor.VisitorId = []byte("visitor") }), 0},
		"a visitor who allows measuring, not this": {of(func(e *onepxv1.Event) { e.Consent.Profile = false }), 0},
		"a visitor who has said nothing":           {of(func(e *onepxv1.Event) { e.Consent = nil }), 0},
		"a machine":                                {of(func(e *onepxv1.Event) { e.Client.UserAgent = googlebot }), 0},
		"a visitor of a site without segments":     {of(site("york")), 0},
		"a visitor of a site that has gone away":   {of(site("gone")), 0},
	} {
		t.Run(name, func(t *testing.T) {
			require.Len(t, facts(t, test.event).Segments, test.hits)
		})
	}
}

func TestHitsSayWhichSegmentStepAndProduct(t *testing.T) {
	micros := func(n int64) *int64 { return &n }
	version := func(i int) string { return segments.NewDefinition(config().Sites[0].Segments[i], "EUR").Version }
	event := hit(chromeOnWindows, named("purchase"), page("https://shop.example/tea/", ""), allowing("visitor"), worth(22_000_000, ""),
		item("p-1", "coffee", 12_000_000), item("p-2", "tea", 10_000_000))
	require.Equal(t, []segments.Hit{
		{Segment: "carts", Version: version(0), Step: segments.StepLeave, Product: "p-1", ItemMicros: micros(12_000_000)},
		{Segment: "carts", Version: version(0), Step: segments.StepLeave, Product: "p-2", Nth: 1, ItemMicros: micros(10_000_000)},
		{Segment: "tea", Version: version(1), Step: segments.StepEnter, Product: "p-2", ItemMicros: micros(10_000_000)},
		{Segment: "tea", Version: version(1), Step: segments.StepThen, Product: "p-1", ItemMicros: micros(12_000_000)},
		{Segment: "tea", Version: version(1), Step: segments.StepThen, Product: "p-2", Nth: 1, ItemMicros: micros(10_000_000)},
	}, facts(t, event).Segments)
}

func TestAChangedCurrencyIsAnotherVersion(t *testing.T) {
	changed := config()
	changed.Sites[0].Currency = "USD"
	before, after := enrich.NewRules(config()).Sites["shop"].Segments, enrich.NewRules(changed).Sites["shop"].Segments
	for i := range before {
		require.NotEqual(t, before[i].Version, after[i].Version)
		after[i].Version, after[i].Currency = before[i].Version, before[i].Currency
	}
	require.Equal(t, before, after)
}
