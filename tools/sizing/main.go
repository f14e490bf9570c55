// Command sizing computes what a rate of events takes, from figures that were measured (docs/sizing.md).
package main

import (
	"fmt"
	"math"
	"os"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// The measured figures; docs/sizing.md says where each comes from.
const (
	// collectorSeconds is CPU time of a collector for a hit.
	collectorSeconds = 53.1e-6
	// storingSeconds is CPU time of Kafka, consumer and ClickHouse with its merges for an event that is enriched and stored: two cores
	// took 37,220 a second.
	storingSeconds = 2.0 / 37_220
	// recordBytes is a record in Kafka before compression, storedBytes what an event takes in all tables of ClickHouse.
	recordBytes = 397
	storedBytes = 137
	// busy is how much of a core may be used at the peak.
	busy = 0.6
)

type cli struct {
	Peak     float64 `required:"" help:"Events a second at the busiest time."`
	PerDay   float64 `required:"" help:"Events a day."`
	Days     float64 `default:"395" help:"How long events are kept: retention_days of the sites."`
	Copies   float64 `default:"2" help:"Copies of each row in ClickHouse."`
	CoreHour float64 `help:"Price of a core for an hour, to get the cost of a billion events."`
	GBMonth  float64 `help:"Price of a GB of disk for a month."`
}

// need is what it takes.
type need struct {
	CollectorCores, StoringCores float64
	// KafkaGB is for the seven days that topics keep, in three copies, without compression; ClickHouseGB for all copies.
	KafkaGB, ClickHouseGB float64
	// Billion is the price of a billion events, all in: cores for the whole day, disks for as long as rows are kept.
	Billion float64
}

func (c *cli) need() need {
	const gb = 1e9
	n := need{
		CollectorCores: math.Ceil(c.Peak * collectorSeconds / busy),
		StoringCores:   math.Ceil(c.Peak * storingSeconds / busy),
		KafkaGB:        c.PerDay * 7 * 3 * recordBytes / gb,
		ClickHouseGB:   c.PerDay * c.Days * c.Copies * storedBytes / gb,
	}
	perDay := (n.CollectorCores+n.StoringCores)*24*c.CoreHour + (n.KafkaGB+n.ClickHouseGB)*c.GBMonth/30
	n.Billion = perDay / c.PerDay * 1e9
	return n
}

// Validate checks bounds.
func (c *cli) Validate() error {
	for name, value := range map[string]float64{"--peak": c.Peak, "--per-day": c.PerDay, "--days": c.Days, "--copies": c.Copies} {
		if !(value > 0) || math.IsInf(value, 0) {
			return fmt.Errorf("%s must be above 0", name)
		}
	}
	if c.CoreHour < 0 || c.GBMonth < 0 {
		return fmt.Errorf("prices must not be below 0")
	}
	return nil
}

func main() {
	var c cli
	kong.Parse(&c, kong.Name("sizing"), kong.Description("Computes cores and disks for a rate of events. Example: go run ./tools/sizing --peak 20000 --per-day 500000000"))
	n := c.need()
	lines := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(lines, "collectors\t%.0f cores\n", n.CollectorCores)
	fmt.Fprintf(lines, "Kafka, consumers and ClickHouse\t%.0f cores for storing, and what your questions take\n", n.StoringCores)
	fmt.Fprintf(lines, "Kafka\t%.0f GB, less by its compression\n", n.KafkaGB)
	fmt.Fprintf(lines, "ClickHouse\t%.0f GB in %g copies\n", n.ClickHouseGB, c.Copies)
	if c.CoreHour > 0 || c.GBMonth > 0 {
		fmt.Fprintf(lines, "a billion events\t%.2f at your prices\n", n.Billion)
	}
	_ = lines.Flush()
}
