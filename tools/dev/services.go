package main

import "github.com/onepx/onepx/tools/internal/pipeline"

// addresses are where the parts of a stack listen.
type addresses struct {
	kafka            string // host:port
	clickhouseNative string // host:port
	clickhouseHTTP   string // base URL
	clickhouseUser   string
	collector        string // host:port for visitors
	collectorAdmin   string // host:port
	consumerAdmin    string // host:port
	jobsAdmin        string // host:port
	console          string // host:port for programs
	consoleAdmin     string // host:port
	consoleKey       string // an API key of the site demo, with all rights
}

// vars are the addresses as people and scripts get them, in .dev/env.
func (a addresses) vars() []variable {
	return []variable{
		{"ONEPX_COLLECTOR", "http://" + a.collector},
		{"ONEPX_COLLECTOR_ADMIN", "http://" + a.collectorAdmin},
		{"ONEPX_CONSUMER_ADMIN", "http://" + a.consumerAdmin},
		{"ONEPX_JOBS_ADMIN", "http://" + a.jobsAdmin},
		{"ONEPX_CONSOLE", "http://" + a.console},
		{"ONEPX_CONSOLE_ADMIN", "http://" + a.consoleAdmin},
		{"ONEPX_CONSOLE_KEY", a.consoleKey},
		{"ONEPX_CLICKHOUSE_HTTP", a.clickhouseHTTP},
		{"ONEPX_CLICKHOUSE_NATIVE", a.clickhouseNative},
		{"ONEPX_KAFKA", a.kafka},
	}
}

// settings are what the services are told.
func (a addresses) settings(config, secret, mailKeys, spool string) []string {
	return append(pipeline.Environment{
		Kafka: a.kafka, ClickHouse: a.clickhouseNative, ClickHouseUser: a.clickhouseUser, Sites: config, Secret: secret,
		Collector: a.collector, CollectorAdmin: a.collectorAdmin, ConsumerAdmin: a.consumerAdmin,
		JobsAdmin: a.jobsAdmin, Console: a.console, ConsoleAdmin: a.consoleAdmin, SpoolDir: spool,
	}.Settings(), "ONEPX_LOG_FORMAT=text", "ONEPX_MAIL_KEYS="+mailKeys, "ONEPX_MAIL_URL=http://"+a.collector)
}

// service is a run of one of our programs.
type service struct {
	name string // also of its log
	bin  string
	args []string
	// env is what it is told besides the settings of all.
	env []string
	// readyURL answers 2xx when the service is ready; empty means that it does its work and ends.
	readyURL string
}

// consoleUser is the console's in ClickHouse, who can only read.
const consoleUser = "console"

// services are our programs in the order in which they start; they stop in reverse.
func (a addresses) services() []service {
	return []service{
		{name: "migrate", bin: "consumer", args: []string{"migrate"}},
		{name: "topics", bin: "consumer", args: []string{"topics"}},
		{name: "consumer", bin: "consumer", args: []string{"run"}, readyURL: "http://" + a.consumerAdmin + "/readyz"},
		{name: "jobs", bin: "consumer", args: []string{"jobs"}, readyURL: "http://" + a.jobsAdmin + "/readyz"},
		{name: "console", bin: "console", args: []string{"run"}, env: []string{"ONEPX_CLICKHOUSE_USER=" + consoleUser}, readyURL: "http://" + a.consoleAdmin + "/readyz"},
		{name: "collector", bin: "collector", args: []string{"run"}, readyURL: "http://" + a.collectorAdmin + "/readyz"},
	}
}

// programs are what `up` builds into .dev/bin, by their folder in the checkout.
var programs = []string{"./services/collector", "./services/console", "./services/consumer", "./tools/dev"}
