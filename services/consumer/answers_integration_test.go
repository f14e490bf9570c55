//go:build integration

package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/eventlog"
)

// answerDay is the last day of the events whose answers are compared; they lie in the two weeks before.
var answerDay = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// questions are the reports whose answers must depend on nothing but the events.
var questions = []string{
	"campaign_revenue(RANGE)", "model_comparison(RANGE)", "conversions(RANGE)", "conversion_rate(RANGE)", "revenue_ledger(RANGE)", "time_to_convert(RANGE)",
	"funnel(RANGE, steps=['page_view', 'add_to_cart', 'purchase'])", "channel_daily(RANGE)", "sessions_daily(RANGE)",
	"new_vs_returning(RANGE)", "roas(RANGE)", "view_through(RANGE)",
	// How often a record is repeated is what this report is about.
	"why_not_counted(RANGE) WHERE line NOT IN ('raw_hits', 'repeated_records')",
}

// TestAnswersDependOnTheEventsAlone stores the same events in other orders, with other repetitions and in other batches.
func TestAnswersDependOnTheEventsAlone(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 26))
	events := shopEvents(random, 60)
	worlds := []*world{stored(t, events, 1000)}
	for range 2 {
		again := append([]*onepxv1.Event(nil), events...)
		for range len(events) / 3 {
			again = append(again, events[random.IntN(len(events))])
		}
		random.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		worlds = append(worlds, stored(t, again, 40+random.IntN(80)))
	}
	all := answers(t, worlds)
	for i, question := range questions {
		require.NotEmpty(t, all[0][i], "%s has an answer", question)
		for round, got := range all[1:] {
			require.Equal(t, all[0][i], got[i], "round %d: %s", round, question)
		}
	}
}

// TestAllModelsHaveTheSameTotal holds the totals of every model against the net of the orders.
func TestAllModelsHaveTheSameTotal(t *testing.T) {
	w := stored(t, shopEvents(rand.New(rand.NewPCG(4, 4)), 80), 1000)
	totals := w.query(inRange("SELECT model, goal, currency, sum(credit_micros) AS micros FROM %s.credits(RANGE) GROUP BY model, goal, currency ORDER BY goal, currency, micros, model"))
	require.NotEmpty(t, totals)
	net := w.query(inRange("SELECT model, goal, currency, sum(net_micros) AS micros FROM %s.conversion_paths(RANGE) " +
		"ARRAY JOIN ['first', 'last', 'last_non_direct', 'linear', 'position', 'time_decay'] AS model GROUP BY model, goal, currency ORDER BY goal, currency, micros, model"))
	require.Equal(t, net, totals)
}

// inRange puts the two weeks into a query.
func inRange(query string) string {
	days := fmt.Sprintf("site='shop', from='%s', to='%s'", answerDay.AddDate(0, 0, -14).Format(time.DateOnly), answerDay.Format(time.DateOnly))
	return strings.ReplaceAll(query, "RANGE", days)
}

// answers are the answers to all questions in each world. ClickHouse plans a query on one core: several are asked at once.
func answers(t *testing.T, worlds []*world) [][][]string {
	t.Helper()
	all := make([][][]string, len(worlds))
	asking, ctx := errgroup.WithContext(t.Context())
	asking.SetLimit(runtime.NumCPU())
	for i, w := range worlds {
		all[i] = make([][]string, len(questions))
		for j, question := range questions {
			asking.Go(func() (err error) {
				all[i][j], err = w.tryQuery(ctx, inRange("SELECT * FROM %s."+question))
				return err
			})
		}
	}
	require.NoError(t, asking.Wait())
	return all
}

func stored(t *testing.T, events []*onepxv1.Event, batchRows int) *world {
	t.Helper()
	w := begun(t)
	w.store(events, batchRows)
	return w
}

// store stores the events in batches of at most so many rows.
func (w *world) store(events []*onepxv1.Event, batchRows int) {
	w.t.Helper()
	w.t.Setenv("ONEPX_BATCH_ROWS", strconv.Itoa(batchRows))
	byPartition := make([][]kafka.Message, partitions)
	for _, ev := range events {
		p := int(ev.GetEventId()[15]) % partitions // repeats meet in one partition
		byPartition[p] = append(byPartition[p], w.record(ev, time.Now()))
	}
	var ends []int64
	for p, messages := range byPartition {
		ends = append(ends, w.publish(eventlog.TopicEvents, p, messages...)+int64(len(messages)))
	}
	c := w.start()
	w.awaitRows(len(events))
	for p, end := range ends { // rows may be there before ClickHouse has said so, and the consumer must have heard it
		c.awaitMetric(fmt.Sprintf(`onepx_consumer_position_offset{partition="%d"} %d`, p, end))
	}
	require.Zero(w.t, c.stop())
}

// shopEvents are what visitors of a shop did: visits from campaigns and without, products, orders and what became of them.
func shopEvents(random *rand.Rand, visitors int) []*onepxv1.Event {
	var all []*onepxv1.Event
	for v := range visitors {
		s := shopper{random: random, number: v, id: randomID(random), at: answerDay.Add(-time.Duration(random.IntN(13*24)) * time.Hour)}
		for range 1 + random.IntN(4) {
			s.visit()
		}
		all = append(all, s.events...)
	}
	return all
}

// shopper makes the events of one visitor.
type shopper struct {
	random *rand.Rand
	number int
	id     uuid.UUID
	at     time.Time
	events []*onepxv1.Event
}

var shopSources = [][3]string{{}, {}, {"google", "cpc", "brand"}, {"facebook", "paid_social", "autumn"}, {"newsletter", "email", "weekly-47"}}

func (s *shopper) visit() {
	s.at = s.at.Add(time.Duration(s.random.IntN(3*24*60)) * time.Minute)
	if s.random.IntN(4) == 0 {
		s.add("impression", onepxv1.EventKind_EVENT_KIND_IMPRESSION, func(ev *onepxv1.Event) {
			ev.Marketing = &onepxv1.Marketing{UtmSource: "dsp", UtmMedium: "cpm", UtmCampaign: "video", UtmContent: "spot"}
		})
	}
	from := shopSources[s.random.IntN(len(shopSources))]
	s.add("page_view", onepxv1.EventKind_EVENT_KIND_PAGE_VIEW, func(ev *onepxv1.Event) {
		ev.Marketing = &onepxv1.Marketing{UtmSource: from[0], UtmMedium: from[1], UtmCampaign: from[2]}
	})
	if s.random.IntN(2) == 0 {
		s.add("add_to_cart", onepxv1.EventKind_EVENT_KIND_CUSTOM, nil)
	}
	if s.random.IntN(2) == 0 {
		s.buy()
	}
}

func (s *shopper) buy() {
	order := fmt.Sprint("T-", s.number, "-", len(s.events))
	value := int64(s.random.IntN(500_000_000))
	pay := func(micros int64) func(*onepxv1.Event) {
		return func(ev *onepxv1.Event) {
			ev.Commerce = &onepxv1.Commerce{OrderId: order, ValueMicros: &micros, Currency: "EUR"}
		}
	}
	s.add("purchase", onepxv1.EventKind_EVENT_KIND_ORDER, pay(value))
	if s.random.IntN(3) == 0 {
		s.add("purchase", onepxv1.EventKind_EVENT_KIND_ORDER, pay(value))
	}
	switch s.random.IntN(6) {
	case 0:
		s.add("refund", onepxv1.EventKind_EVENT_KIND_ORDER, pay(value/3))
	case 1:
		s.add("cancel", onepxv1.EventKind_EVENT_KIND_ORDER, pay(0))
	case 2:
		s.add("restate", onepxv1.EventKind_EVENT_KIND_ORDER, pay(value/2))
	}
}

func (s *shopper) add(name string, kind onepxv1.EventKind, change func(*onepxv1.Event)) {
	s.at = s.at.Add(time.Duration(s.random.IntN(900_000)) * time.Millisecond)
	eventID, user := randomID(s.random), uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "user", s.number/2))
	ev := &onepxv1.Event{
		Schema: eventlog.Schema, EventId: eventID[:], EventIdOrigin: onepxv1.IdOrigin_ID_ORIGIN_CLIENT, SiteId: "shop", Kind: kind, Name: name,
		ReceivedAtMs: s.at.UnixMilli(), OccurredAtMs: s.at.UnixMilli(), Client: &onepxv1.Client{UserAgent: person},
		Visitor:   &onepxv1.Visitor{VisitorId: s.id[:], Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE},
		Page:      &onepxv1.Page{Url: "https://shop.example.com/" + name},
		Transport: &onepxv1.Transport{Kind: onepxv1.TransportKind_TRANSPORT_KIND_GIF},
	}
	if s.random.IntN(5) == 0 {
		ev.Visitor.UserKey = user[:]
	}
	if change != nil {
		change(ev)
	}
	s.events = append(s.events, ev)
}

func randomID(random *rand.Rand) (id uuid.UUID) {
	for i := range id {
		id[i] = byte(random.Uint32())
	}
	return id
}
