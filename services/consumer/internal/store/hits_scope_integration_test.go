//go:build integration

package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func given(text string) change {
	return func(r *store.Row) {
		r.VisitorKind, r.VisitorID, r.DailyHash = "provided", uuid.MustParse(text), uuid.UUID{}
	}
}

func goal(id, oncePer, value string, micros *int64, currency string) change {
	return func(r *store.Row) {
		r.SiteCurrency = "EUR"
		r.GoalIDs, r.GoalOncePer, r.GoalValues = append(r.GoalIDs, id), append(r.GoalOncePer, oncePer), append(r.GoalValues, value)
		r.GoalValueMicros, r.GoalCurrencies = append(r.GoalValueMicros, micros), append(r.GoalCurrencies, currency)
		r.GoalClickWindowDays, r.GoalViewWindowDays = append(r.GoalClickWindowDays, 30), append(r.GoalViewWindowDays, 1)
	}
}

func on(transport string) change { return func(r *store.Row) { r.Transport = transport } }

func event(name string) change { return func(r *store.Row) { r.EventID = id(name) } }

func TestAVisitorMayHaveAnIDOfWhichOneHalfIsZero(t *testing.T) {
	for _, v := range []string{"00000000-0000-0000-0000-00000000002a", "0000002a-0000-0000-0000-000000000000", "00000000-0000-4000-8000-00000000002a"} {
		t.Run(v, func(t *testing.T) {
			d := migrated(t)
			m := int64(5_000_000)
			d.add(
				page("24 10:00:00", "/", given(v), from("news", "email", "may")),
				page("24 11:00:00", "/", given(v), order("purchase", "7", &m, "purchase")),
			)
			require.Equal(t, []string{"may 1"}, d.ask("campaign; conversions", "campaign_revenue", 1, 30, ""))
		})
	}
}

func TestWhatTheServerReportsWithinASessionIsAHitInIt(t *testing.T) {
	d := migrated(t)
	lead := goal("lead", "session", "none", nil, "EUR")
	v := "9f1c3b52-4a0e-4c0f-9c55-0a5d2a0b7e11"
	d.add(
		page("24 10:00:00", "/", given(v)),
		page("24 10:05:00", "/s", given(v), on("server"), named("custom", "lead"), lead),
		page("24 10:10:00", "/p", given(v), named("custom", "lead"), lead),
	)
	require.Equal(t, []string{"10:05:00 2"}, d.ask("formatDateTime(occurred_at, '%H:%i:%S'); hits", "conversions", 1, 30, ""))
	require.Equal(t, []string{"1 1 0"}, d.ask("sessions; converting_sessions; conversions_without_session", "conversion_rate", 1, 30, ""))
}

func TestAnEventThatIsSentAgainInAnotherSessionIsAnotherHit(t *testing.T) {
	d := migrated(t)
	lead := goal("lead", "session", "none", nil, "EUR")
	d.add(
		page("10 10:00:00", "/p", event("same"), named("custom", "lead"), lead),
		page("20 10:00:00", "/p", event("same"), named("custom", "lead"), lead),
	)
	require.Equal(t, []string{"10 1", "20 1"}, d.ask("toDayOfMonth(day); hits", "conversions", 1, 30, ""))
	require.Equal(t, []string{"2 2 0"}, d.ask("sessions; converting_sessions; conversions_without_session", "conversion_rate", 1, 30, ""))
}

func TestGoalsOfOneEventAreCountedAndValuedEachByItself(t *testing.T) {
	d := migrated(t)
	m := int64(5_000_000)
	eur := func(r *store.Row) { r.Currency = "EUR" }
	d.add(
		page("10 10:00:00", "/", order("purchase", "1", &m, "purchase", "big"), eur),
		page("20 10:00:00", "/", order("purchase", "1", &m, "purchase", "big"), eur, event("again")),
		page("20 10:01:00", "/", order("purchase", "2", &m, "purchase", "big"), eur),
		page("20 10:02:00", "/x", named("custom", "x"), goal("c", "hit", "event", &m, "USD"), goal("n", "hit", "event", nil, "USD"), goal("f", "hit", "fixed", &m, "CHF"), goal("z", "hit", "none", nil, "EUR")),
		page("20 10:03:00", "/", order("purchase", "", &m, "purchase"), eur),
		page("20 10:04:00", "/", order("purchase", "", nil, "purchase"), eur),
	)
	require.Equal(t, []string{
		"10 big 1 5 EUR 0 2 []", "10 purchase 1 5 EUR 0 2 []",
	}, d.ask("toDayOfMonth(day); goal; order_id; value; currency; rate_missing; hits; flags", "conversions", 1, 15, ""))
	require.Equal(t, []string{
		"20 big 2 5 EUR 0 1 []", "20 purchase 2 5 EUR 0 1 []",
		"20 c  5 USD 1 1 []", "20 f  5 CHF 1 1 []", "20 n  null EUR 0 1 ['value_unknown']", "20 z  null EUR 0 1 []",
		"20 purchase  5 EUR 0 1 []", "20 purchase  null EUR 0 1 ['value_unknown']",
	}, d.ask("toDayOfMonth(day); goal; order_id; value; currency; rate_missing; hits; flags", "conversions", 16, 30, ""))
	d.rates("2026-11-20 USD 1.25")
	require.Equal(t, []string{"4 EUR 0"}, d.ask("value; currency; rate_missing", "conversions", 16, 30, ", goal='c'"))
}
