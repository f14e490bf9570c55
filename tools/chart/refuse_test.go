package chart_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// changed returns the values of the smallest use with others laid over them.
func changed(t *testing.T, overlay string) map[string]any {
	t.Helper()
	return over(decodeValues(t, sets(t)["minimal"]), decodeValues(t, overlay))
}

// over lays values over others, as Helm does with two files of values.
func over(base, overlay map[string]any) map[string]any {
	for key, value := range overlay {
		below, ok := base[key].(map[string]any)
		if own, both := value.(map[string]any); ok && both {
			base[key] = over(below, own)
			continue
		}
		base[key] = value
	}
	return base
}

func TestWrongValuesAreRefusedAndTheMessageSaysWhereAndWhat(t *testing.T) {
	for _, tc := range []struct {
		name, values string
		want         []string
	}{
		// By the schema.
		{"a value that there is not", `collectors: {replicas: 2}`, []string{"additional properties 'collectors' not allowed"}},
		{"a value that there is not, deep inside", `collector: {spool: {enable: true}}`, []string{"/collector/spool", "'enable' not allowed"}},
		{"no collector", `collector: {replicas: 0}`, []string{"/collector/replicas", "got 0, want 1"}},
		{"a number as text", `collector: {replicas: "3"}`, []string{"/collector/replicas", "got string, want integer"}},
		{"text for a switch", `networkPolicy: {enabled: "no"}`, []string{"/networkPolicy/enabled", "got string, want boolean"}},
		{"a broker without a port", `kafka: {brokers: [kafka]}`, []string{"/kafka/brokers/0", "'kafka' does not match pattern"}},
		{"brokers as one text", `kafka: {brokers: "kafka:9092,kafka:9093"}`, []string{"/kafka/brokers", "got string, want array"}},
		{"a mechanism that there is not", `kafka: {saslMechanism: oauthbearer}`, []string{"/kafka/saslMechanism", "'plain', 'scram-sha-256', 'scram-sha-512'"}},
		{"a password as a value", `kafka: {users: {default: {password: secret}}}`, []string{"/kafka/users/default", "'password' not allowed"}},
		{"a secret as a value", `secret: {value: secret}`, []string{"/secret", "'value' not allowed"}},
		{"a database that is no name", `clickhouse: {database: "one-px"}`, []string{"/clickhouse/database", "'one-px' does not match pattern"}},
		{"a shard without a port", `clickhouse: {cluster: main, shards: ["a:9000|b"]}`, []string{"/clickhouse/shards/0", "'a:9000|b' does not match pattern"}},
		{"a cluster whose name would need quotes", `clickhouse: {cluster: "a-b", shards: ["a:9000"]}`, []string{"/clickhouse/cluster", "'a-b' does not match pattern"}},
		{"no limit of memory", `consumer: {resources: {limits: {memory: null}}}`, []string{"/consumer/resources/limits", "missing property 'memory'"}},
		{"a limit of memory of which no share can be taken", `consumer: {resources: {limits: {memory: 1G}}}`, []string{"/consumer/resources/limits/memory", "'1G' does not match pattern"}},
		{"a setting that the service does not have", `collector: {settings: {ONEPX_MAX_CONECTIONS: "1"}}`, []string{"/collector/settings", "ONEPX_MAX_CONECTIONS"}},
		{"a setting of another service", `console: {settings: {ONEPX_BATCH_ROWS: "1"}}`, []string{"/console/settings", "ONEPX_BATCH_ROWS"}},
		{"a setting that the chart sets", `collector: {settings: {ONEPX_SPOOL_DIR: /x}}`, []string{"/collector/settings", "ONEPX_SPOOL_DIR"}},
		{"a setting that is no text", `collector: {settings: {ONEPX_MAX_CONNECTIONS: 4096}}`, []string{"/collector/settings/ONEPX_MAX_CONNECTIONS", "got number, want string"}},
		{"an environment of the chart's own from a Secret", `jobs: {secretEnv: [{name: ONEPX_SECRET, existingSecret: x, key: y}]}`, []string{"/jobs/secretEnv/0/name"}},
		{"too small a spool", `collector: {spool: {quotaBytes: 1000}}`, []string{"/collector/spool/quotaBytes", "minimum: got 1,000"}},
		{"a proxy that is no address", `collector: {trustedProxies: [proxy.example]}`, []string{"/collector/trustedProxies/0", "'proxy.example' does not match pattern"}},
		{"a digest that is none", `image: {digests: {console: latest}}`, []string{"/image/digests/console", "'latest' does not match pattern"}},
		{"a schedule that is none", `tasks: {retention: {schedule: daily}}`, []string{"/tasks/retention/schedule", "'daily' does not match pattern"}},
		{"too many partitions", `topics: {partitions: 5000}`, []string{"/topics/partitions", "got 5,000, want 1,000"}},
		{"admin ports for nobody, which would be for everybody", `networkPolicy: {monitoringFrom: []}`, []string{"/networkPolicy/monitoringFrom", "got 0, want 1"}},
		{"an address for traces that is no URL", `telemetry: {otlpEndpoint: "collector:4318"}`, []string{"/telemetry/otlpEndpoint", "does not match pattern"}},

		// What no schema can say.
		{"no Secret", `secret: {existingSecret: ""}`, []string{"secret.existingSecret is empty", "openssl rand -hex 32"}},
		{"no broker", `kafka: {brokers: []}`, []string{"kafka.brokers is empty"}},
		{"no database", `clickhouse: {addresses: []}`, []string{"clickhouse.addresses is empty"}},
		{"a cluster without shards", `clickhouse: {cluster: main}`, []string{"clickhouse.cluster and clickhouse.shards need each other"}},
		{"more shards than partitions", `{topics: {partitions: 1}, consumer: {replicas: 1}, clickhouse: {cluster: main, shards: ["a:9000", "b:9000"]}}`, []string{"1 partitions for 2 shards", "topics.partitions"}},
		{"no sites", `siteConfig: {file: ""}`, []string{"no site configuration", "--set-file siteConfig.file=onepx.yaml"}},
		{"sites twice", `siteConfig: {existingConfigMap: sites}`, []string{"siteConfig.file and siteConfig.existingConfigMap are both set"}},
		{"sites that are no YAML", `siteConfig: {file: "sites: ["}`, []string{"siteConfig.file is no onepx.yaml"}},
		{"sites that are something else", `siteConfig: {file: "a: b"}`, []string{"siteConfig.file is no onepx.yaml", "docs/configuration.md"}},
		{"sites without one", `siteConfig: {file: "sites: []"}`, []string{"siteConfig.file has no site"}},
		{"more consumers than partitions", `consumer: {replicas: 7}`, []string{"7 consumers for 6 partitions", "topics.partitions"}},
		{"a scaler that may make more consumers than partitions", `consumer: {keda: {enabled: true, maxReplicas: 8}}`, []string{"8 consumers for 6 partitions"}},
		{"two scalers", `consumer: {keda: {enabled: true}, hpa: {enabled: true}}`, []string{"two autoscalers would fight"}},
		{"a scaler whose least is above its most", `collector: {hpa: {enabled: true, minReplicas: 5, maxReplicas: 4}}`, []string{"collector.hpa.minReplicas is above maxReplicas"}},
		{"a spool that is drained while its collector runs", `collector: {spool: {drain: [3, 1]}}`, []string{"collector.spool.drain names 1", "from 3 on"}},
		{"a quota that the volume cannot hold", `collector: {spool: {quotaBytes: 2147483648}}`, []string{"collector.spool.volumeSize 2Gi", "quotaBytes"}},
		{"a password that anybody can read", `kafka: {saslMechanism: plain, users: {default: {username: u, existingSecret: s}}}`, []string{"shows passwords", "enable kafka.tls"}},
		{"a mechanism without a user", `kafka: {saslMechanism: scram-sha-512}`, []string{"kafka.users.collector (or .default) lacks username or existingSecret"}},
		{"a certificate without TLS", `kafka: {users: {jobs: {certSecret: x}}}`, []string{"kafka.users.jobs (or .default) has a certSecret", "kafka.tls.enabled"}},
		{"a route to nowhere", `console: {gateway: {enabled: true}}`, []string{"console.gateway is enabled, but parentRefs names no Gateway"}},
		{"an Ingress for all hosts", `collector: {ingress: {enabled: true}}`, []string{"collector.ingress is enabled, but hosts is empty"}},
		{"rates that nobody fetches", `tasks: {rates: {enabled: true}}`, []string{"tasks.rates.fetch.image"}},
		{"an insert that outlives the session", `consumer: {insertDeadlineSeconds: 30}`, []string{"consumer.insertDeadlineSeconds", "ONEPX_SESSION_TIMEOUT"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := render(load(t), changed(t, tc.values))
			require.Error(t, err)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	_, err := render(load(t), changed(t, `{secret: {existingSecret: ""}, kafka: {brokers: []}, consumer: {replicas: 9}}`))
	for _, want := range []string{"secret.existingSecret", "kafka.brokers", "9 consumers"} {
		require.ErrorContains(t, err, want)
	}
}
