//go:build integration

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
)

// The goals before and after: one is new, one has another value, one is gone.
const (
	formerGoals  = `[{id: purchase, event: purchase}, {id: cart, event: add_to_cart, value: "2", once_per: event}, {id: gone, event: page_view, once_per: session, value: none}]`
	presentGoals = `[{id: purchase, event: purchase}, {id: cart, event: add_to_cart, value: "3.50", once_per: event}, {id: seen, url: "/page_view$", once_per: session, value: none}]`
)

// withGoals puts goals of the site shop into the configuration of what starts from here on; the site twin has the present
// ones. A rebuild
// waits for insert deadlines.
func (w *world) withGoals(goals string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "onepx.yaml")
	require.NoError(w.t, os.WriteFile(path, []byte("sites: [{id: shop, timezone: Europe/Berlin, currency: EUR, goals: "+goals+"}, {id: twin, timezone: Europe/Berlin, currency: EUR, goals: "+presentGoals+"}]"), 0o600))
	w.t.Setenv("ONEPX_CONFIG", path)
	w.shortDeadline()
}

// rebuildGoals runs `consumer rebuild goals`, which is killed after a step; not at all if there is none.
func rebuildGoals(ctx context.Context, from, to time.Time, last store.Step) (string, error) {
	var root cli
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	parser, err := kong.New(&root, kong.Writers(&out, &out), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return "", err
	}
	command, err := parser.Parse([]string{"rebuild", "goals", "--from", from.Format(time.DateOnly), "--to", to.Format(time.DateOnly)})
	if err != nil {
		return "", err
	}
	root.Rebuild.Goals.saved = func(step store.Step) error {
		if step == last {
			return errKilled
		}
		return nil
	}
	err = command.Run()
	return out.String(), err
}

var errKilled = errors.New("killed")

// TestChangedGoalsAreReportedAsIfTheyHadBeenSoFromTheBeginning has two sites with the same events, of which one had the
// present goals from the beginning.
func TestChangedGoalsAreReportedAsIfTheyHadBeenSoFromTheBeginning(t *testing.T) {
	w := begun(t)
	w.withGoals(formerGoals)
	events := shopEvents(rand.New(rand.NewPCG(7, 9)), 40)
	for _, ev := range events {
		twin := proto.CloneOf(ev)
		twin.SiteId = "twin"
		events = append(events, twin)
	}
	w.store(events, 1000)
	outside := func(site string) []string {
		return w.query("SELECT * EXCEPT expires_at FROM %s.conversion_hits WHERE site_day < '2026-11-14' AND site_id = '" + site + "' ORDER BY ALL")
	}
	inside := func(site string) []string {
		return w.query("SELECT * EXCEPT (site_id, kafka_offset, expires_at) FROM %s.conversion_hits WHERE site_day >= '2026-11-14' AND site_id = '" + site + "' ORDER BY ALL")
	}
	report := func(site string) []string {
		return w.query("SELECT * FROM %s.conversions(site='" + site + "', from='2026-11-14', to='2026-11-30') ORDER BY ALL")
	}
	former := outside("shop")
	require.NotEmpty(t, former)
	require.NotEqual(t, inside("twin"), inside("shop"))

	w.withGoals(presentGoals)
	out, err := rebuildGoals(t.Context(), answerDay.AddDate(0, 0, -6), answerDay.AddDate(0, 0, 10), "")
	require.NoError(t, err, out)
	require.Equal(t, former, outside("shop"))
	require.Equal(t, inside("twin"), inside("shop"))
	want := report("twin")
	require.NotEmpty(t, want)
	require.Equal(t, want, report("shop"))
	require.Regexp(t, `(?m)^warning: the newest event of shop, of .*, was stored by other goals than these`, out)
	require.NotContains(t, out, "warning: the newest event of twin")
	require.Regexp(t, `(?m)^  shop gone: \d+ before, 0 now\n  shop purchase: \d+ before, \d+ now\n  shop seen: 0 before, \d+ now$`, out)
}

func TestARebuildNeedsTheGroupOfTheConsumers(t *testing.T) {
	fresh(t)
	got := command(t, "rebuild", "goals", "--from=2026-11-01", "--to=2026-11-01")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "has no position in onepx.events: start a consumer, or name the group of those that run\nthe same command, repeated, goes on")
}

// TestARebuildWhileEventsArriveLosesAndDoublesNothing also kills the rebuild after some steps, and begins with events that
// were stored by other goals.
func TestARebuildWhileEventsArriveLosesAndDoublesNothing(t *testing.T) {
	w := begun(t)
	w.withGoals(formerGoals)
	former := w.start()
	for p := range partitions {
		w.publish(eventlog.TopicEvents, p, w.carts(20)...)
	}
	published := 20 * partitions
	w.awaitRows(published)
	require.Zero(t, former.stop())

	w.withGoals(presentGoals)
	w.start()
	var rebuild errgroup.Group
	ended := make(chan struct{})
	rebuild.Go(func() error {
		defer close(ended)
		today := time.Now().UTC()
		for _, last := range []store.Step{store.StepFed, store.StepStaged, store.StepSwitched, ""} {
			out, err := rebuildGoals(t.Context(), today.AddDate(0, 0, -2), today.AddDate(0, 0, 1), last)
			if killed := errors.Is(err, errKilled); killed != (last != "") || err != nil && !killed {
				return fmt.Errorf("to be killed after %q: %w\n%s", last, err, out)
			}
		}
		return nil
	})
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-time.After(glance):
			w.publish(eventlog.TopicEvents, published/5%partitions, w.carts(5)...)
			published += 5
		}
	}
	require.NoError(t, rebuild.Wait())
	w.awaitRows(published)
	var differences []string
	require.Eventually(t, func() bool { // a row of events is seen before its hits
		differences = w.query("SELECT kafka_partition, kafka_offset, goal, value_micros, sum(n) AS difference FROM (" +
			"SELECT kafka_partition, kafka_offset, 'cart' AS goal, 3500000 AS value_micros, 1 AS n FROM %s.events WHERE outcome IN ('event', 'duplicate') AND name = 'add_to_cart' " +
			"UNION ALL SELECT kafka_partition, kafka_offset, goal, value_micros, -1 AS n FROM %s.conversion_hits) GROUP BY ALL HAVING difference != 0 LIMIT 9")
		return len(differences) == 0
	}, 5*time.Second, glance, "%v", differences)
}

// carts are the records of n events of which every other is a hit of the goal cart.
func (w *world) carts(n int) []kafka.Message {
	messages := make([]kafka.Message, n)
	for i := range messages {
		messages[i] = w.record(event(func(ev *onepxv1.Event) {
			if i%2 == 0 {
				ev.Kind, ev.Name = onepxv1.EventKind_EVENT_KIND_CUSTOM, "add_to_cart"
			}
		}), time.Now())
	}
	return messages
}
