//go:build integration

package secure_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/localstack"
)

func TestThePipelineWithTLSLoginsAndLeastRights(t *testing.T) {
	w := open(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"an event is answered and can be erased", testPipeline},
		{"what a collector has told is in the ledger, and what it could not tell is no gap", testLedger},
		{"rows that are lost can be replayed", testReplay},
		{"one trace shows the way of a request into ClickHouse, and nothing of its visitor", testTrace},
		{"nobody may do more than the document says", testRights},
		{"a consumer that is refused ends and says why", testConsumerRefused},
		{"a collector that is refused is not ready and says why", testCollectorRefused},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, w) })
	}
}

func testPipeline(t *testing.T, w *world) {
	visitor := uuid.New()
	query := url.Values{"site": {"shop"}, "e": {"add_to_cart"}, "v": {visitor.String()}, "id": {uuid.NewString()}, "u": {"https://shop.example/"}, "sku": {"shoe"}}
	status, _, header := ask(t, http.MethodGet, w.collector.URL+"/p.gif?"+query.Encode(), "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "stored", header.Get("Onepx-Event"))
	require.Eventually(t, func() bool {
		status, answer, _ := ask(t, http.MethodGet, w.console.URL+"/v1/sites/shop/visitors/"+visitor.String()+"/audiences", "")
		return status == http.StatusOK && strings.Contains(answer, `"cart"`)
	}, patience, glance)

	status, answer, _ := ask(t, http.MethodPost, w.console.URL+"/v1/sites/shop/privacy/erasures", `{"visitors":["`+visitor.String()+`"]}`)
	require.Equal(t, http.StatusAccepted, status, answer)
	var erasure struct{ ID, Step string }
	require.NoError(t, json.Unmarshal([]byte(answer), &erasure))
	require.Eventually(t, func() bool {
		_, answer, _ := ask(t, http.MethodGet, w.console.URL+"/v1/sites/shop/privacy/erasures/"+erasure.ID, "")
		return json.Unmarshal([]byte(answer), &erasure) == nil && erasure.Step == "done"
	}, patience, glance)
}

func testReplay(t *testing.T, w *world) {
	require.NoError(t, w.askAs("setup", "DELETE FROM onepx.events WHERE 1"))
	said, err := "", error(nil)
	replayed := regexp.MustCompile(`total: missing=([1-9]\d*) stored=([1-9]\d*) expired=0 gone=0`)
	for until := time.Now().Add(patience); err == nil && time.Now().Before(until); { // once the event is acknowledged
		said, err = w.pipeline.Consumer(t.Context(), "replay")
		if n := replayed.FindStringSubmatch(said); n != nil && n[1] == n[2] { // more than one with the account of a minute
			return
		}
	}
	require.Fail(t, "what is lost is not stored again", "%s %v", said, err)
}

func testRights(t *testing.T, w *world) {
	for _, c := range []struct{ user, statement, want string }{
		{"console", "INSERT INTO onepx.events (site_id) VALUES ('shop')", "INSERT(site_id) ON onepx.events"},
		{"consumer", "DROP TABLE onepx.events", "DROP TABLE ON onepx.events"},
		{"consumer", "ALTER TABLE onepx.events DELETE WHERE 1", "ALTER DELETE ON onepx.events"},
		{"consumer", "INSERT INTO onepx.suppressed_visitors (position) VALUES (1)", "INSERT(position) ON onepx.suppressed_visitors"},
		{"jobs", "DROP TABLE onepx.events", "DROP TABLE ON onepx.events"},
		{"setup", "CREATE DATABASE other", "CREATE DATABASE ON other.*"},
	} {
		err := w.askAs(c.user, c.statement)
		require.ErrorContains(t, err, "Not enough privileges", "%s: %s", c.user, c.statement)
		require.ErrorContains(t, err, c.want)
	}
	// After ClickHouse was killed the consumer itself gives the tables that views fill what they lack.
	filled := 0
	require.NoError(t, w.clickHouse.Query(t.Context(), "SELECT target_table FROM system.tables WHERE database = 'onepx' AND engine = 'MaterializedView'", func(row json.RawMessage) error {
		var view struct {
			Table string `json:"target_table"`
		}
		filled++
		return errors.Join(json.Unmarshal(row, &view), w.askAs("consumer", "INSERT INTO onepx."+view.Table+" SELECT * FROM onepx."+view.Table+" LIMIT 0"))
	}))
	require.Positive(t, filled)
	require.NoError(t, w.writes("consumer", "onepx.deadletter"), "what is refused below is refused for want of rights")
	require.ErrorIs(t, w.reads("collector", "onepx.events"), kerr.TopicAuthorizationFailed)
	require.ErrorIs(t, w.reads("console", "onepx.events"), kerr.TopicAuthorizationFailed)
	require.ErrorIs(t, w.writes("consumer", "onepx.events"), kerr.TopicAuthorizationFailed)
	require.ErrorIs(t, w.writes("jobs", "onepx.events"), kerr.TopicAuthorizationFailed)
	require.ErrorIs(t, w.writes("console", "onepx.suppressions"), kerr.TopicAuthorizationFailed)
}

// askAs has ClickHouse run a statement for a user.
func (w *world) askAs(user, statement string) error {
	at, err := url.Parse(w.database.HTTPURL())
	require.NoError(w.t, err)
	at.User = url.UserPassword("onepx_"+user, password(user))
	return ledger.ClickHouse{URL: at.String()}.Query(w.t.Context(), statement, nil)
}

// refusals are settings with a mistake, and what must be said of it.
func (w *world) refusals(t *testing.T) map[string]struct{ setting, want string } {
	stranger := newAuthority(t).file
	return map[string]struct{ setting, want string }{
		"Kafka, wrong password":       {"ONEPX_KAFKA_SASL_PASSWORD=wrong", "SASL Authentication Failed"},
		"Kafka, wrong authority":      {"ONEPX_KAFKA_TLS_CA_FILE=" + stranger, "certificate signed by unknown authority"},
		"Kafka, wrong host name":      {"ONEPX_KAFKA_TLS_SERVER_NAME=kafka.example", "x509: certificate is not valid for any names"},
		"ClickHouse, wrong password":  {"ONEPX_CLICKHOUSE_PASSWORD=wrong", "Authentication failed"},
		"ClickHouse, wrong authority": {"ONEPX_CLICKHOUSE_TLS_CA_FILE=" + stranger, "certificate signed by unknown authority"},
		"ClickHouse, wrong host name": {"ONEPX_CLICKHOUSE_TLS_SERVER_NAME=db.example", "x509: certificate is not valid for any names"},
	}
}

func testConsumerRefused(t *testing.T, w *world) {
	for name, c := range w.refusals(t) {
		t.Run(name, func(t *testing.T) {
			consumer, err := w.pipeline.LaunchConsumer(t.Context(), strings.ReplaceAll("refused "+name, " ", "-"), append(w.as("consumer"), c.setting)...)
			require.NoError(t, err)
			select {
			case <-consumer.Done():
			case <-time.After(patience):
				require.NoError(t, consumer.Kill())
			}
			log, err := os.ReadFile(consumer.LogFile())
			require.NoError(t, err)
			require.EqualError(t, consumer.Wait(), "exit status 1", string(log))
			require.Contains(t, string(log), c.want)
			require.NotContains(t, string(log), password("consumer"))
		})
	}
}

func testCollectorRefused(t *testing.T, w *world) {
	for name, c := range w.refusals(t) {
		if !strings.HasPrefix(name, "Kafka") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			collector, err := w.pipeline.LaunchCollector(t.Context(), strings.ReplaceAll("refused "+name, " ", "-")+"-collector", append(w.as("collector"), "ONEPX_SPOOL_DIR=", c.setting)...)
			require.NoError(t, err)
			defer func() { require.NoError(t, collector.Kill()) }()
			ready := localstack.HTTPReady(collector.Admin + "/readyz")
			var said error
			require.Eventually(t, func() bool {
				said = ready(t.Context())
				return said != nil && strings.Contains(said.Error(), c.want)
			}, patience, glance, "%v", said)
		})
	}
}

// client connects to Kafka as a user.
func (w *world) client(user string, opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	pair, err := tls.LoadX509KeyPair(w.certFile, w.keyFile)
	require.NoError(w.t, err)
	authorities := x509.NewCertPool()
	authorities.AddCert(w.authority.cert)
	login := scram.Auth{User: "onepx-" + user, Pass: password(user)}
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(w.brokers), kgo.SASL(login.AsSha512Mechanism()), kgo.RetryTimeout(5*time.Second),
		kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities, Certificates: []tls.Certificate{pair}}))...)
	require.NoError(w.t, err)
	return client
}

// reads returns what Kafka says when the user reads a topic.
func (w *world) reads(user, topic string) error {
	client := w.client(user, kgo.ConsumeTopics(topic))
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	return client.PollFetches(ctx).Err()
}

// writes returns what Kafka says when the user writes an empty record to a topic.
func (w *world) writes(user, topic string) error {
	client := w.client(user, kgo.DisableIdempotentWrite(), kgo.DefaultProduceTopic(topic))
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	return client.ProduceSync(ctx, &kgo.Record{Value: []byte("{}")}).FirstErr()
}

func ask(t *testing.T, method, address, body string) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewBufferString(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+apiKey)
	request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text), response.Header
}
