//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/userkey"
)

// drillSecret is the secret of the collectors.
const drillSecret = "0123456789abcdef0123456789abcdef"

// drill is a crowd of visitors of whom every hundredth is erased.
type drill struct {
	*world
	visitors int
	start    time.Time
	sent     [partitions]atomic.Int64
}

// newDrill makes a drill of ONEPX_DRILL_VISITORS visitors, 2000 unless it is set.
func newDrill(t *testing.T) *drill {
	t.Helper()
	visitors := 2000
	if text := os.Getenv("ONEPX_DRILL_VISITORS"); text != "" {
		var err error
		visitors, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	w := fresh(t)
	t.Setenv("ONEPX_INSERT_DEADLINE", "3s")
	t.Setenv("ONEPX_SECRET", drillSecret)
	return &drill{world: w, visitors: visitors, start: time.Now()}
}

func visitorOf(n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "visitor", n)) }

func isErased(n int) bool { return n%100 == 7 }

// customerOf is the e-mail address that every second visitor has given.
func customerOf(n int) string { return fmt.Sprintf("customer-%d@example.com", n) }

var customerKeys = userkey.New(drillSecret)

// hit is the event number i of a visitor, received when the drill began: whatever is published later comes late.
func (d *drill) hit(n, i int) *onepxv1.Event {
	return event(func(ev *onepxv1.Event) {
		visitor := visitorOf(n)
		ev.ReceivedAtMs, ev.OccurredAtMs = d.start.UnixMilli(), d.start.Add(-time.Duration(n%9999)*time.Second).UnixMilli()
		ev.Visitor = &onepxv1.Visitor{VisitorId: visitor[:], Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE, DailyHash: visitor[:]}
		ev.Transport = &onepxv1.Transport{Kind: onepxv1.TransportKind_TRANSPORT_KIND_GIF}
		ev.Page = &onepxv1.Page{Url: "https://shop.example/"}
		if n%2 == 1 {
			ev.Visitor.UserKey = customerKeys.Of("shop", customerOf(n))
		}
		if (n+i)%3 == 0 {
			value := int64(n) * 1_000_000
			ev.Kind, ev.Name = onepxv1.EventKind_EVENT_KIND_ORDER, "purchase"
			ev.Commerce = &onepxv1.Commerce{OrderId: fmt.Sprint("T-", n, "-", i), ValueMicros: &value, Currency: "EUR"}
		}
	})
}

// send publishes events, each to the partition of its number.
func (d *drill) send(events map[int][]*onepxv1.Event) {
	d.t.Helper()
	for p, of := range events {
		var messages []kafka.Message
		for _, ev := range of {
			messages = append(messages, d.record(ev, time.Now()))
		}
		for len(messages) > 0 {
			n := min(len(messages), 2000)
			d.publish(eventlog.TopicEvents, p, messages[:n]...)
			d.sent[p].Add(int64(n))
			messages = messages[n:]
		}
	}
}

// everybody publishes the event number i of all visitors.
func (d *drill) everybody(i int) {
	events := map[int][]*onepxv1.Event{}
	for n := range d.visitors {
		events[n%partitions] = append(events[n%partitions], d.hit(n, i))
	}
	d.send(events)
}

// arriving publishes events of visitors, erased ones among them, until the returned function is called.
func (d *drill) arriving() (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 100; ; i++ {
			events := map[int][]*onepxv1.Event{}
			for n := 7 + i%100; n < d.visitors; n += 100 {
				events[n%partitions] = append(events[n%partitions], d.hit(n, i), d.hit(n-n%100+7, i))
			}
			d.send(events)
			select {
			case <-ended:
				return
			case <-time.After(10 * glance):
			}
		}
	}()
	return func() { close(ended); <-done }
}

// process starts a consumer as a process of its own.
func (d *drill) process() *exec.Cmd {
	d.t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(d.t, err)
	require.NoError(d.t, free.Close())
	cmd := exec.Command(os.Args[0], "run", "--admin-listen", free.Addr().String())
	cmd.Env = append(os.Environ(), asConsumer+"=1", "GORACE=exitcode=0")
	log := &buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(d.t, cmd.Start())
	d.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if d.t.Failed() {
			d.t.Log(log.String())
		}
	})
	return cmd
}

// jobs runs `consumer jobs` until the test ends. It crashes once after each of the steps.
func (d *drill) jobs(steps ...store.RequestStep) (crashes *atomic.Int64) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var root cli
	log := &buffer{}
	parser, err := kong.New(&root, kong.Writers(log, log), kong.BindTo(ctx, (*context.Context)(nil)))
	require.NoError(d.t, err)
	command, err := parser.Parse([]string{"jobs", "--admin-listen", "127.0.0.1:0"})
	require.NoError(d.t, err)
	crashes = &atomic.Int64{}
	root.Jobs.saved = func(step store.RequestStep) error {
		i := slices.Index(steps, step)
		if i < 0 {
			return nil
		}
		steps = slices.Delete(steps, i, i+1)
		crashes.Add(1)
		return errors.New("crash")
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Run() }()
	d.t.Cleanup(func() {
		cancel()
		require.NoError(d.t, <-ended)
		if d.t.Failed() {
			d.t.Log(log.String())
		}
	})
	return crashes
}

// awaitStored waits until every published record is a row, and the ledger has neither gap nor double.
func (d *drill) awaitStored(database string) {
	d.t.Helper()
	var total int64
	for p := range d.sent {
		total += d.sent[p].Load()
	}
	d.eventually(fmt.Sprintf("%d rows in %s", total, database), func() bool {
		return d.one("SELECT count() FROM "+database+".events") >= total
	})
	require.EqualValues(d.t, 0, d.one("SELECT sum(missing_rows) + sum(double_rows) FROM "+database+".offset_ledger"))
	require.Equal(d.t, total, d.one("SELECT count() FROM "+database+".events"))
}

func (d *drill) one(query string) int64 {
	d.t.Helper()
	var n int64
	require.NoError(d.t, d.clickHouse.QueryRow(d.t.Context(), "SELECT toInt64(("+query+"))").Scan(&n))
	return n
}

// list writes the ids of the erased visitors, half of them as the addresses that they have given, as a file for --from.
func (d *drill) list() string {
	d.t.Helper()
	var lines strings.Builder
	for n := range d.visitors {
		if isErased(n) {
			fmt.Fprintf(&lines, "visitor %s\nuid %s\n", visitorOf(n), customerOf(n))
		}
	}
	path := filepath.Join(d.t.TempDir(), "erased")
	require.NoError(d.t, os.WriteFile(path, []byte(lines.String()), 0o600))
	return path
}

// TestAnErasureHoldsWhateverIsKilledAndReplayed is the erasure drill. Visitors are erased while their events still arrive, one
// consumer is stopped and wakes up later, one is killed, and the jobs crash again and again. Then the log is read from its
// first offset into another database. Both must hold nothing of the erased, and the same of everybody else.
func TestAnErasureHoldsWhateverIsKilledAndReplayed(t *testing.T) {
	d := newDrill(t)
	stopped, killed := d.process(), d.process()
	crashes := d.jobs(store.StepBlocked, store.StepFound, store.StepCorrected, store.StepDeleted, store.StepProven)
	for i := range 3 {
		d.everybody(i)
	}
	d.eventually("most is stored", func() bool { return d.one("SELECT count() FROM "+d.database+".events") > int64(d.visitors) })
	list, stopArriving := d.list(), d.arriving()
	before := command(t, "privacy", "verify", "--from", list)
	require.Equal(t, 1, before.code, before.out)

	require.NoError(t, stopped.Process.Signal(syscall.SIGSTOP))
	var erasing sync.WaitGroup
	var erased answer
	erasing.Go(func() {
		var out, errOut bytes.Buffer
		code := execute(t.Context(), []string{"privacy", "erase", "--from", list, "--asked-by", "drill", "--yes"}, &out, &errOut)
		erased = answer{code, out.String(), errOut.String()}
	})
	d.eventually("the erasure has begun", func() bool { return d.one("SELECT count() FROM "+d.database+".privacy_requests") > 0 })
	require.NoError(t, killed.Process.Kill())
	d.process()
	erasing.Wait()
	require.Zero(t, erased.code, erased.errOut)
	require.EqualValues(t, 5, crashes.Load())
	require.NoError(t, stopped.Process.Signal(syscall.SIGCONT))
	// Events of before go on coming, as out of a spool.
	time.Sleep(2 * time.Second) //nolint:forbidigo // for a while
	stopArriving()
	back := d.hit(7, 1000)
	back.ReceivedAtMs = time.Now().UnixMilli()
	d.awaitStored(d.database)

	verified := command(t, "privacy", "verify", "--from", list)
	require.Zero(t, verified.code, verified.out+verified.errOut)
	require.EqualValues(t, 0, d.one("SELECT sum(rows) FROM "+d.database+".held_rows(id = '"+visitorOf(7).String()+"')"))
	require.NotZero(t, d.one("SELECT sum(rows) FROM "+d.database+".held_rows(id = '"+visitorOf(8).String()+"')"))

	replay := d.database + "_replay"
	t.Cleanup(func() {
		require.NoError(t, d.clickHouse.Exec(context.Background(), "DROP DATABASE IF EXISTS "+replay+" SYNC"))
	})
	t.Setenv("ONEPX_CLICKHOUSE_DATABASE", replay)
	t.Setenv("ONEPX_CONSUMER_GROUP", d.group+"-replay")
	migrated := command(t, "migrate")
	require.Zero(t, migrated.code, migrated.errOut)
	d.process()
	d.awaitStored(replay)
	verified = command(t, "privacy", "verify", "--from", list)
	require.Zero(t, verified.code, verified.out+verified.errOut)
	d.requireSame(replay)

	// Who comes again is a new matter.
	d.send(map[int][]*onepxv1.Event{1: {back}})
	d.awaitStored(d.database)
	require.EqualValues(t, 1, d.one("SELECT count() FROM "+d.database+".events WHERE visitor_id = '"+visitorOf(7).String()+"'"))
}

// requireSame compares everything that is made of events with that of another database, in which nothing was ever erased.
func (d *drill) requireSame(other string) {
	d.t.Helper()
	for table, columns := range map[string]string{
		"events": "* EXCEPT (batch_first, batch_last, batch_day, declared_at, insert_until)", "event_ids": "* EXCEPT batch_day",
		"conversion_hits": "* EXCEPT expires_at", "order_entries": "* EXCEPT expires_at", "touches": "* EXCEPT expires_at",
		"identities": "* EXCEPT expires_at", "visitor_events": "* EXCEPT expires_at",
		"visitors":      "site_id, visitor_id, min(first_day), max(last_day), max(returned), max(on_site)",
		"visitor_days":  "site_id, site_day, channel, visitor_kind, visitor_id, daily_hash, sum(page_views), sum(events), sum(on_site)",
		"consent_sums":  "site_id, site_day, kind, decided_by, reason, measure, profile, share, cookie, is_bot, sum(hits)",
		"traffic_daily": "site_id, site_day, channel, sum(page_views), sum(events), sum(machine_page_views), sum(machine_events), sum(duplicates)",
	} {
		of := func(database string) string {
			query := "SELECT " + columns + " FROM " + database + "." + table
			switch {
			case table == "events":
				query += " WHERE outcome IN ('event', 'duplicate')"
			case !strings.HasPrefix(columns, "*"):
				query += " GROUP BY ALL"
			}
			return "SELECT count(), sum(cityHash64(row)) FROM (SELECT toString(tuple(*)) AS row FROM (" + query + "))"
		}
		require.Equal(d.t, d.query(of(other)), d.query(of(d.database)), table)
	}
}

func TestARequestIsAnsweredAlikeWhetherOrNotTheIDIsKnown(t *testing.T) {
	d := newDrill(t)
	d.visitors = 20
	d.everybody(0)
	d.start = time.Now()
	d.process()
	d.jobs()
	d.awaitStored(d.database)

	// Access: everything, and nothing of others.
	accessed := command(t, "privacy", "access", "--uid", " Customer-3@Example.com ", "--asked-by", "ticket 1")
	require.Zero(t, accessed.code, accessed.errOut)
	tables := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(accessed.out), "\n") {
		var held struct {
			Table string
			Row   map[string]any
		}
		require.NoError(t, json.Unmarshal([]byte(line), &held))
		require.Equal(t, uuid.UUID(customerKeys.Of("shop", customerOf(3))).String(), held.Row["user_key"])
		tables[held.Table]++
	}
	require.Equal(t, 1, tables["events"])
	shown := command(t, "privacy", "show", "--uid", customerOf(3))
	require.Zero(t, shown.code, shown.errOut)
	require.Contains(t, shown.out, visitorOf(3).String())

	// Nothing happens without --yes.
	dry := command(t, "privacy", "erase", "--uid", customerOf(3), "--with-linked", "--asked-by", "ticket 2")
	require.Contains(t, dry.out, "2 ids would be erased; repeat with --yes")
	require.Equal(t, 1, command(t, "privacy", "verify", "--uid", customerOf(3)).code)

	shapes := map[string]string{}
	for name, visitor := range map[string]uuid.UUID{"known": visitorOf(3), "unknown": uuid.New()} {
		erased := command(t, "privacy", "erase", "--visitor", visitor.String(), "--asked-by", "ticket 3", "--yes")
		require.Zero(t, erased.code, erased.errOut)
		_, steps, _ := strings.Cut(erased.out, "request ")
		var words []string
		for _, line := range strings.Split(steps, "\n") {
			fields := strings.Fields(line)
			if len(fields) == 2 {
				words = append(words, fields[1])
			}
		}
		shapes[name] = words[len(words)-1]
		require.Contains(t, erased.out, "copies in Kafka are gone by")
		status := command(t, "privacy", "status", strings.TrimSuffix(strings.Fields(steps)[0], ":"))
		require.Zero(t, status.code, status.errOut)
		require.Contains(t, status.out, "ticket 3")
		require.NotContains(t, status.out, visitor.String())
	}
	require.Equal(t, shapes["known"], shapes["unknown"])
	d.awaitStored(d.database)
	require.Zero(t, command(t, "privacy", "retention").code)

	// Bad input gets an answer that repeats no address.
	for _, bad := range []string{"visitor x", "email anna@example.com", "uid  "} {
		path := filepath.Join(t.TempDir(), "bad")
		require.NoError(t, os.WriteFile(path, []byte("\n"+bad+"\n"), 0o600))
		refused := command(t, "privacy", "show", "--from", path)
		require.Equal(t, 1, refused.code)
		require.NotContains(t, refused.errOut, "anna")
	}
	require.Equal(t, 1, command(t, "privacy", "show").code)
	// A record that is no job does not stop the others.
	d.publish(eventlog.TopicJobs, 0, kafka.Message{Time: time.Now(), Value: []byte("{}")})
	require.Zero(t, command(t, "privacy", "erase", "--visitor", uuid.NewString(), "--asked-by", "ticket 4", "--yes").code)
	var personal bytes.Buffer
	for _, row := range d.query("SELECT * FROM %s.privacy_requests") {
		personal.WriteString(row)
	}
	require.NotContains(t, personal.String(), visitorOf(3).String())
}
