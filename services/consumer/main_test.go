package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// asConsumer in the environment makes the test binary the consumer, for tests that kill it.
const asConsumer = "ONEPX_TEST_AS_CONSUMER"

func TestMain(m *testing.M) {
	if os.Getenv(asConsumer) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

const testSites = `
sites:
  - id: shop
    timezone: Europe/Berlin
    currency: EUR
    segments:
      - {id: buyers, enter: {event: purchase}}
`

// writeSites writes a site configuration and returns its path.
func writeSites(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(path, []byte(testSites), 0o600))
	return path
}

// answer is what a command printed, and its exit code.
type answer struct {
	code        int
	out, errOut string
}

// command runs a command to its end, which must come by itself.
func command(t *testing.T, args ...string) answer {
	t.Helper()
	var out, errOut bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code := execute(ctx, args, &out, &errOut)
	require.NoError(t, ctx.Err(), "%s does not end\n%s%s", args, &out, &errOut)
	return answer{code, out.String(), errOut.String()}
}

func TestWrongSettingsExitWith2AndAreNamed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		command string
		env     map[string]string
		want    []string
	}{
		{"no settings at all", "run", map[string]string{"ONEPX_KAFKA_BROKERS": "", "ONEPX_CLICKHOUSE_ADDR": "", "ONEPX_CONFIG": ""}, []string{"ONEPX_KAFKA_BROKERS"}},
		{"no ClickHouse", "migrate", map[string]string{"ONEPX_CLICKHOUSE_ADDR": ""}, []string{"--clickhouse-addr"}},
		{"a site configuration that is not there", "run", map[string]string{"ONEPX_CONFIG": "missing.yaml"}, []string{"ONEPX_CONFIG", "missing.yaml"}},
		{"a broker without a port", "run", map[string]string{"ONEPX_KAFKA_BROKERS": "kafka"}, []string{"ONEPX_KAFKA_BROKERS", `"kafka" is not host:port`}},
		{"a database that is no identifier", "migrate", map[string]string{"ONEPX_CLICKHOUSE_DATABASE": "a-b"}, []string{"ONEPX_CLICKHOUSE_DATABASE"}},
		{"no group", "run", map[string]string{"ONEPX_CONSUMER_GROUP": ""}, []string{"ONEPX_CONSUMER_GROUP is empty"}},
		{"a number that is none", "run", map[string]string{"ONEPX_BATCH_ROWS": "many"}, []string{"ONEPX_BATCH_ROWS", "many"}},
		{"a duration without a unit", "run", map[string]string{"ONEPX_FLUSH_AGE": "1"}, []string{"ONEPX_FLUSH_AGE"}},
		{"an insert deadline above half of the session timeout", "run", map[string]string{"ONEPX_INSERT_DEADLINE": "10s", "ONEPX_SESSION_TIMEOUT": "19s"}, []string{"ONEPX_INSERT_DEADLINE", "ONEPX_SESSION_TIMEOUT"}},
		{"everything out of bounds, said at once", "run", map[string]string{
			"ONEPX_BATCH_ROWS": "50001", "ONEPX_BATCH_BYTES": "1", "ONEPX_WINDOW_EVENTS": "1", "ONEPX_FLUSH_AGE": "11s", "ONEPX_IDLE_AFTER": "1ms",
			"ONEPX_SESSION_TIMEOUT": "1s", "ONEPX_INSERT_DEADLINE": "1ms", "ONEPX_CLICKHOUSE_CLUSTER": "'", "OTEL_EXPORTER_OTLP_ENDPOINT": "x",
		}, []string{
			"ONEPX_BATCH_ROWS is 50001; allowed are 1 to 50000", "ONEPX_BATCH_BYTES", "ONEPX_WINDOW_EVENTS", "ONEPX_FLUSH_AGE is 11s; allowed are 100ms to 10s", "ONEPX_IDLE_AFTER",
			"ONEPX_SESSION_TIMEOUT", "ONEPX_INSERT_DEADLINE", "ONEPX_CLICKHOUSE_CLUSTER", "OTEL_EXPORTER_OTLP_ENDPOINT",
		}},
		{"topics that nobody wants", "topics", map[string]string{
			"ONEPX_TOPIC_EVENTS_PARTITIONS": "0", "ONEPX_TOPIC_REPLICATION": "10", "ONEPX_TOPIC_RETENTION": "697h",
		}, []string{"ONEPX_TOPIC_EVENTS_PARTITIONS", "ONEPX_TOPIC_REPLICATION", "ONEPX_TOPIC_RETENTION"}},
		{"a rebuild of no days", "rebuild goals --from 2026-11-02 --to 2026-11-01", nil, []string{"--from 2026-11-02 is after --to 2026-11-01"}},
		{"a rebuild of days to come", "rebuild goals --from 2999-01-01 --to 2999-01-02", nil, []string{"--from 2999-01-01 is in the future"}},
		{"a day that is none", "rebuild goals --from yesterday --to 2026-11-01", nil, []string{"--from", "yesterday"}},
		{"a rebuild without days", "rebuild goals", nil, []string{"--from", "--to"}},
		{"a deadline that would not be waited for", "topics accept-offsets", map[string]string{"ONEPX_INSERT_DEADLINE": "-1s"}, []string{"ONEPX_INSERT_DEADLINE"}},
		{"a password without a mechanism", "deadletter show", map[string]string{"ONEPX_KAFKA_SASL_PASSWORD": "hunter2"}, []string{"ONEPX_KAFKA_SASL_MECHANISM"}},
		{"a replay of offsets of all partitions", "replay --from 3 --to 9", nil, []string{"add --partition"}},
		{"a replay that ends before it begins", "replay --partition 0 --from 9 --to 3", nil, []string{"--from 9 is after --to 3"}},
		{"a replay of a partition that can't be", "replay --partition=-2", nil, []string{"--partition, --from and --to are 0 or more, or -1"}},
		{"an unknown command", "consume", nil, []string{"consume"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("ONEPX_KAFKA_BROKERS", "127.0.0.1:1")
			t.Setenv("ONEPX_CLICKHOUSE_ADDR", "127.0.0.1:1")
			t.Setenv("ONEPX_CONFIG", writeSites(t))
			for name, value := range tc.env {
				if t.Setenv(name, value); value == "" && name != "ONEPX_CONSUMER_GROUP" {
					require.NoError(t, os.Unsetenv(name))
				}
			}
			got := command(t, strings.Fields(tc.command)...)
			require.Equal(t, 2, got.code, got.errOut)
			for _, want := range tc.want {
				require.Contains(t, got.errOut, want)
			}
			require.NotContains(t, got.errOut, "hunter2")
			require.Empty(t, got.out)
		})
	}
}

func TestWithoutKafkaACommandEndsAndSaysSo(t *testing.T) {
	t.Setenv("ONEPX_CLICKHOUSE_ADDR", "127.0.0.1:1")
	t.Setenv("ONEPX_CONFIG", writeSites(t))
	for _, name := range []string{"topics", "deadletter show", "deadletter replay", "replay", "rebuild goals --from 2026-11-01 --to 2026-11-01"} {
		got := command(t, append(strings.Fields(name), "--kafka-brokers=127.0.0.1:1")...)
		require.Equal(t, 1, got.code, name)
		require.Contains(t, got.errOut, "consumer: kafka metadata: ", name)
		require.Contains(t, got.errOut, "127.0.0.1:1", name)
	}
}

func TestASiteConfigurationThatCannotBeReadEndsTheStartWithItsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(path, []byte("sites:\n  - id: shop\n    timezone: Mars/Olympus\n    currency: EUR\n"), 0o600))
	for _, name := range []string{"run", "rebuild goals --from 2026-11-01 --to 2026-11-01"} {
		got := command(t, append(strings.Fields(name), "--kafka-brokers=127.0.0.1:1", "--clickhouse-addr=127.0.0.1:1", "--config="+path)...)
		require.Equal(t, 1, got.code, name)
		require.Contains(t, got.errOut, path+":3:", name)
	}
}

func TestARebuildOfASiteThatIsNotConfiguredIsRefused(t *testing.T) {
	got := command(t, "rebuild", "goals", "--from=2026-11-01", "--to=2026-11-01", "--site=blog",
		"--kafka-brokers=127.0.0.1:1", "--clickhouse-addr=127.0.0.1:1", "--config="+writeSites(t))
	require.Equal(t, 1, got.code)
	require.Regexp(t, "--site blog: .*onepx.yaml has no such site; it has shop", got.errOut)
}
