// Command loadgen sends numbered events to collectors in an open loop and writes what was answered, one JSON line an
// event, so that the answers can be compared with what is stored. It sends only to loopback unless told otherwise.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/tools/internal/load"
)

type cli struct {
	Target      []string      `arg:"" help:"Base URLs of collectors, such as http://127.0.0.1:8080."`
	Site        string        `default:"demo" help:"Site of the events."`
	Rate        float64       `default:"200" help:"Events a second."`
	Duration    time.Duration `default:"10s" help:"How long to send."`
	Visitors    int           `default:"500" help:"People who come; a fifth of them take no cookies."`
	Repeat      float64       `default:"0.02" help:"Share of events that are sent twice under the same id."`
	Retries     int           `default:"0" help:"How often an event that was not answered as stored is sent again."`
	Seed        uint64        `default:"1" help:"Ids and traffic follow from it."`
	Timeout     time.Duration `default:"10s" help:"Limit of one request."`
	InFlight    int           `default:"2000" help:"Most requests without an answer."`
	Out         string        `default:"-" help:"File for the answers; - is standard output."`
	NotLoopback bool          `name:"not-loopback" help:"Allow targets that are not on this machine."`
}

// Validate refuses other people's servers.
func (c *cli) Validate() error {
	for _, target := range c.Target {
		u, err := url.Parse(target)
		if err != nil || u.Host == "" {
			return fmt.Errorf("target %q is no URL such as http://127.0.0.1:8080", target)
		}
		if ip := net.ParseIP(u.Hostname()); !c.NotLoopback && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("target %q is not on this machine; --not-loopback allows it", target)
		}
	}
	if c.Rate <= 0 || c.Visitors < 1 || c.InFlight < 1 {
		return errors.New("--rate, --visitors and --in-flight must be above 0")
	}
	return nil
}

func main() {
	var c cli
	kong.Parse(&c, kong.Name("loadgen"), kong.Description("Sends numbered events and writes what was answered. Example: loadgen --rate 500 --duration 1m http://127.0.0.1:8080"))
	if err := c.run(); err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

func (c *cli) run() error {
	out := os.Stdout
	if c.Out != "-" {
		var err error
		if out, err = os.Create(c.Out); err != nil {
			return err
		}
		defer func() { _ = out.Close() }()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Duration)
	defer cancel()
	buffered := bufio.NewWriter(out)
	lines := json.NewEncoder(buffered)
	counts := map[string]int{}
	var failed error
	made := load.Run(ctx, load.Config{
		Targets: c.Target, Site: c.Site, Rate: c.Rate, Visitors: c.Visitors, Repeat: c.Repeat, Retries: c.Retries,
		Seed: c.Seed, Timeout: c.Timeout, InFlight: c.InFlight,
	}, func(r load.Result) {
		counts[r.Outcome]++
		failed = errors.Join(failed, lines.Encode(r))
	})
	fmt.Fprintf(os.Stderr, "loadgen: events=%d stored=%d refused=%d unknown=%d\n", made, counts[load.Stored], counts[load.Refused], counts[load.Unknown])
	return errors.Join(failed, buffered.Flush())
}
