package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Environment is what the services of a stack on one machine are told; everything else has its default.
type Environment struct {
	// Kafka and ClickHouse are host:port; ClickHouseUser has no password.
	Kafka, ClickHouse, ClickHouseUser string
	// Sites is the path of onepx.yaml, Secret the key of visitor ids.
	Sites, Secret string
	// Collector, CollectorAdmin, ConsumerAdmin, JobsAdmin, Console and ConsoleAdmin are where the services listen.
	Collector, CollectorAdmin, ConsumerAdmin, JobsAdmin, Console, ConsoleAdmin string
	// SpoolDir is the collector's folder for events while Kafka is away; empty means that it has none.
	SpoolDir string
}

// A new group waits for two insert deadlines before it reads; the default is for busier
// machines. The session timeout is short too, so that a killed consumer's partitions move within seconds.
const (
	insertDeadline = 4 * time.Second
	sessionTimeout = 10 * time.Second
)

// Settings are the environment variables.
func (e Environment) Settings() []string {
	return []string{
		"ONEPX_KAFKA_BROKERS=" + e.Kafka,
		"ONEPX_TOPIC_REPLICATION=1",
		"ONEPX_CLICKHOUSE_ADDR=" + e.ClickHouse,
		"ONEPX_CLICKHOUSE_USER=" + e.ClickHouseUser,
		"ONEPX_CONFIG=" + e.Sites,
		"ONEPX_SECRET=" + e.Secret,
		"ONEPX_COLLECTOR_LISTEN=" + e.Collector,
		"ONEPX_SPOOL_DIR=" + e.SpoolDir,
		"ONEPX_COLLECTOR_ADMIN_LISTEN=" + e.CollectorAdmin,
		"ONEPX_CONSUMER_ADMIN_LISTEN=" + e.ConsumerAdmin,
		"ONEPX_JOBS_ADMIN_LISTEN=" + e.JobsAdmin,
		"ONEPX_CONSOLE_LISTEN=" + e.Console,
		"ONEPX_CONSOLE_ADMIN_LISTEN=" + e.ConsoleAdmin,
		"ONEPX_STOP_GRACE=0s", // no load balancer to wait for
		"ONEPX_INSERT_DEADLINE=" + insertDeadline.String(),
		"ONEPX_SESSION_TIMEOUT=" + sessionTimeout.String(),
	}
}

// CleanEnv returns our environment without settings of onepx: a stack must not depend on the shell it is started from.
func CleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ONEPX_") || strings.HasPrefix(v, "ONEPX_CACHE=") {
			env = append(env, v)
		}
	}
	return env
}

// Root is the checkout: the folder of go.work at or above the working directory.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New(start + " is not in a checkout: no go.work here or above")
		}
	}
}
