package main

import (
	"os"
	"strconv"
	"strings"
)

// addresses are where the parts of a stack listen.
type addresses struct {
	kafka            string // host:port
	clickhouseNative string // host:port
	clickhouseHTTP   string // base URL
	clickhouseUser   string
	collector        string // host:port for visitors
	collectorAdmin   string // host:port
	consumerAdmin    string // host:port
}

// vars are the addresses as people and scripts get them, in .dev/env.
func (a addresses) vars() []variable {
	return []variable{
		{"ONEPX_COLLECTOR", "http://" + a.collector},
		{"ONEPX_COLLECTOR_ADMIN", "http://" + a.collectorAdmin},
		{"ONEPX_CONSUMER_ADMIN", "http://" + a.consumerAdmin},
		{"ONEPX_CLICKHOUSE_HTTP", a.clickhouseHTTP},
		{"ONEPX_CLICKHOUSE_NATIVE", a.clickhouseNative},
		{"ONEPX_KAFKA", a.kafka},
	}
}

// settings are what the services are told; everything else has its default.
func (a addresses) settings(config, secret string) []string {
	return []string{
		"ONEPX_KAFKA_BROKERS=" + a.kafka,
		"ONEPX_TOPIC_REPLICATION=1",
		"ONEPX_CLICKHOUSE_ADDR=" + a.clickhouseNative,
		"ONEPX_CLICKHOUSE_USER=" + a.clickhouseUser,
		"ONEPX_CONFIG=" + config,
		"ONEPX_SECRET=" + secret,
		"ONEPX_COLLECTOR_LISTEN=" + a.collector,
		"ONEPX_COLLECTOR_ADMIN_LISTEN=" + a.collectorAdmin,
		"ONEPX_CONSUMER_ADMIN_LISTEN=" + a.consumerAdmin,
		"ONEPX_LOG_FORMAT=text",
		"ONEPX_STOP_GRACE=0s", // no load balancer to wait for
		// A new group waits one insert deadline before it reads; the defaults are for busier machines.
		"ONEPX_INSERT_DEADLINE=3s",
		"ONEPX_SESSION_TIMEOUT=10s",
	}
}

// service is a run of one of our programs.
type service struct {
	name string // also of its log
	bin  string
	args []string
	// readyURL answers 2xx when the service is ready; empty means that it does its work and ends.
	readyURL string
}

// services are our programs in the order in which they start; they stop in reverse.
func (a addresses) services() []service {
	return []service{
		{name: "migrate", bin: "consumer", args: []string{"migrate"}},
		{name: "topics", bin: "consumer", args: []string{"topics"}},
		{name: "consumer", bin: "consumer", args: []string{"run"}, readyURL: "http://" + a.consumerAdmin + "/readyz"},
		{name: "collector", bin: "collector", args: []string{"run"}, readyURL: "http://" + a.collectorAdmin + "/readyz"},
	}
}

// programs are what `up` builds into .dev/bin, by their folder in the checkout.
var programs = []string{"./services/collector", "./services/consumer", "./tools/dev"}

// cleanEnv returns our environment without settings of onepx: a stack must not depend on the shell it is started from.
func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ONEPX_") || strings.HasPrefix(v, "ONEPX_CACHE=") {
			env = append(env, v)
		}
	}
	return env
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
