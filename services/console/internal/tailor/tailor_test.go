package tailor_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/console/internal/tailor"
)

func seen(id, state string) tailor.Seen {
	return tailor.Seen{ID: id, State: state, PriceMicros: 5e6, Currency: "EUR", Category: "Tea"}
}

func TestCandidatesAreTheProductsOfTheMembershipAndThenWhatIsNotBought(t *testing.T) {
	known := []tailor.Seen{seen("a", "viewed"), seen("b", "bought"), seen("c", "carted")}
	require.Equal(t, []tailor.Seen{seen("b", "bought"), {ID: "x", State: "matched"}, seen("a", "viewed"), seen("c", "carted")}, tailor.Candidates([]string{"b", "x"}, known))
	require.Empty(t, tailor.Candidates(nil, known[1:2]))
	var many []tailor.Seen
	for i := range 20 {
		many = append(many, seen(fmt.Sprint(i), "viewed"))
	}
	require.Equal(t, append([]tailor.Seen{{ID: "x", State: "matched"}}, many[:9]...), tailor.Candidates([]string{"x"}, many))
}

func TestTheFirstCandidateThatThereIsSomethingForIsShown(t *testing.T) {
	offer := func(id string, available bool, category string) tailor.Offer {
		return tailor.Offer{ID: id, Available: available, Category: category, PriceMicros: 7e6}
	}
	tea, gone := tailor.Want{Category: "Tea", PriceMicros: 7e6}, tailor.Want{Category: "Tea", PriceMicros: 5e6}
	stocked := map[string]bool{"Tea": true}
	for _, test := range []struct {
		name string
		feed tailor.Feed
		// categories are those that are asked about, wanted what is then, or zero.
		categories []string
		wanted     tailor.Want
		want       string
	}{
		{"itself, when it is available", tailor.Feed{Offers: map[string]tailor.Offer{"a": offer("a", true, "Tea"), "b": offer("b", false, "Tea")}, Stocked: stocked}, nil, tailor.Want{}, "a viewed a"},
		{"one of its category at the feed's price, when it is not", tailor.Feed{
			Offers: map[string]tailor.Offer{"a": offer("a", false, "Tea"), "b": offer("b", true, "")}, Stocked: stocked, Nearest: map[tailor.Want]string{tea: "near"},
		}, []string{"Tea"}, tea, "near same_category a"},
		{"one of the category and at the price that were seen, when it is gone", tailor.Feed{Stocked: stocked, Nearest: map[tailor.Want]string{gone: "near"}},
			[]string{"Tea", "Tea"}, gone, "near same_category a"},
		{"the next candidate, when nothing is of its category", tailor.Feed{Offers: map[string]tailor.Offer{"a": offer("a", false, "Cups"), "b": offer("b", true, "")}, Stocked: stocked},
			[]string{"Cups"}, tailor.Want{}, "b carted b"},
		{"one of the next candidate's category, when nothing is of its own", tailor.Feed{
			Offers: map[string]tailor.Offer{"a": offer("a", false, "Cups")}, Stocked: stocked, Nearest: map[tailor.Want]string{gone: "near"},
		}, []string{"Cups", "Tea"}, gone, "near same_category b"},
		{"a product of its group", tailor.Feed{Groups: map[string]tailor.Offer{"a": offer("a-red", true, "Cups")}}, nil, tailor.Want{}, "a-red viewed a"},
		{"the category of the group of its name, when it has none itself", tailor.Feed{
			Offers: map[string]tailor.Offer{"a": offer("a", false, ""), "b": offer("b", false, "")}, Groups: map[string]tailor.Offer{"a": {ID: "a-red", Available: true, Category: "Cups", PriceMicros: 1}},
		}, []string{"Cups", "Tea"}, tailor.Want{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			candidates := []tailor.Seen{seen("a", "viewed"), seen("b", "carted")}
			require.Equal(t, test.categories, test.feed.Categories(candidates))
			wanted, needed := test.feed.Wanted(candidates)
			require.Equal(t, test.wanted != tailor.Want{}, needed)
			if needed {
				require.Equal(t, test.wanted, wanted)
			}
			choice, ok := test.feed.Choose(candidates)
			require.Equal(t, test.want != "", ok)
			if ok {
				require.Equal(t, test.want, fmt.Sprint(choice.ID, " ", choice.Reason, " ", choice.Seen.ID))
			}
		})
	}
}

func TestTheReasonTellsOfAnotherPrice(t *testing.T) {
	viewed := tailor.Choice{ID: "a", Reason: "viewed", Seen: seen("a", "viewed")}
	require.Equal(t, tailor.Shown{ID: "a", PriceMicros: 5e6, Currency: "EUR", Reason: "viewed", Seen: "a"}, viewed.At(5e6, "EUR"))
	require.Equal(t, "price_changed", viewed.At(4e6, "EUR").Reason)
	require.Equal(t, "viewed", viewed.At(4e6, "USD").Reason)
	other := tailor.Choice{ID: "b", Reason: "same_category", Seen: seen("a", "viewed")}
	require.Equal(t, tailor.Shown{ID: "b", PriceMicros: 4e6, Currency: "EUR", Reason: "same_category", Seen: "a"}, other.At(4e6, "EUR"))
}

func TestWithoutAFeedTheFirstCandidateIsShownAsItWasSeen(t *testing.T) {
	require.Equal(t, tailor.Shown{ID: "a", PriceMicros: 5e6, Currency: "EUR", Reason: "no_feed", Seen: "a"}, tailor.WithoutFeed([]tailor.Seen{seen("a", "viewed"), seen("b", "viewed")}))
}
