//go:build integration

package store_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// synced makes the row one of /sync, by which the partner adnet tells the id of the row's visitor, or takes it back where it is empty.
func synced(r store.Row, uid string) store.Row {
	r.Kind, r.Name, r.Transport, r.Props = "sync", "partner_sync", "redirect", map[string]string{"partner": "adnet", "partner_uid": uid}
	if uid == "" {
		r.Name, r.Props = "partner_unsync", map[string]string{"partner": "adnet"}
	}
	r.ConsentProfile, r.ConsentShare = true, true
	return r
}

func TestAVisitorIsFoundByTheIDThatAPartnerToldLast(t *testing.T) {
	d := migrated(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	anna, bert, carl := person("visitor", 1), person("visitor", 2), person("visitor", 3)
	var rows []store.Row
	tell := func(visitor uuid.UUID, uid string, ago time.Duration, changes ...func(*store.Row)) {
		r := synced(batch(int64(len(rows)), 1)[0], uid)
		r.BatchFirst, r.BatchLast, r.BatchDay = 0, 0, now.Truncate(24*time.Hour)
		r.VisitorID, r.OccurredAt, r.DeclaredAt = visitor, now.Add(-ago), now
		for _, change := range changes {
			change(&r)
		}
		rows = append(rows, r)
	}
	const day = 24 * time.Hour
	tell(anna, "once", day)
	tell(anna, "other", day)
	tell(anna, "moved", 3*day)
	tell(bert, "moved", 2*day)
	tell(carl, "taken back", 3*day)
	tell(carl, "", 2*day)
	tell(carl, "told again", day)
	tell(anna, "moved to one who left", 4*day)
	tell(carl, "moved to one who left", 3*day)
	tell(anna, "old", 14*day+time.Minute)
	tell(anna, "kept", 14*day-time.Hour)
	tell(anna, "told again in time", 20*day)
	tell(anna, "told again in time", 13*day)
	tell(anna, "short retention", 2*day, func(r *store.Row) { r.DeclaredAt, r.RetentionDays = now.Add(-2*day), 1 })
	tell(anna, "by a machine", day, func(r *store.Row) { r.IsBot = true })
	tell(anna, "repeated", day, func(r *store.Row) { r.Outcome = store.OutcomeDuplicate })
	tell(anna, "without leave", day, func(r *store.Row) { r.ConsentShare = false })
	tell(anna, "by the pixel", day, func(r *store.Row) { r.Kind, r.Transport = "custom", "gif" })
	tell(uuid.Nil, "of nobody", day)
	tell(bert, "of another site", day, func(r *store.Row) { r.SiteID = "blog" })
	tell(bert, "of another partner", day, func(r *store.Row) { r.Props["partner"] = "begins" })
	rand.New(rand.NewPCG(7, 7)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	for i, part := range slices.Collect(slices.Chunk(rows, 7)) {
		for j := range part {
			part[j].KafkaOffset = int64(i*7 + j)
		}
		require.NoError(t, d.Insert(within(t), string(rune('a'+i)), part))
	}

	visitorOf := func(uid string) (visitors []uuid.UUID) {
		require.NoError(t, d.conn.QueryRow(t.Context(), "SELECT groupArray(visitor_id) FROM "+d.name+".visitor_of_partner(site = 'shop', partner = 'adnet', uid = '"+uid+"')").Scan(&visitors))
		return visitors
	}
	var uids []string
	for _, r := range rows {
		uids = append(uids, r.Props["partner_uid"])
	}
	for range 2 {
		for uid, want := range map[string]uuid.UUID{
			"once": anna, "other": anna, "moved": bert, "told again": carl, "kept": anna, "told again in time": anna,
			"taken back": uuid.Nil, "moved to one who left": uuid.Nil, "old": uuid.Nil, "short retention": uuid.Nil, "by a machine": uuid.Nil, "repeated": uuid.Nil,
			"without leave": uuid.Nil, "by the pixel": uuid.Nil, "of nobody": uuid.Nil, "of another site": uuid.Nil, "of another partner": uuid.Nil, "unknown": uuid.Nil, "": uuid.Nil,
		} {
			if want == uuid.Nil {
				require.Empty(t, visitorOf(uid), uid)
				continue
			}
			require.Equal(t, []uuid.UUID{want}, visitorOf(uid), uid)
		}
		require.EqualValues(t, 6, d.number("SELECT count() FROM %s.visitors_of_partner(site = 'shop', partner = 'adnet', uids = ['"+strings.Join(uids, "', '")+"'])"), "of all at once")
		d.exec("OPTIMIZE TABLE " + d.name + ".partner_ids FINAL")
	}
	require.EqualValues(t, 0, d.number("SELECT countIf(on_site) FROM (SELECT max(on_site) AS on_site FROM %s.visitors WHERE visitor_id IN ('"+bert.String()+"', '"+carl.String()+"') GROUP BY visitor_id)"), "they were not on the site")
}
