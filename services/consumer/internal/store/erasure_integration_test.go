//go:build integration

package store_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/suppression"
)

// personal are columns by which a person may be found, or an event of one.
const personalColumns = "'visitor_id', 'user_key', 'recipient_key', 'daily_hash', 'event_id', 'foreign_session_id', 'click_id', 'ip_prefix'"

func TestEveryTableThatHoldsIDsOfPeopleIsErasedFromShownAndExpires(t *testing.T) {
	d := migrated(t)
	list := func(query string) (names []string) {
		require.NoError(t, d.conn.QueryRow(t.Context(), strings.ReplaceAll(query, "%s", d.name)).Scan(&names))
		return names
	}
	tables := list("SELECT arraySort(groupUniqArray(table)) FROM system.columns WHERE database = '%s' AND name IN (" + personalColumns + ") AND table IN (SELECT name FROM system.tables WHERE database = '%s' AND engine LIKE '%MergeTree')")
	held, err := personal.NewStore(d.conn, d.name).Count(t.Context(), jobs.People{Visitors: []uuid.UUID{uuid.New()}})
	require.NoError(t, err)
	var erased []string
	for _, h := range held {
		require.Zero(t, h.Rows)
		erased = append(erased, h.Table)
	}
	slices.Sort(erased)
	require.Equal(t, tables, erased, "a table with such columns belongs into personalTables")
	require.Empty(t, list("SELECT groupArray(name) FROM system.tables WHERE database = '%s' AND name IN ('"+strings.Join(tables, "', '")+"') AND engine_full NOT LIKE '% TTL %'"))
	overdue := strings.Join(list("SELECT [as_select] FROM system.tables WHERE database = '%s' AND name = 'retention_overdue'"), "") + " "
	for _, table := range tables {
		require.Regexp(t, "FROM "+d.name+"."+table+"[ )]", overdue)
		if table != "event_ids" { // which holds no ids of people
			require.Contains(t, list("SELECT groupArray(table_name) FROM %s.held_rows(id = '"+uuid.NewString()+"')"), table)
		}
	}
	ids := list("SELECT arraySort(groupArray(concat(table, '.', name))) FROM system.columns WHERE database = '%s' AND name IN ('visitor_id', 'user_key', 'recipient_key') AND table IN (SELECT name FROM system.tables WHERE database = '%s' AND engine LIKE '%MergeTree')")
	require.Len(t, ids, 28, "each id of a table belongs into personalTables and held_rows: %v", ids)
}

// crowd are rows of n events of some visitors, users and recipients: all kinds of facts come from them.
func crowd(n int) []store.Row {
	random := rand.New(rand.NewPCG(1, 2))
	rows := batch(0, n)
	for i := range rows {
		r := &rows[i]
		r.RetentionDays = 3650
		r.SiteID = []string{"shop", "shop", "blog"}[i%3]
		r.OccurredAt = r.OccurredAt.Add(time.Duration(i) * time.Second)
		r.SiteDay = day.AddDate(0, 0, -random.IntN(3))
		r.VisitorID = person("visitor", random.IntN(9))
		r.DailyHash = person("hash", random.IntN(9))
		r.VisitorKind, r.Transport = "cookie", "gif"
		r.Source, r.Channel = "google", []string{"Direct", "Paid Search"}[random.IntN(2)]
		r.ConsentShare = random.IntN(2) == 0
		r.Title, r.URL = "title", "https://shop.example/"
		if r.ConsentProfile = random.IntN(5) > 0; r.ConsentProfile && random.IntN(3) == 0 {
			r.SegmentIDs, r.SegmentVersions, r.SegmentSteps = []string{"a", "b"}, []string{"1", "1"}, []string{"enter", "leave"}
			r.SegmentProducts, r.SegmentNth, r.SegmentItemMicros = []string{"p", ""}, []uint16{0, 0}, []*int64{nil, nil}
		}
		if random.IntN(3) == 0 {
			r.Name = []string{"view_item", "product_view", "add_to_cart"}[random.IntN(3)]
			r.ItemIDs, r.ItemQuantityMicros, r.ItemPriceMicros, r.ItemCategories = []string{fmt.Sprint("p", random.IntN(3))}, []int64{1}, []*int64{new(int64(i))}, []string{"tea"}
		}
		switch random.IntN(9) {
		case 0:
			r.Kind, r.Name, r.OrderID = "order", "purchase", fmt.Sprint("O", i)
			r.ValueMicros = new(int64)
			*r.ValueMicros = int64(random.IntN(1e9))
			r.GoalIDs, r.GoalOncePer, r.GoalValues, r.GoalValueMicros = []string{"purchase"}, []string{"order"}, []string{"event"}, []*int64{r.ValueMicros}
			r.GoalCurrencies, r.GoalClickWindowDays, r.GoalViewWindowDays = []string{"EUR"}, []uint8{30}, []uint8{1}
			r.UserKey = person("user", random.IntN(6))
		case 1:
			r.UserKey = person("user", random.IntN(6))
		case 2:
			r.Kind, r.Name, r.MailCampaignID, r.RecipientKey = "email_click", "email_click", "autumn-26", person("recipient", random.IntN(6))
		case 3:
			r.Outcome, r.Reason = store.OutcomeDuplicate, "repeated_event_id"
		case 4:
			r.IsBot = true
		case 5:
			r.VisitorID, r.VisitorKind, r.UserKey = uuid.Nil, "daily_hash", person("user", random.IntN(6))
		case 6:
			r.EventID, r.UserKey = uuid.Nil, person("user", random.IntN(6)) // as some clients send it: it tells no events apart
		case 7:
			*r = synced(*r, fmt.Sprint(random.IntN(5)))
		case 8:
			r.Kind, r.Name, r.Campaign = "impression", "impression", "autumn"
		}
	}
	return rows
}

func person(kind string, n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, kind, n)) }

// facts are the tables that are filled from events, and what must be equal in them.
var facts = map[string]string{
	"event_ids": "*", "conversion_hits": "*", "order_entries": "*", "touches": "*", "identities": "*", "visitor_events": "*", "segment_hits": "*", "mail_hits": "*",
	"partner_ids":      "site_id, partner, partner_uid, visitor_id, max(synced_at)",
	"profile_refusals": "site_id, visitor_id, max(refused_at)",
	"product_interest": interestContents,
	"share_consents":   "site_id, visitor_id, max(allowed_at), max(refused_at)",
	"visitor_facts":    "site_id, visitor_id, fact, subject, max(newest_at), max(detail)",
	"visitors":         "site_id, visitor_id, min(first_day), max(last_day), max(returned), max(on_site)",
	"visitor_days":     "site_id, site_day, channel, visitor_kind, visitor_id, daily_hash, sum(page_views), sum(events), sum(on_site)",
	"consent_sums":     "site_id, site_day, kind, decided_by, reason, measure, profile, share, cookie, is_bot, sum(hits) AS a",
	"traffic_daily":    "site_id, site_day, channel, sum(page_views) AS a, sum(events) AS b, sum(machine_page_views) AS c, sum(machine_events) AS d, sum(duplicates) AS e",
}

// interestContents are the columns of product_interest as they are when all its rows are merged.
const interestContents = "site_id, visitor_id, product, max(viewed_at), max(carted_at), max(bought_at), min(first_at), arraySort(groupUniqArrayArray(100)(views)), " +
	"arraySort(groupUniqArrayArray(100)(carts)), arraySort(groupUniqArrayArray(100)(purchases)), max(price), max(category)"

// contents are the rows of a table of facts, in some order that is the same for all databases.
func (d db) contents(table string) string {
	query := "SELECT " + facts[table] + " FROM " + d.name + "." + table
	if facts[table] != "*" {
		query += " GROUP BY ALL"
	}
	if table == "consent_sums" {
		query += " HAVING a != 0"
	}
	if table == "traffic_daily" {
		query += " HAVING a != 0 OR b != 0 OR c != 0 OR d != 0 OR e != 0"
	}
	var rows string
	require.NoError(d.t, d.conn.QueryRow(d.t.Context(), "SELECT arrayStringConcat(arraySort(groupArray(row)), '\n') FROM (SELECT formatRowNoNewline('JSONEachRow', *) AS row FROM ("+query+"))").Scan(&rows))
	return rows
}

// without are the rows as they would be had nothing of the people ever been stored on the site; "" stands for all sites.
func without(rows []store.Row, people jobs.People, site string) (left []store.Row, erased int) {
	for _, r := range rows {
		if site != "" && r.SiteID != site {
			left = append(left, r)
			continue
		}
		if slices.Contains(people.Visitors, r.VisitorID) || slices.Contains(people.Users, r.UserKey) || slices.Contains(people.Recipients, r.RecipientKey) {
			erased++
			continue
		}
		left = append(left, r)
	}
	return left, erased
}

// twoTopics makes those from i on rows of another topic, whose offsets begin anew.
func twoTopics(rows []store.Row, i int) []store.Row {
	for topic, part := range map[string][]store.Row{"onepx.events": rows[:i], "onepx's events": rows[i:]} {
		for n := range part {
			part[n].KafkaTopic, part[n].KafkaOffset, part[n].BatchFirst, part[n].BatchLast = topic, int64(n), 0, int64(len(part)-1)
		}
	}
	return rows
}

func TestAfterAnErasureAllIsAsIfTheyHadNeverBeenThere(t *testing.T) {
	all := jobs.People{Visitors: []uuid.UUID{person("visitor", 3)}, Users: []uuid.UUID{person("user", 3)}, Recipients: []uuid.UUID{person("recipient", 3)}}
	for name, test := range map[string]struct {
		people jobs.People
		site   string
	}{
		"users":                 {jobs.People{Users: []uuid.UUID{person("user", 1), person("user", 2)}}, ""},
		"all kinds":             {all, ""},
		"all kinds on one site": {all, "blog"},
		"nobody":                {jobs.People{Visitors: []uuid.UUID{uuid.New()}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			people := test.people
			d, reference := migrated(t), fresh(t).migrate()
			rows := twoTopics(crowd(400), 250)
			left, erased := without(rows, people, test.site)
			require.NoError(t, d.Insert(within(t), "a", slices.Clone(rows[:250])))
			require.NoError(t, d.Insert(within(t), "b", slices.Clone(rows[250:])))
			require.NoError(t, reference.Insert(within(t), "a", left))

			erasure := store.NewErasure(store.NewRebuilds(d.conn, d.schema), uuid.New(), test.site)
			require.NoError(t, erasure.Find(t.Context(), people))
			before, err := erasure.Count(t.Context())
			require.NoError(t, err)
			require.Equal(t, personal.Held{Table: "events", Rows: uint64(erased)}, before[0])
			// Each step is cut off once after it was done.
			for range 2 {
				require.NoError(t, erasure.Correct(t.Context(), 1))
			}
			for range 2 {
				require.NoError(t, erasure.Delete(t.Context(), 1))
			}
			require.EqualValues(t, len(personal.Tables), d.number("SELECT uniqExact(table) FROM system.mutations WHERE database = '%s'"), "of nobody too: how long it takes tells nothing")
			for _, merge := range []string{"", "OPTIMIZE TABLE %s FINAL", "ALTER TABLE %s APPLY DELETED MASK SETTINGS mutations_sync = 2"} {
				for table := range facts {
					if merge != "" {
						d.exec(fmt.Sprintf(merge, d.name+"."+table))
					}
					require.Equal(t, reference.contents(table), d.contents(table), "%s %s", table, merge)
				}
			}
			after, err := erasure.Count(t.Context())
			require.NoError(t, err)
			for _, held := range after {
				require.Zero(t, held.Rows, held.Table)
			}
			held, err := personal.NewStore(d.conn, d.name).OfSite(test.site).Count(t.Context(), people)
			require.NoError(t, err)
			require.Equal(t, after, held)
			require.EqualValues(t, 400, d.number("SELECT count() FROM %s.events"), "every offset is a row")
			require.EqualValues(t, 0, d.number("SELECT sum(missing_rows) + sum(double_rows) FROM %s.offset_ledger"))
			require.EqualValues(t, erased, d.number("SELECT countIf(outcome = 'erased') FROM %s.events"))
			const place = "kafka_topic, kafka_partition, kafka_offset, record_time, record_hash, batch_first, batch_last, batch_day, declared_at, insert_until, rules, outcome, reason, site_id, received_at, occurred_at, site_day, retention_days"
			require.EqualValues(t, min(erased, 1), d.number("SELECT uniqExact(cityHash64(toString(tuple(* EXCEPT ("+place+"))))) FROM %s.events WHERE outcome = 'erased'"), "nothing else is kept")
			require.EqualValues(t, 0, d.number("SELECT count() FROM %s.events WHERE outcome = 'erased' AND (title != '' OR url != '' OR event_id != toUUID('00000000-0000-0000-0000-000000000000'))"))

			// A batch that is repeated late adds nothing: its token is known.
			require.NoError(t, d.Insert(within(t), "a", slices.Clone(rows[:250])))
			require.EqualValues(t, 400, d.number("SELECT count() FROM %s.events"))
			require.Equal(t, reference.contents("traffic_daily"), d.contents("traffic_daily"))
			require.NoError(t, erasure.Purge(t.Context()))
			require.NoError(t, erasure.Drop(t.Context()))
			require.EqualValues(t, 0, d.number("SELECT count() FROM system.tables WHERE database = '%s' AND startsWith(name, 'erasure_')"))
		})
	}
}

func TestWhoStaysKeepsTheHitsThatWereMadeAfterTheirEvents(t *testing.T) {
	d := withoutEvents(t)
	rows := batch(0, 2)
	rows[0].VisitorID, rows[1].VisitorID, rows[1].UserKey = person("visitor", 1), person("visitor", 1), person("user", 1)
	require.NoError(t, d.Insert(within(t), "a", rows))
	d.exec(fmt.Sprintf("INSERT INTO %[1]s.segment_hits (site_id, segment, version, step, visitor_kind, visitor_id, occurred_at, event_id, kafka_topic, kafka_partition, kafka_offset, expires_at) "+
		"SELECT site_id, 'younger', 'v', 'enter', visitor_kind, visitor_id, occurred_at, event_id, kafka_topic, kafka_partition, kafka_offset, now() + 9999 FROM %[1]s.events", d.name))
	erasure := store.NewErasure(store.NewRebuilds(d.conn, d.schema), uuid.New(), "")
	require.NoError(t, erasure.Find(t.Context(), jobs.People{Users: []uuid.UUID{person("user", 1)}}))
	require.NoError(t, erasure.Correct(t.Context(), 1))
	require.EqualValues(t, 2, d.number("SELECT uniqExact(subject) FROM %s.visitor_facts WHERE fact = 'hit'"))
	require.NoError(t, erasure.Delete(t.Context(), 1))
	require.EqualValues(t, 1, d.number("SELECT uniqExact(subject) FROM %s.visitor_facts WHERE fact = 'hit'"))
}

func TestLinkedIDsAreThoseOfTheSameEvents(t *testing.T) {
	d := migrated(t)
	rows := batch(0, 4)
	anna, device, shared, bert := person("user", 1), person("visitor", 1), person("visitor", 2), person("user", 2)
	rows[0].UserKey, rows[0].VisitorID = anna, device
	rows[1].UserKey, rows[1].VisitorID = anna, shared
	rows[2].UserKey, rows[2].VisitorID = bert, shared
	rows[3].UserKey, rows[3].VisitorID = anna, shared
	require.NoError(t, d.Insert(within(t), "a", rows))
	people := personal.NewStore(d.conn, d.name)
	links, err := people.Links(t.Context(), jobs.People{Users: []uuid.UUID{anna}})
	require.NoError(t, err)
	want := []personal.Link{{Kind: suppression.Visitor, ID: device, Events: 1, Users: 1}, {Kind: suppression.Visitor, ID: shared, Events: 2, Users: 2}}
	slices.SortFunc(want, func(a, b personal.Link) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	require.ElementsMatch(t, want, links)
	links, err = people.Links(t.Context(), jobs.People{Visitors: []uuid.UUID{uuid.New()}})
	require.NoError(t, err)
	require.Empty(t, links)
}

func TestAnIDIsOfOneSiteOrOfMany(t *testing.T) {
	d := migrated(t)
	rows := batch(0, 4)
	here, both, there := person("visitor", 1), person("user", 2), person("visitor", 3)
	for i, of := range []struct {
		site          string
		visitor, user uuid.UUID
	}{{"shop", here, both}, {"blog", there, both}, {"blog", there, person("user", 9)}, {"shop", here, uuid.Nil}} {
		rows[i].SiteID, rows[i].VisitorID, rows[i].UserKey = of.site, of.visitor, of.user
	}
	require.NoError(t, d.Insert(within(t), "a", rows))
	shop := personal.NewStore(d.conn, d.name).OfSite("shop")
	asked := jobs.People{Visitors: []uuid.UUID{here, there, uuid.New()}, Users: []uuid.UUID{both}}
	elsewhere, err := shop.Elsewhere(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, []personal.Elsewhere{{Kind: suppression.User, ID: both, Here: true}, {Kind: suppression.Visitor, ID: there}}, elsewhere)
	// What is asked of a site tells nothing of others.
	held, err := shop.Count(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, personal.Held{Table: "events", Rows: 2}, held[0])
	links, err := shop.Links(t.Context(), jobs.People{Users: []uuid.UUID{both}})
	require.NoError(t, err)
	require.Equal(t, []personal.Link{{Kind: suppression.Visitor, ID: here, Events: 1, Users: 1}}, links)
	require.NoError(t, shop.Export(t.Context(), asked, func(_, row string) error {
		require.NotContains(t, row, there.String())
		return nil
	}))
}

func TestWhomTheErasureOfASiteIsAboutIsNotedOnce(t *testing.T) {
	d := migrated(t)
	erasure := store.NewErasure(store.NewRebuilds(d.conn, d.schema), uuid.New(), "shop")
	people, err := erasure.Chosen(t.Context())
	require.NoError(t, err)
	require.Zero(t, people.Len())
	want := jobs.People{Visitors: []uuid.UUID{person("visitor", 1)}, Users: []uuid.UUID{person("user", 1)}}
	require.NoError(t, erasure.Choose(t.Context(), want))
	require.NoError(t, erasure.Drop(t.Context()))
	people, err = erasure.Chosen(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, people)
	require.NoError(t, erasure.Finish(t.Context()))
	require.EqualValues(t, 0, d.number("SELECT count() FROM system.tables WHERE database = '%s' AND startsWith(name, 'erasure_')"))
}

func TestAnExportHoldsEveryRowOfThePersonInEveryTable(t *testing.T) {
	d := migrated(t)
	rows := crowd(200)
	require.NoError(t, d.Insert(within(t), "a", slices.Clone(rows)))
	asked := jobs.People{Visitors: []uuid.UUID{person("visitor", 1)}}
	people := personal.NewStore(d.conn, d.name)
	exported := map[string]uint64{}
	require.NoError(t, people.Export(t.Context(), asked, func(table, row string) error {
		var columns map[string]any
		require.NoError(t, json.Unmarshal([]byte(row), &columns))
		require.Equal(t, person("visitor", 1).String(), columns["visitor_id"])
		exported[table]++
		return nil
	}))
	held, err := people.Count(t.Context(), asked)
	require.NoError(t, err)
	for _, h := range held {
		require.Equal(t, h.Rows, exported[h.Table], h.Table)
	}
	require.NotZero(t, exported["conversion_hits"])
	require.NotZero(t, exported["touches"])
}

func TestALogOfRequestsKeepsEveryStepOnce(t *testing.T) {
	d := migrated(t)
	requests := personal.NewRequests(d.conn, d.name)
	now := time.UnixMilli(1_795_608_000_123).UTC()
	r := personal.NewRequest(uuid.New(), "erase", "ticket 17", now, jobs.People{Visitors: []uuid.UUID{uuid.New()}})
	_, known, err := requests.Last(t.Context(), r.ID)
	require.NoError(t, err)
	require.False(t, known)
	for _, step := range []string{personal.StepAsked, personal.StepBlocked, personal.StepFound, personal.StepFound} {
		require.NoError(t, requests.Save(t.Context(), &r, step, now))
	}
	for range 2 {
		require.NoError(t, requests.SaveCounts(t.Context(), &r, personal.StepFound, []personal.Held{{Table: "events", Rows: 3}}, now))
		require.NoError(t, requests.SaveCounts(t.Context(), &r, personal.StepProven, []personal.Held{{Table: "events"}}, now))
	}
	last, known, err := requests.Last(t.Context(), r.ID)
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, personal.StepFound, last.Step)
	require.EqualValues(t, 3, d.number("SELECT count() FROM %s.privacy_requests"))
	require.EqualValues(t, 3, d.number("SELECT rows_before FROM %s.privacy_log"))
	before, after, err := requests.Counts(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, []personal.Held{{Table: "events", Rows: 3}}, before)
	require.Equal(t, []personal.Held{{Table: "events"}}, after)
	all, err := requests.All(t.Context())
	require.NoError(t, err)
	require.Equal(t, []personal.Request{last}, all)
}

func TestRetentionShowsRowsThatShouldBeGone(t *testing.T) {
	d := open(t).migrate() // nobody else's later, as merges stop
	d.exec("SYSTEM STOP TTL MERGES " + d.name + ".events")
	rows := batch(0, 3)
	rows[0].RetentionDays, rows[0].DeclaredAt = 1, time.Now().AddDate(0, 0, -3).UTC()
	require.NoError(t, d.Insert(within(t), "a", rows))
	overdue, err := personal.NewRequests(d.conn, d.name).RetentionOverdue(t.Context())
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(overdue, func(o personal.Overdue) bool { return o.Table == "events" && o.Rows <= 1 }))
}
