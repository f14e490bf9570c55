package useragent_test

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/useragent"
)

func TestWhatStays(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"Chrome on Windows": {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.7444.60 Safari/537.36",
			"Mozilla/5.0 (Windows NT; Win64; x64) AppleWebKit/537.0 (KHTML, like Gecko) Chrome/142.0 Safari/537.0"},
		"no model and no build of a phone": {"Mozilla/5.0 (Linux; Android 13; SM-A528B Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.101 Mobile Safari/537.36",
			"Mozilla/5.0 (Linux; Android; K; wv) AppleWebKit/537.0 (KHTML, like Gecko) Version/4.0 Chrome/112.0 Mobile Safari/537.0"},
		"nothing that an app says of the phone": {"Mozilla/5.0 (iPhone; CPU iPhone OS 13_3_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBDV/iPhone11,8;FBLC/en_US;FBCR/]",
			"Mozilla/5.0 (iPhone; CPU iPhone OS like Mac OS X) AppleWebKit/605.0 (KHTML, like Gecko) Mobile/15E148"},
		"Internet Explorer without its parts": {"Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; WOW64; Trident/4.0; SLCC2; .NET CLR 2.0.50727; InfoPath.2)",
			"Mozilla/4.0 (compatible; MSIE 8.0; Windows NT; WOW64; Trident/4.0)"},
		"a crawler says who it is":   {"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.7390.122 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Mozilla/5.0 (Linux; Android; K) AppleWebKit/537.0 (KHTML, like Gecko) Chrome/141.0 Mobile Safari/537.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
		"a library for HTTP":         {"python-requests/2.32.3", "python-requests/2.0"},
		"a browser of no known kind": {"AmigaVoyager/3.2 (AmigaOS/MC680x0)", "AmigaVoyager/3.0 (AmigaOS)"},
		"a bare one":                 {"Mozilla/5.0", "Mozilla/5.0"},
		"none":                       {"", ""},
		"brackets that were cut off": {"Mozilla/5.0 (Linux; Android 13; SM-A5", "Mozilla/5.0 (Linux; Android; K)"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, useragent.Reduce(test.text)) })
	}
}

// TestTheListIsReduced holds the list that the consumer's test reads: original, tab, reduced.
func TestTheListIsReduced(t *testing.T) {
	list, err := os.ReadFile("testdata/reduced.tsv")
	require.NoError(t, err)
	number := 0
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		text, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		require.Equal(t, want, useragent.Reduce(text))
		number++
	}
	require.Greater(t, number, 500)
}

func FuzzReduce(f *testing.F) {
	for _, text := range []string{"Mozilla/5.0 (a; (b); rv:1.0) C/1.2 [d] é/5", "((", "[[)]", "(Linux; Android 1", "a/b/c 1.2 Mobile/1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := useragent.Reduce(text)
		if utf8.ValidString(text) {
			require.True(t, utf8.ValidString(got))
		}
		require.LessOrEqual(t, len(got), 8*len(text)+len("(other)"))
	})
}
