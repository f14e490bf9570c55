// Command e2e proves the promise of delivery on real parts: a real Kafka, a real ClickHouse, two collectors and two
// consumers work under load while each round breaks something (kinds.go lists what), and after each round every event that
// was answered as stored or spooled is counted exactly once, as are the conversions, orders and touches that follow. One collector and one consumer reach the others through
// proxies that can spoil their connections (network.go). At the end what is stored is damaged on purpose, found and healed (drill.go).
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/tools/internal/localstack"
)

type cli struct {
	Rounds int     `default:"10" help:"How many rounds. The first is the drill of alerts. Of the other kinds of faults every one comes once before one comes again; long kinds (kafka-away-long: more than five minutes) only when there are as many rounds as kinds (21), and only once."`
	Seed   uint64  `help:"Order of the faults, their moments and the traffic follow from it; 0 = a new one."`
	Rate   float64 `default:"300" help:"Events a second."`
	Only   string  `placeholder:"KIND" help:"Run this kind of fault in every round. A wrong name lists them all."`
	Dir    string  `help:"Folder for data and logs, which is kept; empty = a temporary one, which is removed on success."`
}

func main() {
	localstack.RunChild()
	var c cli
	kong.Parse(&c, kong.Name("e2e"), kong.Description("Breaks each part under load and compares answers with rows. Example: e2e --rounds 10"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := c.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

func (c *cli) run(ctx context.Context) (err error) {
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	fmt.Printf("e2e: seed=%d rounds=%d rate=%g\n", c.Seed, c.Rounds, c.Rate)
	names, err := order(c.Only, c.Rounds, c.Seed)
	if err != nil {
		return err
	}
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "onepx-e2e-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(dir)
				return
			}
			fmt.Fprintln(os.Stderr, "e2e: logs are in", dir)
		}()
	}
	w, err := start(ctx, dir, c.Rate, c.Seed)
	defer w.stop()
	if err != nil {
		return err
	}
	for i, name := range names {
		begun := time.Now()
		fmt.Printf("round %d/%d %s …\n", i+1, c.Rounds, name)
		v, err := w.round(ctx, i, kinds[name])
		fmt.Printf("round %d/%d %s: %s (%s; answers of the round: %s)\n", i+1, c.Rounds, name, v, time.Since(begun).Round(time.Second), w.answers)
		if err != nil {
			return fmt.Errorf("round %d, %s, seed %d: %w", i+1, name, c.Seed, err)
		}
		w.verdict = v
	}
	if w.verdict, err = w.drill(ctx, len(names)); err != nil {
		return fmt.Errorf("drill, seed %d: %w", c.Seed, err)
	}
	fmt.Printf("e2e: rounds=%d %s\n", c.Rounds, w.verdict)
	fmt.Printf("ledger: %s\n", w.verdict.ledger)
	if w.alerts != "" {
		fmt.Printf("alerts: %s\n", w.alerts)
	}
	return nil
}
