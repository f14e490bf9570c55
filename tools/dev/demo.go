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
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/load"
	"github.com/onepx/onepx/tools/internal/localstack"
	letters "github.com/onepx/onepx/tools/internal/newsletter"
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

// demoSites has %[1]s, %[2]s and %[3]s for the sites, %[4]x and %[5]x for the SHA-256 of the write keys of the last two, %[6]x for
// that of the console's, %[7]s for the segment, and %[8]s and %[9]x for the site that sends mail and its write key.
const demoSites = `sites:
  - {id: %[1]s, timezone: Europe/Berlin, currency: EUR}
  - {id: %[2]s, timezone: Europe/Berlin, currency: EUR, write_keys: ["sha256:%[4]x"]}
  - id: %[3]s
    timezone: Europe/Berlin
    currency: EUR
    write_keys: ["sha256:%[5]x"]
    api_keys: [{name: demo, key: "sha256:%[6]x", rights: [audiences, privacy]}]
    segments:
      - {id: %[7]s, name: "In the cart, not bought", enter: {event: add_to_cart}, leave: {event: purchase}, same_product: true}
  - {id: %[8]s, timezone: UTC, currency: EUR, write_keys: ["sha256:%[9]x"]}
`

// writeKeys are those of the sites that get events from servers.
type writeKeys struct{ truth, shopper, mail string }

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
	clickHouse, err := localstack.StartClickHouse(ctx, localstack.ClickHouseConfig{Dir: filepath.Join(dir, "clickhouse"), LogFile: filepath.Join(dir, "log", "clickhouse.log"), Progress: os.Stderr, Readers: map[string]string{consoleUser: "onepx"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clickHouse.Stop()) }()
	shop := demoShop{keys: writeKeys{rand.Text(), rand.Text(), rand.Text()}, consoleKey: rand.Text(), sql: ledger.ClickHouse{URL: clickHouse.HTTPURL()}}
	sites := filepath.Join(dir, "onepx.yaml")
	text := fmt.Appendf(nil, demoSites, demoSite, truthSite, shopperSite,
		sha256.Sum256([]byte(shop.keys.truth)), sha256.Sum256([]byte(shop.keys.shopper)), sha256.Sum256([]byte(shop.consoleKey)), shopperSegment, mailSite, sha256.Sum256([]byte(shop.keys.mail)))
	if err := os.WriteFile(sites, text, 0o600); err != nil {
		return err
	}
	fmt.Println("building collector, consumer and console …")
	p, err := pipeline.New(ctx, pipeline.Config{Dir: dir, Broker: broker, ClickHouse: clickHouse.NativeAddr(), Sites: sites, Tags: "faults", EventPartitions: demoPartitions, Console: true})
	if err != nil {
		return err
	}
	if err := importFeed(ctx, p); err != nil {
		return err
	}
	stop, err := shop.start(ctx, p)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	return d.play(ctx, shop)
}

// demoShop is where the demo's parts are.
type demoShop struct {
	// collector and console are base URLs; consoleKey is a key for the console.
	collector, console, consoleKey string
	keys                           writeKeys
	mails                          mailRoom
	sql                            ledger.ClickHouse
}

// start starts the services. stop is there with an error too.
func (s *demoShop) start(ctx context.Context, p *pipeline.Pipeline) (stop func() error, err error) {
	var running []*pipeline.Service
	stop = func() error {
		var errs []error
		for _, service := range slices.Backward(running) {
			errs = append(errs, service.Stop())
		}
		return errors.Join(errs...)
	}
	keep := func(service *pipeline.Service, err error) (string, error) {
		if err != nil {
			return "", err
		}
		running = append(running, service)
		return service.URL, nil
	}
	if _, err := keep(p.StartConsumer(ctx, "consumer")); err != nil {
		return stop, err
	}
	if _, err := keep(p.StartJobs(ctx, "jobs")); err != nil {
		return stop, err
	}
	if s.console, err = keep(p.StartConsole(ctx, "console", "ONEPX_CLICKHOUSE_USER="+consoleUser)); err != nil {
		return stop, err
	}
	s.mails.key = s.keys.mail
	if _, err := keep(s.mails.start(ctx, p)); err != nil {
		return stop, err
	}
	s.collector, err = keep(p.StartCollector(ctx, "collector"))
	return stop, err
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
func (d demoCmd) play(ctx context.Context, shop demoShop) error {
	sql := shop.sql
	journeyEvents, err := playJourneys(ctx, shop.collector, shop.keys.truth, time.Now())
	if err != nil {
		return err
	}
	if err := playShoppers(ctx, shop.collector, shop.keys.shopper, time.Now()); err != nil {
		return err
	}
	letter := letters.New(mailSeed, mailCampaign, mailRecipients, time.Now().UTC().Add(-mailAge).Truncate(time.Hour))
	if err := shop.mails.play(ctx, letter); err != nil {
		return err
	}
	fmt.Printf("the shop is open for %s: %g events a second at %s/p.gif\n", d.Duration, d.Rate, shop.collector)
	answers := ledger.New()
	open, closeShop := context.WithTimeout(ctx, d.Duration)
	defer closeShop()
	load.Run(open, load.Config{
		Targets: []string{shop.collector}, Site: demoSite, Rate: d.Rate, Visitors: 150, Repeat: 0.03,
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
	different := errors.Join(printAttribution(ctx, sql, journeyEvents), printShoppers(ctx, sql), shop.printMails(ctx, letter))
	if err := shop.printAudiences(ctx); err != nil {
		return err
	}
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
