package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// groupSettings are what all must agree on who move the group's positions.
type groupSettings struct {
	Group          string        `env:"ONEPX_CONSUMER_GROUP" default:"onepx-consumer" help:"Kafka consumer group. Never let two groups write to one database: each would store every event."`
	InsertDeadline time.Duration `env:"ONEPX_INSERT_DEADLINE" default:"15s" bounds:"1s to 10m" help:"Time from declaring a batch to the end of its insert. Well under the session timeout, so that a consumer that lost its partition is not still inserting."`
}

// Validate checks bounds.
func (g groupSettings) Validate() error {
	var errs []error
	if g.Group == "" {
		errs = append(errs, errors.New("ONEPX_CONSUMER_GROUP is empty"))
	}
	if g.InsertDeadline < time.Second || g.InsertDeadline > 10*time.Minute {
		errs = append(errs, fmt.Errorf("ONEPX_INSERT_DEADLINE is %s; allowed are 1s to 10m", g.InsertDeadline))
	}
	return errors.Join(errs...)
}

// runCmd are the settings of `consumer run`.
type runCmd struct {
	Kafka         kafkaconn.Settings `embed:"" prefix:"kafka-"`
	ClickHouse    store.Settings     `embed:"" prefix:"clickhouse-"`
	Telemetry     telemetry.Settings `embed:""`
	groupSettings `embed:""`

	Config      string `env:"ONEPX_CONFIG" required:"" type:"existingfile" help:"The site configuration, onepx.yaml."`
	AdminListen string `env:"ONEPX_CONSUMER_ADMIN_LISTEN" default:":9091" help:"Address of /livez, /readyz, /status, /metrics and pprof; not for the public."`

	SessionTimeout time.Duration `env:"ONEPX_SESSION_TIMEOUT" default:"45s" bounds:"6s to 30m, at least twice the insert deadline" help:"How long Kafka waits for a silent consumer before others get its partitions."`
	FlushAge       time.Duration `env:"ONEPX_FLUSH_AGE" default:"1s" bounds:"100ms to 10s" help:"How long a batch waits to fill. Batches of a partition are further apart when there are many partitions, so that ClickHouse gets at most 4 inserts and 20 new parts a second."`
	BatchRows      int           `env:"ONEPX_BATCH_ROWS" default:"50000" bounds:"1 to 50000" help:"Most rows of a batch; a larger block could not be completed in one piece."`
	BatchBytes     int           `env:"ONEPX_BATCH_BYTES" default:"8388608" bounds:"65536 to 268435456" help:"Most raw bytes of a batch. A process makes one batch at a time: a backlog takes some twelve times this, whatever the number of its partitions (docs/operations.md)."`
	IdleAfter      time.Duration `env:"ONEPX_IDLE_AFTER" default:"5s" bounds:"1s to 10m" help:"Quiet time after which the position is committed as idle, so that the lag reads true."`
	WindowEvents   int           `env:"ONEPX_WINDOW_EVENTS" default:"50000" bounds:"1000 to 100000000" help:"Recent event ids remembered in memory for each assigned partition (about 100 bytes each, as two generations are kept). What does not fit is asked of ClickHouse when it may be a repeat."`
}

// Validate checks bounds and what belongs together; all that is wrong is in one error.
func (c *runCmd) Validate() error {
	errs := []error{c.Kafka.Validate(), c.ClickHouse.Validate(), c.Telemetry.Validate(), c.groupSettings.Validate()}
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
	between("ONEPX_SESSION_TIMEOUT", c.SessionTimeout, 6*time.Second, 30*time.Minute)
	between("ONEPX_FLUSH_AGE", c.FlushAge, 100*time.Millisecond, 10*time.Second)
	between("ONEPX_IDLE_AFTER", c.IdleAfter, time.Second, 10*time.Minute)
	count("ONEPX_BATCH_ROWS", c.BatchRows, 1, 50000)
	count("ONEPX_BATCH_BYTES", c.BatchBytes, 64<<10, 256<<20)
	count("ONEPX_WINDOW_EVENTS", c.WindowEvents, 1000, 100_000_000)
	if c.InsertDeadline*2 > c.SessionTimeout {
		errs = append(errs, fmt.Errorf("ONEPX_INSERT_DEADLINE %s must be at most half of ONEPX_SESSION_TIMEOUT %s: a consumer that lost its partition must have stopped inserting", c.InsertDeadline, c.SessionTimeout))
	}
	return errors.Join(errs...)
}
