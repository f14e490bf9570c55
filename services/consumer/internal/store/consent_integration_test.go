//go:build integration

package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestDecisionsAboutHitsAreCountedByDayWhetherTheyAreStoredOrNot(t *testing.T) {
	d := migrated(t)
	consent := func(by, bits string) func(*store.Row) {
		return func(r *store.Row) {
			r.ConsentDecidedBy, r.ConsentMeasure, r.ConsentProfile, r.ConsentShare, r.ConsentCookie = by, bits[0] == 'm', bits[1] == 'p', bits[2] == 's', bits[3] == 'c'
		}
	}
	tally := func(by, reason, kind string, hits uint64) func(*store.Row) {
		return func(r *store.Row) {
			r.Outcome, r.ConsentDecidedBy, r.Reason, r.Kind, r.TallyHits = store.OutcomeTally, by, reason, kind, hits
		}
	}
	d.add(
		page("24 10:00:00", "/", consent("site_default", "m--c")), page("24 10:00:01", "/", consent("site_default", "m--c")), page("24 10:00:02", "/", consent("gpc", "m---")),
		page("24 10:00:03", "/", consent("gpc", "m---"), machine), page("24 10:00:04", "/", consent("parameter", "mpsc")),
		page("24 10:00:05", "/", consent("gpc", "m---"), func(r *store.Row) { r.Outcome = store.OutcomeDuplicate }),
		page("24 10:01:00", "", tally("opt_out_cookie", "opted_out", "page_view", 41)), page("24 10:02:00", "", tally("opt_out_cookie", "opted_out", "page_view", 1)),
		page("24 10:02:00", "", tally("tcf", "no_consent", "order", 2)),
		page("25 10:02:00", "", func(r *store.Row) { r.Outcome, r.Reason, r.Kind = store.OutcomeSuppressed, "suppression_list", "" }),
	)
	require.Equal(t, []string{
		"2026-11-24 opt_out_cookie 0 0 0 0 0 42 0", "2026-11-24 site_default 1 1 0 0 1 2 0", "2026-11-24 tcf 0 0 0 0 0 2 0",
		"2026-11-24 gpc 1 1 0 0 0 1 1", "2026-11-24 parameter 1 1 1 1 1 1 0", "2026-11-25 suppression 0 0 0 0 0 1 0",
	}, d.ask("day; decided_by; toUInt8(stored); toUInt8(measure); toUInt8(profile); toUInt8(share); toUInt8(cookie); hits; machine_hits", "consent_daily", 24, 25, ""))
	require.Equal(t, []string{
		"2026-11-24 opted_out opt_out_cookie page_view 42", "2026-11-24 no_consent tcf order 2", "2026-11-25 suppression_list suppression  1",
	}, d.ask("day; reason; decided_by; kind; hits", "suppressed_daily", 24, 25, ""))
	require.Equal(t, []string{"2026-11-24 1"}, d.ask("day; visitors", "new_vs_returning", 24, 25, ""), "a tally is no visit")
	require.Equal(t, []string{"2026-11-24 Direct 4 1"}, d.ask("day; channel; events; machine_events", "traffic", 24, 24, ""))
}
