package enrich_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/shared/segments"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestTheTextOfTheRulesIsCanonical(t *testing.T) {
	rules := enrich.NewRules(config())
	for range 3 {
		require.Equal(t, rules.Text(), enrich.NewRules(config()).Text())
	}
	_, sites, found := strings.Cut(rules.Text(), `"sites":`)
	require.True(t, found)
	require.Equal(t, `{"kiribati":{"timezone":"Pacific/Kiritimati","currency":"AUD","retention_days":395,"goals":[`+
		`{"id":"purchase","event":"purchase","once_per":"order","value":"event","click_window_days":30,"view_window_days":1}]},`+
		`"shop":{"timezone":"Europe/Berlin","currency":"EUR","retention_days":395,"goals":[`+
		`{"id":"purchase","event":"purchase","once_per":"order","value":"event","click_window_days":30,"view_window_days":1},`+
		`{"id":"thanks","url":"^https://shop\\.example/(de/)?thanks","once_per":"session","value":"none","click_window_days":30,"view_window_days":1},`+
		`{"id":"pro","event":"signup","props":{"paid":"1","plan":"pro"},"once_per":"event","value":"fixed","value_micros":9900000,"currency":"CHF","click_window_days":7,"view_window_days":1},`+
		`{"id":"big","event":"purchase","url":"/thanks\\?","props":{"size":"big"},"once_per":"hit","value":"event","click_window_days":90,"view_window_days":90},`+
		`{"id":"test","props":{"test":"yes"},"once_per":"order","value":"fixed","currency":"EUR","click_window_days":30,"view_window_days":1}],"segments":[`+
		`{"id":"carts","version":"VERSION","currency":"EUR","enter":{"event":"add_to_cart"},"leave":{"event":"purchase"}},`+
		`{"id":"tea","version":"VERSION","currency":"EUR","enter":{"url":"/tea/","any":[{"category":"tea"},{"price":{"max":"9.9"}}]},"then":{"event":"purchase"}}]},`+
		`"york":{"timezone":"America/New_York","currency":"USD","retention_days":30}}}`, regexp.MustCompile(`"version":"[0-9a-f]{12}"`).ReplaceAllString(sites, `"version":"VERSION"`))
	require.Regexp(t, "^[0-9a-f]{16}$", rules.Hash())

	backwards := config()
	backwards.Sites[0], backwards.Sites[2] = backwards.Sites[2], backwards.Sites[0]
	require.Equal(t, rules.Hash(), enrich.NewRules(backwards).Hash(), "the order of the sites is not part of the rules")
}

func TestTheHashTellsWhateverRowsDependOn(t *testing.T) {
	before := enrich.NewRules(config()).Hash()
	for name, change := range map[string]func(*siteconfig.Config){
		"another currency":  func(c *siteconfig.Config) { c.Sites[0].Currency = "CHF" },
		"another zone":      func(c *siteconfig.Config) { c.Sites[0].Timezone = c.Sites[1].Timezone },
		"another retention": func(c *siteconfig.Config) { c.Sites[0].RetentionDays = 1 },
		"another site":      func(c *siteconfig.Config) { c.Sites = c.Sites[1:] },
		"no goal":           func(c *siteconfig.Config) { c.Sites[0].Goals = nil },
		"another goal":      func(c *siteconfig.Config) { c.Sites[0].Goals[0].ID = "sale" },
		"another order":     func(c *siteconfig.Config) { slices.Reverse(c.Sites[0].Goals) },
		"another event":     func(c *siteconfig.Config) { c.Sites[0].Goals[0].Event = "order" },
		"another page":      func(c *siteconfig.Config) { c.Sites[0].Goals[1].URL = "/danke" },
		"another property":  func(c *siteconfig.Config) { c.Sites[0].Goals[2].Props["plan"] = "basic" },
		"another scope":     func(c *siteconfig.Config) { c.Sites[0].Goals[0].OncePer = siteconfig.OncePerHit },
		"another source":    func(c *siteconfig.Config) { c.Sites[0].Goals[0].Value = siteconfig.ValueNone },
		"another value":     func(c *siteconfig.Config) { c.Sites[0].Goals[2].ValueMicros++ },
		"its currency":      func(c *siteconfig.Config) { c.Sites[0].Goals[2].Currency = "USD" },
		"a longer window":   func(c *siteconfig.Config) { c.Sites[0].Goals[0].ClickWindowDays++ },
		"a view window":     func(c *siteconfig.Config) { c.Sites[0].Goals[0].ViewWindowDays++ },
		"no segment":        func(c *siteconfig.Config) { c.Sites[0].Segments = nil },
		"another segment":   func(c *siteconfig.Config) { c.Sites[0].Segments[0].ID = "baskets" },
		"another condition": func(c *siteconfig.Config) { c.Sites[0].Segments[1].Enter.URL = "/coffee/" },
		"the way out":       func(c *siteconfig.Config) { c.Sites[0].Segments[0].Leave = nil },
		"the second step":   func(c *siteconfig.Config) { c.Sites[0].Segments[1].Then.Event = "begin_checkout" },
	} {
		t.Run(name, func(t *testing.T) {
			changed := config()
			change(changed)
			require.NotEqual(t, before, enrich.NewRules(changed).Hash())
		})
	}
}

func TestWhatOnlyQuestionsDependOnIsNoPartOfTheRules(t *testing.T) {
	before := enrich.NewRules(config()).Hash()
	changed := config()
	segment := &changed.Sites[0].Segments[0]
	segment.Name, segment.SameProduct, segment.Times.Min, segment.Within, segment.After, segment.Lives, segment.Holdout, segment.Stream = "Carts", true, 2, 1, 2, 3, 4, true
	require.Equal(t, before, enrich.NewRules(changed).Hash())
}

func TestSegmentsOfTwoVersionsAreBothJudged(t *testing.T) {
	rules := enrich.NewRules(config())
	former := config().Sites[0].Segments[0]
	former.Enter.Event = "view_cart"
	rules.AddSegments("shop", segments.NewDefinition(former, "EUR"))
	require.Len(t, enrich.NewRules(config()).Sites["shop"].Segments, 2, "the others have what they had")
	read, err := enrich.ParseRules(rules.Text())
	require.NoError(t, err)
	enricher, err := enrich.New(read)
	require.NoError(t, err)
	hits := enricher.Facts(hit(chromeOnWindows, named("purchase"), allowing("visitor"))).Segments
	require.Equal(t, []string{"carts", "tea", "carts"}, []string{hits[0].Segment, hits[1].Segment, hits[2].Segment})
	require.Len(t, hits, 3)
	require.NotEqual(t, hits[0].Version, hits[2].Version)
}

func TestDeclaredRulesAreReadAgain(t *testing.T) {
	declared := enrich.NewRules(config())
	read, err := enrich.ParseRules(declared.Text())
	require.NoError(t, err)
	require.Equal(t, declared, read)
	require.Equal(t, declared.Hash(), read.Hash())

	again, err := enrich.New(read)
	require.NoError(t, err)
	event := hit(chromeOnWindows, named("purchase"), page("https://shop.example/thanks", "https://www.bing.com/"), allowing("visitor"))
	require.Len(t, facts(t, event).Goals, 2)
	require.Len(t, facts(t, event).Segments, 2)
	require.Equal(t, facts(t, event), again.Facts(event))
}

func TestRulesOfAnotherBinaryAreRefused(t *testing.T) {
	for name, change := range map[string]func(*enrich.Rules){
		"another version of the code":               func(r *enrich.Rules) { r.Enrichment = "2" },
		"another list of crawlers":                  func(r *enrich.Rules) { r.Lists["crawlers"] = "0" },
		"other time zones":                          func(r *enrich.Rules) { r.Lists["time_zones"] = "0" },
		"a list that this binary does not have":     func(r *enrich.Rules) { r.Lists["goals"] = "0" },
		"no lists":                                  func(r *enrich.Rules) { r.Lists = nil },
		"a time zone that this machine lacks":       func(r *enrich.Rules) { r.Sites["shop"] = enrich.SiteRules{Timezone: "Europe/Atlantis"} },
		"a pattern that this binary can't read":     func(r *enrich.Rules) { r.Sites["shop"].Goals[1].URL = "(" },
		"a segment's pattern of that kind":          func(r *enrich.Rules) { r.Sites["shop"].Segments[1].Enter.URL = "(" },
		"a site more, in a zone that is not hashed": func(r *enrich.Rules) { r.Sites["new"] = enrich.SiteRules{Timezone: "Asia/Tokyo"} },
	} {
		t.Run(name, func(t *testing.T) {
			rules := enrich.NewRules(config())
			rules.Lists = maps.Clone(rules.Lists)
			change(&rules)
			_, err := enrich.New(rules)
			require.ErrorIs(t, err, enrich.ErrOtherEnrichment)
		})
	}
	for name, text := range map[string]string{
		"no text":            "",
		"no JSON":            "rules",
		"a field more":       strings.Replace(enrich.NewRules(config()).Text(), "{", `{"goals":[],`, 1),
		"another order":      `{"sites":{},"lists":{},"enrichment":"4"}`,
		"a window too large": `{"enrichment":"4","lists":{},"sites":{"shop":{"timezone":"UTC","currency":"EUR","retention_days":1,"goals":[{"id":"a","event":"a","once_per":"hit","value":"none","click_window_days":256,"view_window_days":1}]}}}`,
		"a number too large": `{"enrichment":"4","lists":{},"sites":{"shop":{"timezone":"UTC","currency":"EUR","retention_days":70000}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := enrich.ParseRules(text)
			require.ErrorIs(t, err, enrich.ErrOtherEnrichment)
		})
	}
}

// A new version of the library brings new lists: agentVersion must follow, so that Rules.Lists tells.
func TestTheVersionOfTheUserAgentLibraryIsDeclared(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	code, err := os.ReadFile("agent.go")
	require.NoError(t, err)
	_, version, found := strings.Cut(string(mod), "github.com/medama-io/go-useragent ")
	require.True(t, found)
	version, _, _ = strings.Cut(version, "\n")
	version, _, _ = strings.Cut(version, " ")
	require.Contains(t, string(code), `agentVersion = "`+version+`"`)
}

func TestTheHashOfGoalsTellsWhatHitsDependOn(t *testing.T) {
	hash := func(change func(*siteconfig.Config), sites ...string) string {
		changed := config()
		change(changed)
		return enrich.NewRules(changed).GoalsHash(sites)
	}
	same := func(*siteconfig.Config) {}
	require.Regexp(t, "^[0-9a-f]{16}$", hash(same, "shop"))
	require.NotEqual(t, hash(same, "shop"), hash(same, "shop", "york"))
	require.Equal(t, hash(same, "york", "shop"), hash(same, "shop", "york"))
	for name, change := range map[string]func(*siteconfig.Config){
		"a goal":       func(c *siteconfig.Config) { c.Sites[0].Goals[0].ClickWindowDays++ },
		"the currency": func(c *siteconfig.Config) { c.Sites[0].Currency = "CHF" },
	} {
		require.NotEqual(t, hash(same, "shop"), hash(change, "shop"), name)
		require.Equal(t, hash(same, "york"), hash(change, "york"), "%s of another site", name)
	}
	require.Equal(t, hash(same, "shop"), hash(func(c *siteconfig.Config) { c.Sites[0].RetentionDays = 1 }, "shop"))
}

func TestTheEventsOfGoalsAreNamedWhereAllGoalsNameOne(t *testing.T) {
	rules := enrich.NewRules(config())
	for site, want := range map[string][]string{"kiribati": {"purchase"}, "york": nil, "shop": nil} {
		names, anyName := rules.GoalEvents(site)
		require.Equal(t, want, names, site)
		require.Equal(t, site == "shop", anyName, site)
	}
	changed := config()
	changed.Sites[0].Goals = changed.Sites[0].Goals[2:4]
	names, anyName := enrich.NewRules(changed).GoalEvents("shop")
	require.False(t, anyName)
	require.Equal(t, []string{"purchase", "signup"}, names)
}
