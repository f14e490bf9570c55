package enrich_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
)

func TestDaysAreCountedFromTheSitesDayWhateverTheHour(t *testing.T) {
	for zone, test := range map[string]struct{ at, day string }{
		"Europe/Berlin":       {"2027-04-28T00:30:00Z", "2027-04-28"}, // 02:30, an hour that 2027-03-28 did not have
		"Pacific/Auckland":    {"2026-11-25T11:00:00Z", "2026-11-26"},
		"America/Los_Angeles": {"2026-11-25T07:59:59Z", "2026-11-24"},
	} {
		location, err := time.LoadLocation(zone)
		require.NoError(t, err)
		at, err := time.Parse(time.RFC3339, test.at)
		require.NoError(t, err)
		today := enrich.DayIn(location, at)
		require.Equal(t, test.day, today.Format(time.DateOnly), zone)
		require.Equal(t, today, today.AddDate(0, 0, -31).AddDate(0, 0, 31), zone)
	}
}
