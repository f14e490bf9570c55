package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

const (
	// backlogSpan is how much time the events of a filled topic span, up to now.
	backlogSpan = 2 * time.Hour
	// clientIDs is the share of events whose id the client made, which the consumer must look for over seven days.
	clientIDs = 0.3
	// shopVisitors is how many people the events are from.
	shopVisitors = 50_000
)

// fillTopic writes n events of a small shop to onepx.events, as collectors would have during the last two hours: record
// time and received_at rise over that span. enriched events come from browsers, with user agent, referrer and utm
// parameters; the others from the shop's server, with none of that. It returns when Kafka has acknowledged all.
func fillTopic(ctx context.Context, broker string, n int, enriched bool) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return err
	}
	defer client.Close()
	var once sync.Once
	var failed error
	shop := newBacklog(time.Now().Add(-backlogSpan), backlogSpan/time.Duration(n), enriched)
	for range n {
		event := shop.next()
		value, err := proto.Marshal(event)
		if err != nil {
			return err
		}
		record := &kgo.Record{Key: event.GetEventId(), Value: value, Timestamp: time.UnixMilli(event.GetReceivedAtMs())}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() { failed = err })
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("fill %s: %w", topic, err)
	}
	if failed != nil {
		return fmt.Errorf("fill %s: %w", topic, failed)
	}
	return nil
}

// backlog makes the events of a shop, one step of time after the other.
type backlog struct {
	random   *rand.Rand
	at       time.Time
	step     time.Duration
	enriched bool
	visitors [shopVisitors]shopVisitor
}

type shopVisitor struct {
	id, hash              [16]byte
	kind                  onepxv1.VisitorKind
	userAgent, ip, region string
}

func newBacklog(start time.Time, step time.Duration, enriched bool) *backlog {
	b := &backlog{random: rand.New(rand.NewPCG(uint64(start.UnixNano()), 0)), at: start, step: step, enriched: enriched}
	agents := shopAgents()
	for i := range b.visitors {
		v := &b.visitors[i]
		v.id, v.hash, v.kind = b.uuid(4), b.uuid(8), onepxv1.VisitorKind_VISITOR_KIND_COOKIE
		if b.random.Float64() < 0.2 {
			v.kind = onepxv1.VisitorKind_VISITOR_KIND_MINTED
		}
		v.ip = fmt.Sprintf("198.51.%d.0/24", b.random.IntN(256))
		v.userAgent, v.region = agents[b.random.IntN(len(agents))], []string{"BE", "BY", "HH", "NW", ""}[b.random.IntN(5)]
	}
	return b
}

// uuid makes a random id; the collector's own are of version 7, which begin with the time.
func (b *backlog) uuid(version byte) [16]byte {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], b.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], b.random.Uint64())
	if version == 7 {
		ms := uint64(b.at.UnixMilli())
		binary.BigEndian.PutUint64(id[:], ms<<16|uint64(id[6])<<8|uint64(id[7]))
	}
	id[6], id[8] = version<<4|id[6]&0x0f, 0x80|id[8]&0x3f
	return id
}

// next makes the next event: a page view with a distinct id.
func (b *backlog) next() *onepxv1.Event {
	b.at = b.at.Add(b.step)
	id, origin := b.uuid(7), onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR
	if b.random.Float64() < clientIDs {
		id, origin = b.uuid(4), onepxv1.IdOrigin_ID_ORIGIN_CLIENT
	}
	v := &b.visitors[b.random.IntN(shopVisitors)]
	product := b.random.IntN(400)
	event := &onepxv1.Event{
		Schema: 1, EventId: id[:], EventIdOrigin: origin, SiteId: site,
		Kind: onepxv1.EventKind_EVENT_KIND_PAGE_VIEW, Name: "page_view",
		ReceivedAtMs: b.at.UnixMilli(), OccurredAtMs: b.at.UnixMilli() - b.random.Int64N(1500),
		Visitor: &onepxv1.Visitor{VisitorId: v.id[:], Kind: v.kind, DailyHash: v.hash[:]},
		Page:    &onepxv1.Page{Url: fmt.Sprintf("https://shop.example.com/tea/%s/p-%d", shopShelves[product%len(shopShelves)], product), Title: "Tea & more"},
		Client:  &onepxv1.Client{IpPrefix: v.ip, Country: "DE", Region: v.region, NetworkClass: onepxv1.NetworkClass_NETWORK_CLASS_PUBLIC, Language: "de-DE"},
		Consent: &onepxv1.Consent{Measure: true, Profile: true, Cookie: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER},
		// A server may report page views without a user agent: that is a person's doing, too.
		Transport: &onepxv1.Transport{Kind: onepxv1.TransportKind_TRANSPORT_KIND_SERVER, Dialect: "onepx"},
	}
	if b.enriched {
		event.Transport.Kind = onepxv1.TransportKind_TRANSPORT_KIND_GIF
		event.Client.UserAgent, event.Client.ScreenWidth, event.Client.ScreenHeight = v.userAgent, 1920, 1080
		arrival := shopArrivals[b.random.IntN(len(shopArrivals))]
		event.Page.Referrer = arrival[0]
		event.Marketing = &onepxv1.Marketing{UtmSource: arrival[1], UtmMedium: arrival[2], UtmCampaign: arrival[3]}
	}
	return event
}

var shopShelves = []string{"green", "black", "herbal", "kettles", "cups", "gifts"}

// shopArrivals are the ways into the shop: referrer, utm_source, utm_medium, utm_campaign.
var shopArrivals = [][4]string{
	{"https://shop.example.com/"},
	{},
	{"https://www.google.com/"},
	{"https://www.google.com/", "google", "cpc", "brand-2026"},
	{"https://l.facebook.com/", "facebook", "paid_social", "autumn"},
	{"", "newsletter", "email", "weekly-47"},
	{"https://blog.example.org/best-shops"},
}

// shopAgents are fifty user agents of common browsers.
func shopAgents() []string {
	var agents []string
	for version := range 10 {
		agents = append(agents,
			fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", 133+version),
			fmt.Sprintf("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Mobile Safari/537.36", 133+version),
			fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS 18_%d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.%d Mobile/15E148 Safari/604.1", version, version),
			fmt.Sprintf("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.%d Safari/605.1.15", version),
			fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:%d.0) Gecko/20100101 Firefox/%d.0", 135+version, 135+version),
		)
	}
	return agents
}
