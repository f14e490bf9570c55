package urlpattern_test

import (
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/urlpattern"
)

func TestAPatternIsFoundAnywhereInAURL(t *testing.T) {
	pattern, err := urlpattern.Compile("thanks/?$")
	require.NoError(t, err)
	for url, want := range map[string]bool{"https://shop.example/thanks": true, "https://shop.example/thanks/": true, "https://shop.example/thanks/a": false, "": false} {
		require.Equal(t, want, pattern.Match(url), url)
	}
	anything, err := urlpattern.Compile("")
	require.NoError(t, err)
	require.False(t, anything.Match(""), "no page")
	_, err = urlpattern.Compile("(")
	require.Error(t, err)
}

func TestCertainPartsAreInEverythingThatThePatternMatches(t *testing.T) {
	for pattern, want := range map[string][][]string{
		"thanks":                        {{"thanks"}},
		`^https://shop\.example/thanks`: {{"https://shop.example/thanks"}},
		"/tea/[a-z]+/p-42$":             {{"/tea/"}, {"/p-42"}},
		"/(de|en)/(cart|basket)s?":      {{"/"}, {"de", "en"}, {"/"}, {"cart", "basket"}},
		"a|bcd":                         {{"a", "bcd"}},
		"(ab.cde|f(g|hi))x":             {{"cde", "f"}, {"x"}},
		"(a|b*)c":                       {{"c"}},
		"aa|bb|cc|dd|ee|ff|gg|hh":       {{"aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh"}},
		"aa|bb|cc|dd|ee|ff|gg|hh|ii":    nil,
		"(?i)thanks":                    nil,
		"(long)?er":                     {{"er"}},
		"(long)+er":                     {{"long"}, {"er"}},
		"x(?:ab){2,}":                   {{"x"}, {"ab"}},
		"x(?:ab){0,2}y":                 {{"x"}, {"y"}},
		"a.b":                           {{"a"}, {"b"}},
		"":                              nil,
		"ü/(größe|groesse)":             {{"ü/"}, {"gr"}, {"öße", "oesse"}},
		"\uFFFDx":                       nil,
	} {
		got, err := urlpattern.CertainParts(pattern)
		require.NoError(t, err)
		require.Equal(t, want, got, pattern)
	}
}

func FuzzCertainParts(f *testing.F) {
	for _, pattern := range []string{"thanks", "(a|b)c+d?", "(?i)k", "[[:alpha:]]{2,3}x", "^$", "a*b|c", "ſ", "(?s).é", "/(de|en)/(cart|basket)s?"} {
		f.Add(pattern, "https://shop.example/thanks?ac=bcd")
	}
	f.Fuzz(func(t *testing.T, pattern, url string) {
		compiled, err := regexp.Compile(pattern)
		if err != nil || !utf8.ValidString(url) {
			return // configuration and events have neither
		}
		fast, err := urlpattern.Compile(pattern)
		require.NoError(t, err)
		for _, text := range []string{url, pattern} {
			require.Equal(t, text != "" && compiled.MatchString(text), fast.Match(text), "%q in %q", pattern, text)
		}
	})
}
