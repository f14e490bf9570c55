//go:build integration

// Package needle_test sends marked personal data in every field, header and path of every endpoint through the whole pipeline,
// and looks for it in all that is kept: the bytes of Kafka's files, all records, the spool, all rows, dead letters and logs.
package needle_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/localstack"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

func TestMain(m *testing.M) {
	localstack.RunChild()
	goleak.VerifyTestMain(m)
}

// allowed says what may be found, by a part of the place, and why.
var allowed = []struct{ place, why string }{
	{" order_id", "ids must stay what they are, or two orders would be one: which they are is the shop's choice"},
	{" item id", "ids of products are the shop's, too"},
	{" header User-Agent", "an address that a program writes into its own name: browsers don't, and versions look like addresses"},
	{" header Sec-CH-UA", "the same"}, {" header Sec-CH-UA-Mobile", "the same"}, {" header Sec-CH-UA-Platform", "the same"},
	{" partner uid", "an id of a partner must stay what it is, and may look like a card's number; all else is refused"},
	{" gclid", "an id of the ad network: consent decides whether it is kept, and it must stay what it is to be of use there"},
}

const (
	// patience is how long the pipeline may take, and glance the pause between two looks.
	patience = time.Minute
	glance   = 100 * time.Millisecond
)

// world is the pipeline on a Kafka and a ClickHouse of its own, whose files can be read.
type world struct {
	dir        string
	kafka      *localstack.Kafka
	clickHouse ledger.ClickHouse
	collector  *pipeline.Service
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	var clickHouse *localstack.ClickHouse
	var starting errgroup.Group
	starting.Go(func() (err error) {
		w.kafka, err = localstack.StartKafka(t.Context(), localstack.KafkaConfig{Dir: filepath.Join(w.dir, "kafka"), LogFile: filepath.Join(w.dir, "log", "kafka.log")})
		return err
	})
	starting.Go(func() (err error) {
		clickHouse, err = localstack.StartClickHouse(t.Context(), localstack.ClickHouseConfig{Dir: filepath.Join(w.dir, "clickhouse"), LogFile: filepath.Join(w.dir, "log", "clickhouse.log")})
		return err
	})
	err := starting.Wait()
	if w.kafka != nil {
		t.Cleanup(func() { require.NoError(t, w.kafka.Stop()) })
	}
	if clickHouse != nil {
		t.Cleanup(func() { require.NoError(t, clickHouse.Stop()) })
	}
	require.NoError(t, err)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	w.clickHouse = ledger.ClickHouse{URL: clickHouse.HTTPURL()}
	config := filepath.Join(w.dir, "onepx.yaml")
	require.NoError(t, os.WriteFile(config, []byte(sites), 0o600))
	p, err := pipeline.New(t.Context(), pipeline.Config{Dir: w.dir, Broker: w.kafka.Broker(), ClickHouse: clickHouse.NativeAddr(), Sites: config, EventPartitions: 1})
	require.NoError(t, err)
	consumer, err := p.StartConsumer(t.Context(), "consumer", "ONEPX_LOG_LEVEL=debug", "ONEPX_INSERT_DEADLINE=1s")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, consumer.Stop()) })
	w.collector, err = p.StartCollector(t.Context(), "collector", "ONEPX_LOG_LEVEL=debug", "ONEPX_PUBLISH_TIMEOUT=500ms")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.collector.Stop()) })
	return w
}

func TestNoPersonalDataIsKept(t *testing.T) {
	w := open(t)
	s := &sender{t: t, marks: &marks{}, url: w.collector.URL}
	for _, site := range []string{"all", "sparing"} {
		s.inParameters(site)
		s.inHeaders(site)
	}
	s.inSync()
	s.withoutIdentity()
	s.mustNotBeStored()
	w.await(t, s, "before the outage")

	require.NoError(t, w.kafka.Pause())
	s.inTheSpool()
	spool := files(t, filepath.Join(w.dir, "spool"))
	require.NoError(t, w.kafka.Resume())
	w.awaitRows(t, "name = '"+lastInSpool+"'")
	records := w.read(t, w.topics(t)...)
	w.spoil(t, records)
	dead := w.read(t, "onepx.deadletter")
	require.NotEmpty(t, dead)
	records = append(records, dead...)
	w.requireMasks(t)

	rows := w.rows(t)
	found := map[string][]byte{
		"Kafka's files": files(t, filepath.Join(w.dir, "kafka", "data")), "Kafka's records": contents(records), "the spool": spool,
		"ClickHouse's rows": rows, "the logs": files(t, filepath.Join(w.dir, "log")),
	}
	for where, data := range found {
		t.Run(where, func(t *testing.T) {
			require.Equal(t, where != "the logs", bytes.Contains(data, []byte(witness)), "events are there")
			require.Empty(t, slices.DeleteFunc(s.found(data), mayBe))
		})
	}
	t.Run("what is allowed is there", func(t *testing.T) {
		places := s.found(rows)
		for _, a := range allowed {
			require.True(t, slices.ContainsFunc(places, func(place string) bool { return strings.Contains(place, a.place) }), a.place)
		}
	})
	t.Logf("%d texts in %d kinds", len(s.places), len(kinds))
}

// requireMasks makes sure that the events came through, by each endpoint: what was in them left its flags.
func (w *world) requireMasks(t *testing.T) {
	t.Helper()
	for _, flag := range []string{"email_masked", "phone_masked", "card_masked", "token_masked"} {
		for _, transport := range []string{"gif", "beacon", "server"} {
			var row struct{ N int }
			require.NoError(t, w.clickHouse.One(t.Context(), "SELECT count() AS N FROM onepx.events WHERE transport = '"+transport+"' AND has(flags, '"+flag+"')", &row))
			require.Greater(t, row.N, 5, "%s of %s", flag, transport)
		}
	}
}

// mayBe tells that a text may be kept from that place.
func mayBe(place string) bool {
	for _, a := range allowed {
		if strings.HasSuffix(place, a.place) && strings.Contains(place, " in ") {
			return true
		}
	}
	return false
}

// await sends an event and waits for its row: that of the last event in the one partition.
func (w *world) await(t *testing.T, s *sender, name string) {
	t.Helper()
	s.send(http.MethodGet, "/p.gif?site=all&e="+strings.ReplaceAll(name, " ", "+"), "")
	w.awaitRows(t, "name = '"+name+"'")
}

func (w *world) awaitRows(t *testing.T, where string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var row struct{ N int }
		err := w.clickHouse.One(t.Context(), "SELECT count() AS N FROM onepx.events WHERE "+where, &row)
		return err == nil && row.N > 0
	}, patience, glance, where)
}

// rows are all columns of all tables, as bytes and as text.
func (w *world) rows(t *testing.T) []byte {
	t.Helper()
	var all []byte
	require.NoError(t, w.clickHouse.Query(t.Context(), "SELECT name FROM system.tables WHERE database = 'onepx' AND engine NOT LIKE '%View' AND total_rows > 0", func(row json.RawMessage) error {
		var table struct{ Name string }
		if err := json.Unmarshal(row, &table); err != nil {
			return err
		}
		for _, format := range []string{"TSVRaw", "RowBinary"} {
			all = append(all, w.dump(t, "SELECT * FROM onepx.`"+table.Name+"` FORMAT "+format)...)
		}
		return nil
	}))
	return all
}
