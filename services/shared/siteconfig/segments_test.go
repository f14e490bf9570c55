package siteconfig_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

const spanDay = siteconfig.Span(24 * time.Hour)

func amount(micros siteconfig.Micros) *siteconfig.Micros { return &micros }

func segmentsOf(t *testing.T, site string) []siteconfig.Segment {
	t.Helper()
	cfg, err := siteconfig.Load("testdata/good/segments.yaml")
	require.NoError(t, err)
	found, ok := cfg.Site(site)
	require.True(t, ok)
	return found.Segments
}

func TestEveryKeyOfASegmentIsReadAndTheRestHasDefaults(t *testing.T) {
	require.Empty(t, segmentsOf(t, "none"))
	segments := segmentsOf(t, "shop")
	require.Equal(t, siteconfig.Segment{
		ID: "least", Enter: siteconfig.Condition{Event: "page_view"}, Times: siteconfig.Times{Min: 1}, Within: 30 * spanDay, Lives: 30 * spanDay,
	}, segments[0])
	require.Equal(t, siteconfig.Segment{
		ID: "cart_abandoners", Name: "In the cart, not bought",
		Enter: siteconfig.Condition{Event: "add_to_cart"}, Leave: &siteconfig.Condition{Event: "purchase"}, Then: &siteconfig.Condition{Event: "begin_checkout"},
		SameProduct: true, Times: siteconfig.Times{Min: 2, Max: 10}, Within: 7 * spanDay,
		Value:      &siteconfig.Band{Min: amount(50_000_000), Max: amount(500_500_000)},
		ThenWithin: 36 * spanDay / 24, After: 90 * spanDay / 24 / 60, Lives: 30 * spanDay, Holdout: 125, Stream: true,
	}, segments[1])
	require.Equal(t, siteconfig.Segment{
		ID: "all_keys", Times: siteconfig.Times{Min: 1, Max: 3}, Within: 40 * spanDay, Lives: 40 * spanDay,
		Enter: siteconfig.Condition{
			Event: "view_item", URL: `^https://shop\.example/(de|en)/`, Props: map[string]string{"plan": "pro"}, Products: []string{"p-1", "42", "größe"},
			Category: "Tea > Green", Price: &siteconfig.Band{Min: amount(0), Max: amount(19_999_999)}, Value: &siteconfig.Band{Min: amount(1_000_000)},
			All: []siteconfig.Condition{
				{Event: "view_item"},
				{Not: &siteconfig.Condition{Any: []siteconfig.Condition{{Event: "view_item", Category: "other"}, {URL: "/sale/"}}}},
			},
			Any: []siteconfig.Condition{
				{Products: []string{"p-1"}},
				{All: []siteconfig.Condition{{Products: []string{"42"}}, {Not: &siteconfig.Condition{Not: &siteconfig.Condition{Price: &siteconfig.Band{Max: amount(5_000_000)}}}}}},
			},
			Not: &siteconfig.Condition{Props: map[string]string{"staff": "yes"}},
		},
	}, segments[2])
}

func TestASegmentAsJSONIsTheSameSegmentInAFile(t *testing.T) {
	for _, site := range []string{"shop", "long"} {
		for _, segment := range segmentsOf(t, site) {
			text, err := json.Marshal(segment)
			require.NoError(t, err)
			again, err := siteconfig.ParseSegment("rule.json", text)
			require.NoError(t, err, string(text))
			require.Equal(t, segment, again)
			var condition siteconfig.Condition
			text, err = json.Marshal(segment.Enter)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, &condition))
			require.Equal(t, segment.Enter, condition)
		}
	}
	require.Error(t, json.Unmarshal([]byte(`{"price": {"min": "-1"}}`), &siteconfig.Condition{}))
}

func TestAFileWithOneSegmentIsReadLikeThoseOfASite(t *testing.T) {
	segment, err := siteconfig.ParseSegment("rule.yaml", []byte("id: a\nenter: {event: x}\nlives: 90m\n"))
	require.NoError(t, err)
	require.Equal(t, "90m", segment.Within.String())
	_, err = siteconfig.ParseSegment("rule.yaml", []byte("id: a\nenter: {}\nleave: {event: y}\nafter: 30d\n"))
	require.EqualError(t, err, "rule.yaml:2:8: enter: has no condition, so that every event would do; the keys are event, url, props, product, category, price, value, all, any, not\n"+
		"rule.yaml:4:8: after: 30d is not below lives, which is 30d: nobody would ever be in it")
	_, err = siteconfig.ParseSegment("rule.yaml", nil)
	require.Error(t, err)
}

func TestSegmentsThatLookFurtherBackThanRowsAreKeptAreWarnedOf(t *testing.T) {
	cfg, err := siteconfig.Load("testdata/good/segments.yaml")
	require.NoError(t, err)
	require.Equal(t, []string{
		"testdata/good/segments.yaml:24:9: sites[1].segments[2]: needs events of 80d (within 40d + lives 40d), and retention_days keeps them for 60d: members will be missing",
		"testdata/good/segments.yaml:46:9: sites[2].segments[0]: needs events of 1620d (within 540d + lives 540d + then_within 540d), and retention_days keeps them for 395d: members will be missing",
	}, cfg.Warnings)
}

func TestASiteHasAtMost100Segments(t *testing.T) {
	file := func(n int) string {
		text := "sites: [{id: a, timezone: UTC, currency: EUR, segments: ["
		for i := range n {
			text += fmt.Sprintf("{id: s%d, enter: {event: lead}},", i)
		}
		return text + "]}]"
	}
	cfg, err := siteconfig.Parse("f", []byte(file(siteconfig.MaxSegments)))
	require.NoError(t, err)
	require.Len(t, cfg.Sites[0].Segments, siteconfig.MaxSegments)
	_, err = siteconfig.Parse("f", []byte(file(siteconfig.MaxSegments+1)))
	require.EqualError(t, err, "f:1:57: sites[0].segments: has 101 segments; at most 100 are allowed")
}

func TestTheExamplesOfTheDocumentationAreRight(t *testing.T) {
	page, err := os.ReadFile("../../../docs/audiences.md")
	require.NoError(t, err)
	file, _, found := strings.Cut(strings.SplitAfter(string(page), "```yaml\n")[1], "```")
	require.True(t, found)
	cfg, err := siteconfig.Parse("f", []byte("sites:\n- id: a\n  timezone: UTC\n  currency: EUR\n  "+strings.ReplaceAll(file, "\n", "\n  ")))
	require.NoError(t, err)
	require.Len(t, cfg.Sites[0].Segments, 3)
	conditions := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*\\| `(\\{.*\\})` \\|$").FindAllStringSubmatch(string(page), -1)
	require.Len(t, conditions, 10, "one for each key")
	for _, c := range conditions {
		require.True(t, strings.HasPrefix(c[2], "{"+c[1]+":"), c[0])
		_, err := siteconfig.ParseSegment("f", []byte("id: a\nenter: "+c[2]))
		require.NoError(t, err, c[0])
	}
}

func requireSegments(t *testing.T, site siteconfig.Site) {
	t.Helper()
	require.LessOrEqual(t, len(site.Segments), siteconfig.MaxSegments)
	ids := map[string]bool{}
	for _, s := range site.Segments {
		require.Regexp(t, `^[a-z0-9][a-z0-9_-]{0,63}$`, s.ID)
		require.False(t, ids[s.ID])
		ids[s.ID] = true
		require.LessOrEqual(t, utf8.RuneCountInString(s.Name), 128)
		require.True(t, 1 <= s.Times.Min && (s.Times.Max == 0 || s.Times.Min <= s.Times.Max) && s.Times.Max <= siteconfig.MaxTimes)
		for _, span := range []siteconfig.Span{s.Within, s.Lives} {
			require.True(t, siteconfig.MinSpan <= span && span <= siteconfig.MaxSpan)
		}
		require.Less(t, s.After, s.Lives)
		require.Equal(t, s.Then != nil, s.ThenWithin != 0)
		require.LessOrEqual(t, s.Holdout, siteconfig.MaxHoldout)
		requireBand(t, s.Value)
		requireCondition(t, &s.Enter, 1)
		for _, c := range []*siteconfig.Condition{s.Leave, s.Then} {
			if c != nil {
				requireCondition(t, c, 1)
			}
		}
		text, err := json.Marshal(s)
		require.NoError(t, err)
		again, err := siteconfig.ParseSegment("f", text)
		require.NoError(t, err, string(text))
		require.Equal(t, s, again)
	}
}

func requireCondition(t *testing.T, c *siteconfig.Condition, depth int) {
	t.Helper()
	require.LessOrEqual(t, depth, siteconfig.MaxDepth)
	require.NotEqual(t, siteconfig.Condition{}, *c)
	_, err := regexp.Compile(c.URL)
	require.NoError(t, err)
	require.LessOrEqual(t, len(c.Products), siteconfig.MaxProducts)
	for _, id := range c.Products {
		require.True(t, id != "" && utf8.ValidString(id))
	}
	requireBand(t, c.Price)
	requireBand(t, c.Value)
	for i := range c.All {
		requireCondition(t, &c.All[i], depth+1)
	}
	for i := range c.Any {
		requireCondition(t, &c.Any[i], depth+1)
	}
	if c.Not != nil {
		requireCondition(t, c.Not, depth+1)
	}
}

func requireBand(t *testing.T, b *siteconfig.Band) {
	t.Helper()
	if b == nil {
		return
	}
	require.False(t, b.Min == nil && b.Max == nil)
	require.False(t, b.Min != nil && b.Max != nil && *b.Min > *b.Max)
}

func TestAWarningKeepsNoFileFromBeingRead(t *testing.T) {
	cfg, err := siteconfig.Parse("f", []byte("sites: [{id: a, timezone: UTC, currency: EUR, retention_days: 1, segments: [{id: s, enter: {event: x}}]}]"))
	require.NoError(t, err)
	require.Equal(t, []string{"f:1:77: sites[0].segments[0]: needs events of 30d (lives 30d), and retention_days keeps them for 1d: members will be missing"}, cfg.Warnings)
}
