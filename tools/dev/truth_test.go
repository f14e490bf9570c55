package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheCreditsOfEachJourneyAddUpToItsConversionAndItsNet(t *testing.T) {
	for _, j := range journeys {
		t.Run(j.String(), func(t *testing.T) {
			var got [len(models)]credit
			for _, credits := range j.credits {
				got = sum(got, credits, 1)
			}
			want := credit{one, euros(t, j.value) - euros(t, j.refund)}
			if j.machine {
				want = none
			}
			for m, model := range models {
				require.Equal(t, want, got[m], model)
			}
		})
	}
}

// euros are whole ones, in millionths.
func euros(t *testing.T, amount string) int64 {
	t.Helper()
	if amount == "" {
		return 0
	}
	n, err := strconv.ParseInt(amount, 10, 64)
	require.NoError(t, err)
	return n * one
}

func TestAllJourneysTogetherAreTheSums(t *testing.T) {
	for m, total := range truth().total() {
		require.Equal(t, credit{trueConversions, trueBookings.Net}, total, models[m])
	}
}

func TestJourneysLieInTheDaysThatTheCollectorTakes(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ids := map[string]bool{}
	for _, j := range journeys {
		for _, e := range j.events(now) {
			require.True(t, e.At.Before(now), e.ID)
			require.True(t, e.At.After(now.Add(-7*24*time.Hour+time.Hour)), e.ID)
			require.False(t, ids[e.ID], e.ID)
			ids[e.ID] = true
		}
	}
	require.LessOrEqual(t, len(ids), 500, "events of a request")
}

func TestReportsThatDifferFromTheTruthAreNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*attribution)
		wrong  string
	}{
		"the truth itself is right": {func(*attribution) {}, ""},
		"a millionth of revenue too much is wrong": {
			func(a *attribution) {
				credits := a.campaigns[social]
				credits[5].revenue++
				a.campaigns[social] = credits
			}, "facebook/cpc/retarget by time_decay has 4.686288 conversions and a revenue of 351.471865, not 4.686288 conversions and a revenue of 351.471864",
		},
		"a campaign that nobody came by is wrong": {
			func(a *attribution) { a.campaigns[campaign{"x", "y", "z"}] = [len(models)]credit{{1, 0}} }, "x/y/z by first has 0.000001 conversions",
		},
		"a campaign that is missing is wrong":    {func(a *attribution) { delete(a.campaigns, direct) }, "direct by last has 0.000000 conversions"},
		"a machine's order that counts is wrong": {func(a *attribution) { a.bookings.Machines = 0 }, "bookings are"},
	} {
		t.Run(name, func(t *testing.T) {
			got := truth()
			tc.change(&got)
			err := got.compare(truth())
			if tc.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.wrong)
		})
	}
}

func TestEachCampaignStandsAboveWhatItMustBring(t *testing.T) {
	must := attribution{campaigns: map[campaign][len(models)]credit{direct: {none, {one, 20 * one}}}, bookings: trueBookings}
	got := attribution{campaigns: map[campaign][len(models)]credit{direct: {{333_333, 6_666_667}, {one, 20*one - 1}}}}
	text := &strings.Builder{}
	require.NoError(t, got.write(text, must))
	require.Equal(t, `
  conversions, revenue  first          last           last_non_direct  linear         position       time_decay
  direct                 0.33    6.67   1.00   20.00   0.00    0.00     0.00    0.00   0.00    0.00   0.00    0.00
    must be              0.00    0.00   1.00   20.00   0.00    0.00     0.00    0.00   0.00    0.00   0.00    0.00  DIFFERS
  all campaigns          0.33    6.67   1.00   20.00   0.00    0.00     0.00    0.00   0.00    0.00   0.00    0.00
    must be              0.00    0.00   1.00   20.00   0.00    0.00     0.00    0.00   0.00    0.00   0.00    0.00  DIFFERS
  sold 0.00, refunded 0.00, net 0.00; orders of machines, left out: 0
`, "\n"+text.String())
}
