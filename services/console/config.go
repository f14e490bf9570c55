package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	secret "github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// minSecret is the shortest secret in bytes, as of the collectors.
const minSecret = 32

// runCmd are the settings of `console run`.
type runCmd struct {
	Listen      string        `env:"ONEPX_CONSOLE_LISTEN" default:":8081" help:"Address of the API. Put a proxy that speaks TLS in front: keys come with each request."`
	AdminListen string        `env:"ONEPX_CONSOLE_ADMIN_LISTEN" default:":9093" help:"Address for /livez, /readyz, /status, /metrics and profiles. Must not be reachable from outside."`
	Config      string        `env:"ONEPX_CONFIG" required:"" placeholder:"FILE" help:"Site configuration (onepx.yaml). console run takes changes over while it runs, also on SIGHUP."`
	Secret      secret.Secret `env:"ONEPX_SECRET" required:"" placeholder:"TEXT" bounds:"at least 32 bytes" help:"The collectors' secret: customer ids and e-mail addresses are hashed with it, cursors sealed. Give it in the environment: a command line can be seen by other users."`

	LookupTimeout time.Duration `env:"ONEPX_LOOKUP_TIMEOUT" default:"1s" bounds:"10ms to 30s" help:"How long a lookup of a visitor may take before the answer is 503."`
	LookupWindow  time.Duration `env:"ONEPX_LOOKUP_WINDOW" default:"2ms" bounds:"0s to 100ms" help:"How long a lookup waits for others, to make one query with them."`
	LookupQueries int           `env:"ONEPX_LOOKUP_QUERIES" default:"4" bounds:"1 to 32" help:"Queries of lookups at once; while as many run, the next ones grow, up to 64 visitors. Half as many as ClickHouse has cores answer soonest."`
	LookupWaiting int           `env:"ONEPX_LOOKUP_WAITING" default:"4096" bounds:"64 to 1000000" help:"Lookups that may wait for the database; more are answered with 503 at once."`
	LookupKeep    time.Duration `env:"ONEPX_LOOKUP_KEEP" default:"2s" bounds:"0s to 10s" help:"How long what was read of a visitor is answered again. Wishes and erasures hold at once all the same."`
	LookupKept    int           `env:"ONEPX_LOOKUP_KEPT" default:"100000" bounds:"1 to 10000000" help:"Visitors of whom that is kept, the latest, and as many ids of partners; some 500 bytes each."`
	QueryTimeout  time.Duration `env:"ONEPX_QUERY_TIMEOUT" default:"30s" bounds:"1s to 10m" help:"How long any other question to the database may take before the answer is 503."`
	Queries       int           `env:"ONEPX_CONSOLE_QUERIES" default:"16" bounds:"1 to 24" help:"Such questions at once; more are answered with 503. A page of 10000 members takes some 10 MB."`

	ExportDir string `env:"ONEPX_EXPORT_DIR" placeholder:"DIR" help:"The folder that consumer jobs writes exports to, if this console shall hand their files out."`

	mailSettings `embed:""`

	StopGrace   time.Duration `env:"ONEPX_STOP_GRACE" default:"5s" bounds:"0s to 5m" help:"How long to go on serving after SIGTERM while not ready, so that load balancers notice first."`
	StopTimeout time.Duration `env:"ONEPX_STOP_TIMEOUT" default:"15s" bounds:"1s to 5m" help:"How long requests at work may take when stopping."`

	Kafka      kafkaconn.Settings      `embed:"" prefix:"kafka-"`
	ClickHouse clickhouseconn.Settings `embed:"" prefix:"clickhouse-"`
	Telemetry  telemetry.Settings      `embed:""`
	Sampling   telemetry.Sampling      `embed:""`
}

// Validate says what is out of bounds, all of it in one error.
func (c *runCmd) Validate() error {
	errs := []error{c.Kafka.Validate(), c.ClickHouse.Validate(), c.Telemetry.Validate(), c.Sampling.Validate()}
	between := func(name string, value, low, high time.Duration) {
		if value < low || value > high {
			errs = append(errs, fmt.Errorf("%s is %s; allowed are %s to %s", name, value, low, high))
		}
	}
	count := func(name string, value, low, high int) {
		if value < low || value > high {
			errs = append(errs, fmt.Errorf("%s is %d; allowed are %d to %d", name, value, low, high))
		}
	}
	between("ONEPX_LOOKUP_TIMEOUT", c.LookupTimeout, 10*time.Millisecond, 30*time.Second)
	between("ONEPX_LOOKUP_WINDOW", c.LookupWindow, 0, 100*time.Millisecond)
	between("ONEPX_LOOKUP_KEEP", c.LookupKeep, 0, 10*time.Second)
	between("ONEPX_QUERY_TIMEOUT", c.QueryTimeout, time.Second, 10*time.Minute)
	between("ONEPX_STOP_GRACE", c.StopGrace, 0, 5*time.Minute)
	between("ONEPX_STOP_TIMEOUT", c.StopTimeout, time.Second, 5*time.Minute)
	count("ONEPX_LOOKUP_QUERIES", c.LookupQueries, 1, 32)
	count("ONEPX_LOOKUP_WAITING", c.LookupWaiting, 64, 1_000_000)
	count("ONEPX_LOOKUP_KEPT", c.LookupKept, 1, 10_000_000)
	count("ONEPX_CONSOLE_QUERIES", c.Queries, 1, 24)
	if n := len(c.Secret.Reveal()); n < minSecret {
		errs = append(errs, fmt.Errorf("ONEPX_SECRET has %d bytes; at least %d are needed", n, minSecret))
	}
	if c.MailKeys != "" {
		_, err := c.urls()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
