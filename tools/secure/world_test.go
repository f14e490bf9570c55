//go:build integration

// Package secure_test runs the whole pipeline once as it is run where nobody is trusted: Kafka with logins over TLS, client
// certificates and ACLs, ClickHouse behind TLS with a user for each service. The rights are those of docs/security.md.
package secure_test

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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

const (
	// patience is how long the pipeline may take, and glance the pause between two looks.
	patience = time.Minute
	glance   = 50 * time.Millisecond
)

// sites has %x for the SHA-256 of the key.
const sites = `sites:
  - id: shop
    timezone: UTC
    currency: EUR
    privacy: opt_out
    api_keys: [{name: all, key: "sha256:%x", rights: [audiences, privacy], rate_limit: 10000}]
    segments: [{id: cart, enter: {event: add_to_cart}, stream: true}]
`

const apiKey = "key of the shop"

// mechanisms are how the users of Kafka log in; each has its name with a dash there, with an underscore in ClickHouse.
var mechanisms = map[string]string{
	"collector": "scram-sha-512", "consumer": "scram-sha-256", "jobs": "plain", "console": "scram-sha-512", "setup": "scram-sha-512",
}

func password(user string) string { return "the password of " + user }

// world is the pipeline on a Kafka and a ClickHouse of its own.
type world struct {
	t          *testing.T
	authority  *authority
	kafka      *localstack.Kafka
	database   *localstack.ClickHouse
	clickHouse ledger.ClickHouse // of the user with all rights
	pipeline   *pipeline.Pipeline
	collector  *pipeline.Service
	console    *pipeline.Service
	traces     *exported
	// brokers and clickHouseAddr are where TLS is spoken; certFile and keyFile are the services' certificate.
	brokers, clickHouseAddr, certFile, keyFile string
}

func open(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, authority: newAuthority(t)}
	w.keyFile, w.certFile, _ = w.authority.issue("service")
	w.startParts(dir)
	config := filepath.Join(dir, "onepx.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, sites, sha256.Sum256([]byte(apiKey))), 0o600))
	exports := filepath.Join(dir, "exports")
	require.NoError(t, os.Mkdir(exports, 0o755))
	var err error
	var traced []string
	w.traces, traced = newExported(t)
	w.pipeline, err = pipeline.New(t.Context(), pipeline.Config{
		Dir: dir, Broker: w.brokers, ClickHouse: w.clickHouseAddr, Sites: config, EventPartitions: 1, Console: true,
		Env: append(append(w.as("setup"), traced...),
			"ONEPX_KAFKA_TLS=true", "ONEPX_KAFKA_TLS_CA_FILE="+w.authority.file, "ONEPX_KAFKA_TLS_CERT_FILE="+w.certFile, "ONEPX_KAFKA_TLS_KEY_FILE="+w.keyFile,
			"ONEPX_CLICKHOUSE_TLS=true", "ONEPX_CLICKHOUSE_TLS_CA_FILE="+w.authority.file,
			"ONEPX_INSERT_DEADLINE=1s", "ONEPX_EXPORT_DIR="+exports, "ONEPX_LOOKUP_TIMEOUT=5s"),
	})
	require.NoError(t, err)
	w.keep(w.pipeline.StartConsumer(t.Context(), "consumer", w.as("consumer")...))
	w.keep(w.pipeline.StartJobs(t.Context(), "jobs", w.as("jobs")...))
	w.collector = w.keep(w.pipeline.StartCollector(t.Context(), "collector", w.as("collector")...))
	w.console = w.keep(w.pipeline.StartConsole(t.Context(), "console", w.as("console")...))
	return w
}

// startParts starts Kafka and ClickHouse with the users and rights of the document.
func (w *world) startParts(dir string) {
	w.t.Helper()
	text := document(w.t)
	key, cert, both := w.authority.issue("server")
	passwords := map[string]string{}
	for user := range mechanisms {
		passwords["onepx-"+user] = password(user)
	}
	granted := map[string]localstack.GrantedUser{}
	for user, statements := range grants(w.t, text) {
		granted[user] = localstack.GrantedUser{Password: password(user[len("onepx_"):]), Grants: statements}
	}
	var starting errgroup.Group
	starting.Go(func() (err error) {
		w.kafka, err = localstack.StartKafka(w.t.Context(), localstack.KafkaConfig{
			Dir: filepath.Join(dir, "kafka"), LogFile: filepath.Join(dir, "log", "kafka.log"),
			Security: &localstack.KafkaSecurity{KeyStore: both, TrustStore: w.authority.file, Users: passwords},
		})
		return err
	})
	starting.Go(func() (err error) {
		w.database, err = localstack.StartClickHouse(w.t.Context(), localstack.ClickHouseConfig{
			Dir: filepath.Join(dir, "clickhouse"), LogFile: filepath.Join(dir, "log", "clickhouse.log"), Granted: granted,
		})
		return err
	})
	err := starting.Wait()
	if w.kafka != nil {
		w.t.Cleanup(func() { require.NoError(w.t, w.kafka.Stop()) })
	}
	if w.database != nil {
		w.t.Cleanup(func() { require.NoError(w.t, w.database.Kill()) }) // nobody needs its data; libchdb may not end by itself
	}
	require.NoError(w.t, err)
	w.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	require.NoError(w.t, allow(w.t.Context(), text, w.kafka.Broker()))
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(w.t, err)
	w.brokers, w.clickHouse = w.kafka.SecureAddr(), ledger.ClickHouse{URL: w.database.HTTPURL()}
	w.clickHouseAddr = proxyTLS(w.t, pair, w.database.NativeAddr())
}

// as are the settings by which a service logs in.
func (w *world) as(user string) []string {
	return []string{
		"ONEPX_KAFKA_SASL_MECHANISM=" + mechanisms[user], "ONEPX_KAFKA_SASL_USERNAME=onepx-" + user, "ONEPX_KAFKA_SASL_PASSWORD=" + password(user),
		"ONEPX_CLICKHOUSE_USER=onepx_" + user, "ONEPX_CLICKHOUSE_PASSWORD=" + password(user),
	}
}

// keep stops a service at the end of the test.
func (w *world) keep(s *pipeline.Service, err error) *pipeline.Service {
	w.t.Helper()
	require.NoError(w.t, err)
	w.t.Cleanup(func() {
		require.NoError(w.t, s.Stop())
		if w.t.Failed() {
			w.t.Log(localstack.LogTail(s.LogFile(), 20))
		}
	})
	return s
}
