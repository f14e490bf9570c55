package enrich_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
)

// BenchmarkFacts: one event, as of a batch of 50,000. Run with -benchmem.
func BenchmarkFacts(b *testing.B) {
	enricher, err := enrich.New(enrich.NewRules(config()))
	require.NoError(b, err)
	for name, event := range map[string]*onepxv1.Event{
		"person":  hit(chromeOnWindows, page("https://shop.example/p/42", "https://www.google.co.uk/"), utm("newsletter", "email", "spring")),
		"inside":  hit(safariOnPhone, page("https://shop.example/p/42", "https://shop.example/")),
		"crawler": hit("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", page("https://shop.example/", "")),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				enricher.Facts(event)
			}
		})
	}
}

// BenchmarkGoals: one event at a site with so many goals, none of which it matches, and one that it matches.
func BenchmarkGoals(b *testing.B) {
	for _, goals := range []int{0, 50} {
		enricher, err := enrich.New(enrich.NewRules(manyGoals(b, goals)))
		require.NoError(b, err)
		for name, event := range map[string]*onepxv1.Event{
			"none matches": hit(chromeOnWindows, page("https://shop.example/p/42", ""), props("color", "red")),
			"one matches":  hit(chromeOnWindows, named("event_0"), page("https://shop.example/thanks/0", ""), props("color", "red")),
		} {
			b.Run(fmt.Sprintf("%d goals/%s", goals, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					enricher.Facts(event)
				}
			})
		}
	}
}
