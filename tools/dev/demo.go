package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/load"
	"github.com/onepx/onepx/tools/internal/localstack"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

// demoCmd is `dev demo`.
type demoCmd struct {
	Kafka    string        `enum:"fake,real" default:"fake" help:"fake: in this process, no Java needed. real: Apache Kafka."`
	Rate     float64       `default:"250" help:"Events a second."`
	Duration time.Duration `default:"8s" help:"How long the shop is open."`
}

// demoSettle is how long the last events may take to become rows.
const demoSettle = time.Minute

const (
	// demoSite has the traffic of the shop, truthSite the journeys whose truth is known, shopperSite those who shop.
	demoSite       = "demo"
	truthSite      = "truth"
	shopperSite    = "shop"
	shopperSegment = "cart_abandoners"
	demoPartitions = 3
)

// demoSites has %[1]s, %[2]s and %[3]s for the sites, %[4]x and %[5]x for the SHA-256 of the write keys of the last two, and %[6]s
// for the segment.
const demoSites = `sites:
  - {id: %[1]s, timezone: Europe/Berlin, currency: EUR}
  - {id: %[2]s, timezone: Europe/Berlin, currency: EUR, write_keys: ["sha256:%[4]x"]}
  - id: %[3]s
    timezone: Europe/Berlin
    currency: EUR
    write_keys: ["sha256:%[5]x"]
    segments:
      - {id: %[6]s, name: "In the cart, not bought", enter: {event: add_to_cart}, leave: {event: purchase}, same_product: true}
`

// writeKeys are those of the sites that get events from servers.
type writeKeys struct{ truth, shopper string }

// Run plays the traffic of a small shop through the whole pipeline, prints the reports, and stops.
func (d demoCmd) Run(ctx context.Context) (err error) {
	ctx, release := withParent(ctx)
	defer release()
	dir, err := os.MkdirTemp("", "onepx-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	broker, stopKafka, err := d.startKafka(ctx, dir)
	if err != nil {
		return err
	}
	defer stopKafka()
	fmt.Println("starting ClickHouse …")
	clickHouse, err := localstack.StartClickHouse(ctx, localstack.ClickHouseConfig{Dir: filepath.Join(dir, "clickhouse"), LogFile: filepath.Join(dir, "log", "clickhouse.log"), Progress: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clickHouse.Stop()) }()
	sites, keys := filepath.Join(dir, "onepx.yaml"), writeKeys{rand.Text(), rand.Text()}
	text := fmt.Appendf(nil, demoSites, demoSite, truthSite, shopperSite, sha256.Sum256([]byte(keys.truth)), sha256.Sum256([]byte(keys.shopper)), shopperSegment)
	if err := os.WriteFile(sites, text, 0o600); err != nil {
		return err
	}
	fmt.Println("building collector and consumer …")
	p, err := pipeline.New(ctx, pipeline.Config{Dir: dir, Broker: broker, ClickHouse: clickHouse.NativeAddr(), Sites: sites, EventPartitions: demoPartitions})
	if err != nil {
		return err
	}
	if err := importFeed(ctx, p); err != nil {
		return err
	}
	consumer, err := p.StartConsumer(ctx, "consumer")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, consumer.Stop()) }()
	collector, err := p.StartCollector(ctx, "collector")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, collector.Stop()) }()
	return d.play(ctx, collector.URL, keys, ledger.ClickHouse{URL: clickHouse.HTTPURL()})
}

// startKafka returns the broker's address and what stops it.
func (d demoCmd) startKafka(ctx context.Context, dir string) (string, func(), error) {
	if d.Kafka == "fake" {
		fmt.Println("starting Kafka in this process …")
		fake, err := localstack.StartFakeKafka()
		if err != nil {
			return "", nil, err
		}
		return fake.Broker(), fake.Close, nil
	}
	fmt.Println("starting Apache Kafka …")
	kafka, err := localstack.StartKafka(ctx, localstack.KafkaConfig{Dir: filepath.Join(dir, "kafka"), LogFile: filepath.Join(dir, "log", "kafka.log"), Progress: os.Stderr})
	if err != nil {
		return "", nil, err
	}
	return kafka.Broker(), func() { _ = kafka.Stop() }, nil
}

// play sends the journeys, the shoppers and the traffic, waits for the rows, and prints what came of it. It fails when an event is lost or
// counted twice, and when reports differ from the truth.
func (d demoCmd) play(ctx context.Context, collector string, keys writeKeys, sql ledger.ClickHouse) error {
	journeyEvents, err := playJourneys(ctx, collector, keys.truth, time.Now())
	if err != nil {
		return err
	}
	if err := playShoppers(ctx, collector, keys.shopper, time.Now()); err != nil {
		return err
	}
	fmt.Printf("the shop is open for %s: %g events a second at %s/p.gif\n", d.Duration, d.Rate, collector)
	answers := ledger.New()
	open, closeShop := context.WithTimeout(ctx, d.Duration)
	defer closeShop()
	load.Run(open, load.Config{
		Targets: []string{collector}, Site: demoSite, Rate: d.Rate, Visitors: 150, Repeat: 0.03,
		Seed: uint64(time.Now().UnixNano()), Timeout: 10 * time.Second, InFlight: 1000,
	}, answers.Note)
	balance, err := settled(ctx, answers, sql)
	if err != nil {
		return err
	}
	reports := []struct{ title, query string }{
		{"Traffic by day and channel: SELECT * FROM onepx.traffic(site, from, to)",
			"SELECT * FROM onepx.traffic(site='" + demoSite + "', from=today() - 1, to=today() + 1)"},
		{"What one visitor did: SELECT * FROM onepx.session_activity(site, visitor)",
			"WITH (SELECT visitor_id FROM onepx.events WHERE site_id = '" + demoSite + "' AND visitor_kind = 'cookie' GROUP BY visitor_id ORDER BY count() DESC, visitor_id LIMIT 1) AS busiest " +
				"SELECT formatDateTime(occurred_at, '%H:%i:%S') AS time, name, path(url) AS page, channel, os, browser FROM onepx.session_activity(site='" + demoSite + "', visitor=busiest) LIMIT 12"},
		{"The ledger of offsets: SELECT * FROM onepx.offset_ledger", "SELECT * FROM onepx.offset_ledger"},
	}
	for _, r := range reports {
		fmt.Println("\n" + r.title)
		if err := printTable(ctx, sql, r.query); err != nil {
			return err
		}
	}
	different := errors.Join(printAttribution(ctx, sql, journeyEvents), printShoppers(ctx, sql))
	fmt.Printf("\ndemo: accepted=%d rows=%d lost=%d double=%d\n", balance.Accepted, balance.Rows, balance.Lost, balance.Double)
	return errors.Join(balance.Err(), different)
}

// printAttribution prints who came to the site of the journeys by which campaign, what the reports make of it, and what they
// must. The error says where they differ.
func printAttribution(ctx context.Context, sql ledger.ClickHouse, events int) error {
	fmt.Println("\nJourneys whose truth is known, over the last days")
	for _, j := range journeys {
		fmt.Println("  " + j.String())
	}
	fmt.Println("\nRevenue by campaign: SELECT * FROM onepx.campaign_revenue(site, from, to, model), once for each model;\nbelow each what the journeys must bring, to the millionth")
	got, err := settledAttribution(ctx, sql, truthSite, events)
	if err != nil {
		return err
	}
	return errors.Join(got.write(os.Stdout, truth()), got.compare(truth()))
}

// settled waits until every accepted event is a row in events and in the views.
func settled(ctx context.Context, answers *ledger.Ledger, sql ledger.ClickHouse) (balance ledger.Balance, err error) {
	err = until(ctx, func() (bool, error) {
		balance, err = answers.Compare(ctx, sql, demoSite, nil)
		return balance.Err() == nil, err
	})
	return balance, err
}

// until asks again and again until it is done or demoSettle is over, which is no error.
func until(ctx context.Context, done func() (bool, error)) error {
	settle := time.NewTimer(demoSettle)
	defer settle.Stop()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-settle.C:
			return nil
		case <-tick.C:
		}
	}
}

// printTable prints a query's rows as a table.
func printTable(ctx context.Context, sql ledger.ClickHouse, query string) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	first := true
	err := sql.Query(ctx, query+" FORMAT JSONCompactEachRowWithNames", func(row json.RawMessage) error {
		var cells []any
		if err := json.Unmarshal(row, &cells); err != nil {
			return err
		}
		text := make([]string, len(cells))
		for i, c := range cells {
			text[i] = fmt.Sprint(c)
			if first {
				text[i] = strings.ReplaceAll(text[i], "_", " ")
			}
		}
		first = false
		_, err := fmt.Fprintln(table, "  "+strings.Join(text, "\t"))
		return err
	})
	return errors.Join(err, table.Flush())
}
