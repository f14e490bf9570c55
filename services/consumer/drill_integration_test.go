//go:build integration

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/personal"
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

// newDrill makes a drill of ONEPX_DRILL_VISITORS visitors, 2000 unless it is set. An erasure waits twice the deadline.
func newDrill(t *testing.T, deadline string) *drill {
	t.Helper()
	visitors := 2000
	if text := os.Getenv("ONEPX_DRILL_VISITORS"); text != "" {
		var err error
		visitors, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	w := fresh(t)
	t.Setenv("ONEPX_INSERT_DEADLINE", deadline)
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
	stop = sync.OnceFunc(func() { close(ended); <-done })
	d.t.Cleanup(stop)
	return stop
}

// gateway forwards connections to ClickHouse until the test ends, and ends those of processes that are killed in an orderly
// way: a ClickHouse within a library does not survive a connection that is reset (tried on 26.7).
func (d *drill) gateway() string {
	d.t.Helper()
	target := os.Getenv("ONEPX_CLICKHOUSE_ADDR")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(d.t, err)
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			forwarding.Go(func() { forward(client, target) })
		}
	})
	d.t.Cleanup(func() {
		require.NoError(d.t, listener.Close())
		forwarding.Wait()
	})
	return listener.Addr().String()
}

// forward joins a connection with a new one to the target until the client is gone, or the target.
func forward(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var answers sync.WaitGroup
	answers.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
		_, _ = io.Copy(io.Discard, server)
	})
	_, _ = io.Copy(server, client)
	if tcp, ok := server.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	answers.Wait()
}

// process starts a consumer as a process of its own.
func (d *drill) process() *exec.Cmd {
	d.t.Helper()
	address := d.gateway()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(d.t, err)
	require.NoError(d.t, free.Close())
	cmd := exec.Command(os.Args[0], "run", "--admin-listen", free.Addr().String())
	cmd.Env = append(os.Environ(), asConsumer+"=1", "ONEPX_CLICKHOUSE_ADDR="+address)
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
func (d *drill) jobs(steps ...personal.RequestStep) (crashes *atomic.Int64) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var root cli
	log := &buffer{}
	parser, err := kong.New(&root, kong.Writers(log, log), kong.BindTo(ctx, (*context.Context)(nil)))
	require.NoError(d.t, err)
	command, err := parser.Parse([]string{"jobs", "--admin-listen", "127.0.0.1:0"})
	require.NoError(d.t, err)
	crashes = &atomic.Int64{}
	root.Jobs.saved = func(step personal.RequestStep) error {
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

// total is the number of published records.
func (d *drill) total() (n int64) {
	for p := range d.sent {
		n += d.sent[p].Load()
	}
	return n
}

// awaitStored waits until every published record is a row, and the ledger has neither gap nor double.
func (d *drill) awaitStored(database string) {
	d.t.Helper()
	total := d.total()
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

// requireSame compares everything that is made of events with that of another database, in which nothing was ever erased.
func (d *drill) requireSame(other string) {
	d.t.Helper()
	for table, columns := range map[string]string{
		"events": "* EXCEPT (batch_first, batch_last, batch_day, declared_at, insert_until)", "event_ids": "* EXCEPT batch_day",
		"conversion_hits": "* EXCEPT expires_at", "order_entries": "* EXCEPT expires_at", "touches": "* EXCEPT expires_at",
		"identities": "* EXCEPT expires_at", "visitor_events": "* EXCEPT expires_at", "segment_hits": "* EXCEPT expires_at", "mail_hits": "* EXCEPT expires_at",
		"profile_refusals": "site_id, visitor_id, max(refused_at)",
		"product_interest": "site_id, visitor_id, product, max(viewed_at), max(carted_at), max(bought_at), min(first_at), max(price), max(category)",
		"share_consents":   "site_id, visitor_id, max(allowed_at), max(refused_at)",
		"visitor_facts":    "site_id, visitor_id, fact, subject, max(newest_at), max(detail)",
		"visitors":         "site_id, visitor_id, min(first_day), max(last_day), max(returned), max(on_site)",
		"visitor_days":     "site_id, site_day, channel, visitor_kind, visitor_id, daily_hash, sum(page_views), sum(events), sum(on_site)",
		"consent_sums":     "site_id, site_day, kind, decided_by, reason, measure, profile, share, cookie, is_bot, sum(hits)",
		"traffic_daily":    "site_id, site_day, channel, sum(page_views), sum(events), sum(machine_page_views), sum(machine_events), sum(duplicates)",
	} {
		of := func(database string) string {
			query := "SELECT " + columns + " FROM " + database + "." + table
			switch {
			case table == "events":
				query += " WHERE outcome IN ('event', 'duplicate')"
			case table == "consent_sums":
				// What was erased in one database was suppressed from the beginning in the other.
				query += " WHERE reason = '' GROUP BY ALL"
			case !strings.HasPrefix(columns, "*"):
				query += " GROUP BY ALL"
			}
			return "SELECT count(), sum(cityHash64(row)) FROM (SELECT toString(tuple(*)) AS row FROM (" + query + "))"
		}
		// The last batch is in events a moment before it is in the facts.
		d.eventually(table+" is the same", func() bool { return slices.Equal(d.query(of(other)), d.query(of(d.database))) })
	}
}
