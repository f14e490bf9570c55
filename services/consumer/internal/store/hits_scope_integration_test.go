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

func nobody(r *store.Row) {
	r.VisitorKind, r.VisitorID, r.DailyHash, r.Transport = "none", uuid.UUID{}, uuid.UUID{}, "server"
}

func keyed(name string) change { return func(r *store.Row) { r.UserKey = id(name) } }

func TestAnOrderIsOfTheFirstWhoIsKnown(t *testing.T) {
	d := migrated(t)
	m := int64(5_000_000)
	mintedAlone := func(r *store.Row) { r.VisitorKind, r.VisitorID, r.DailyHash = "minted", id("m"), uuid.UUID{} }
	d.add(
		page("24 09:00:00", "/", nobody, keyed("k"), from("news", "email", "may")),
		page("24 10:00:00", "/", mintedAlone, order("purchase", "7", &m, "purchase")),
		page("24 11:00:00", "/", nobody, keyed("k"), order("purchase", "7", &m, "purchase"), on("server")),
	)
	require.Equal(t, []string{id("k").String()}, d.ask("person", "conversions", 1, 30, ""))
	require.Equal(t, []string{"may 1"}, d.ask("campaign; conversions", "campaign_revenue", 1, 30, ", model='first'"))
}

func TestARangeMayBeAllOfTime(t *testing.T) {
	d := migrated(t)
	m := int64(5_000_000)
	d.add(
		page("24 10:00:00", "/", from("news", "email", "may")),
		page("24 11:00:00", "/", order("purchase", "7", &m, "purchase")),
		page("24 11:00:00", "/l", named("custom", "lead"), goal("lead", "session", "none", nil, "EUR")),
	)
	// Each end is where days end, or nearly, alone and together with the other.
	for _, r := range [][2]string{{"1970-01-01", "2149-06-06"}, {"1970-02-01", "2026-12-01"}, {"1971-01-01", "2149-06-06"}} {
		in := "(site='shop', from='" + r[0] + "', to='" + r[1] + "')"
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			d := d.of(t)
			require.Equal(t, []string{"lead may 1", "purchase may 1"}, d.texts("SELECT concat(goal, ' ', campaign, ' ', toString(conversions)) FROM %s.campaign_revenue"+in))
			require.Equal(t, []string{"2"}, d.texts("SELECT toString(sum(sessions)) FROM %s.sessions_daily"+in))
			require.Equal(t, []string{"1"}, d.texts("SELECT toString(sum(conversions)) FROM %s.roas"+in+" WHERE goal = 'lead'"))
		})
	}
}

func TestAnUnknownModelIsAnErrorWithoutConversionsToo(t *testing.T) {
	d := migrated(t)
	rows, err := d.conn.Query(t.Context(), "SELECT * FROM "+d.name+".campaign_revenue(site='shop', from='2026-11-01', to='2026-11-30', model='best')")
	if err == nil {
		rows.Next()
		err = rows.Close()
	}
	require.ErrorContains(t, err, "unknown model")
}

func TestAnImpressionIsJoinedWhenItsVisitorWasOnTheSite(t *testing.T) {
	d := migrated(t)
	m := int64(5_000_000)
	d.add(
		page("24 10:00:00", "/", by("daily_hash", "", "h1"), named("impression", "impression"), from("ad", "cpm", "by server")),
		page("24 11:00:00", "/", by("daily_hash", "", "h1"), order("purchase", "7", &m), on("server")),
		page("24 10:00:00", "/i", by("daily_hash", "", "h2"), named("impression", "impression"), from("ad", "cpm", "other visitor")),
		page("24 11:00:00", "/i", by("cookie", "anna", "h2")),
	)
	require.ElementsMatch(t, []string{"by server 1 1", "other visitor 1 0"}, d.ask("campaign; impressions; joined", "view_through", 1, 30, ""))
}
