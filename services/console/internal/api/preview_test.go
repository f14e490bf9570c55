package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

const (
	preview  = "/v1/sites/shop/audiences/preview"
	yamlRule = "id: cart\nenter: {event: add_to_cart, url: 'a/b'}\nlives: 2d\n"
	jsonRule = "{\n\t\"id\": \"cart\",\t\"enter\":\t{\"event\": \"add_to_cart\", \"url\": \"a\\/\\u0062\"},\n\t\"lives\": \"2d\"\n}"
)

func TestARuleIsTried(t *testing.T) {
	w := newWorld(t)
	w.crowd(2)
	w.suppress(w.members[0].Visitor)
	for kind, rule := range map[string]string{"application/yaml": yamlRule, "application/json; charset=utf-8": jsonRule} {
		answer := w.try(shopKey, kind, rule)
		require.Equal(t, http.StatusOK, answer.status, answer.body)
		require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
		require.JSONEq(t, `{"members":2,"minted":1,"held_out":3,"days":[{"day":"2026-11-26","members":2,"minted":0,"enters":2,"exits":0,"expiries":0}],
			"samples":[{"visitor":"`+w.members[1].Visitor.String()+`","qualified_at":"2026-11-26T12:00:00Z","ends_at":"2026-11-26T12:00:00Z"}]}`, answer.body)
	}
	require.Equal(t, w.previewed[0], w.previewed[1], "both are one rule")
	require.Equal(t, siteconfig.Span(48*time.Hour), w.previewed[0].Lives)
	require.Equal(t, []string{"preview shop cart 30", "preview shop cart 30"}, w.asked)
	require.Equal(t, http.StatusNotFound, w.get(shopKey, preview).status, "an audience may have that name")
}

func TestARuleThatIsWrongIsToldByLine(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name, kind, rule string
		status           int
		told             []string
	}{
		{"two problems", "application/yaml", "id: a\nenter: {evnt: x}\nlives: 5 days\n", 422, []string{
			"body.enter.evnt line 2, column 9: is not a known key", `body.lives line 3, column 8: "5 days" is not a duration`,
		}},
		{"in JSON", "application/json", "{\"id\": \"a\",\n\t\"enter\": {\"event\": \"x\"}, \"lives\": 5}", 422, []string{"body.lives line 2, column"}},
		{"no JSON", "application/json", "id: a\nenter: {event: x}\n", 422, []string{"body is not valid JSON"}},
		{"no YAML", "application/yaml", "id: [", 422, []string{"body line 1, column"}},
		{"a contradiction", "application/yaml", "id: a\nenter: {event: x}\nleave: {event: x}\n", 422, []string{"body.leave line 3"}},
		{"not UTF-8", "application/yaml", "id: \xff", 422, []string{"body line 1, column 5"}},
		{"an alias", "application/yaml", "id: a\nenter: &x {all: [*x, *x]}\n", 422, []string{"not allowed here"}},
		{"deep", "application/yaml", "id: a\nenter: " + strings.Repeat("[", 50_000), 422, []string{"nested more than"}},
		{"very many problems", "application/yaml", "id: a\nenter: {event: x}\n" + strings.Repeat("x: 1\n", 2_000), 422, []string{"line 3"}},
		{"empty", "application/yaml", "", 400, nil},
		{"of another kind", "text/plain", yamlRule, 415, []string{"send the rule as"}},
		{"too large", "application/yaml", yamlRule + strings.Repeat("#", 64<<10), 413, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := w.try(shopKey, test.kind, test.rule)
			require.Equal(t, test.status, answer.status, answer.body)
			detail := answer.problem(t)
			for _, text := range test.told {
				require.Contains(t, detail, text)
			}
			require.Less(t, len(answer.body), 16<<10)
		})
	}
	require.Empty(t, w.asked)
	large := yamlRule + strings.Repeat("#", 64<<10-len(yamlRule))
	require.Equal(t, http.StatusOK, w.try(shopKey, "application/yaml", large).status)
}

func TestARuleIsTriedByWhoeverHasTheRight(t *testing.T) {
	w := newWorld(t)
	for key, status := range map[string]int{adsKey: 403, privacyKey: 403, blogKey: 404, "": 401} {
		require.Equal(t, status, w.try(key, "application/yaml", yamlRule).status, key)
	}
	require.Empty(t, w.asked)
}

func TestFewPreviewsRunAtOnceAndNoneForLong(t *testing.T) {
	w := newWorld(t)
	w.hold = make(chan struct{})
	answers := make(chan response)
	for range 2 {
		go func() { answers <- w.try(shopKey, "application/yaml", yamlRule) }()
	}
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.previewed) == 2
	}, 10*time.Second, time.Millisecond)
	third := w.try(shopKey, "application/yaml", yamlRule)
	require.Equal(t, http.StatusServiceUnavailable, third.status)
	require.Equal(t, "1", third.header.Get("Retry-After"))
	require.Equal(t, "too many requests wait; try again", third.problem(t))
	require.Equal(t, http.StatusOK, w.get(shopKey, "/v1/sites/shop/audiences").status, "others are asked")
	for range 2 {
		answer := <-answers
		require.Equal(t, http.StatusServiceUnavailable, answer.status)
		require.Equal(t, "no answer in time; try again", answer.problem(t))
	}
	close(w.hold)
	require.Equal(t, http.StatusOK, w.try(shopKey, "application/yaml", yamlRule).status)
}

// try asks for a preview of the rule.
func (w *world) try(key, contentType, rule string) response {
	return w.send(http.MethodPost, key, preview, contentType, rule)
}
