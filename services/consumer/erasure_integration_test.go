//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/personal"
)

// TestAnErasureHoldsWhateverIsKilledAndReplayed is the erasure drill. Visitors are erased while their events still arrive, one
// consumer is stopped and wakes up later, one is killed, and the jobs crash again and again. Then the log is read from its
// first offset into another database. Both must hold nothing of the erased, and the same of everybody else.
func TestAnErasureHoldsWhateverIsKilledAndReplayed(t *testing.T) {
	d := newDrill(t, "3s")
	stopped, killed := d.process(), d.process()
	crashes := d.jobs(personal.StepBlocked, personal.StepFound, personal.StepCorrected, personal.StepDeleted, personal.StepProven)
	for i := range 3 {
		d.everybody(i)
	}
	d.eventually("some of them are stored", func() bool {
		return d.one("SELECT sum(rows) FROM "+d.database+".held_rows(id = '"+visitorOf(7).String()+"')") > 0
	})
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
	during := d.total()
	d.eventually("more arrives", func() bool { return d.total() > during+1000 })
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

func TestARequestIsAnsweredAlikeWhetherOrNotTheIDIsKnown(t *testing.T) {
	d := newDrill(t, "1s")
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

	for _, visitor := range []uuid.UUID{visitorOf(3), uuid.New()} {
		erased := command(t, "privacy", "erase", "--visitor", visitor.String(), "--asked-by", "ticket 3", "--yes")
		require.Zero(t, erased.code, erased.errOut)
		_, steps, _ := strings.Cut(erased.out, "request ")
		require.Contains(t, erased.out, "copies in Kafka are gone by")
		status := command(t, "privacy", "status", strings.TrimSuffix(strings.Fields(steps)[0], ":"))
		require.Zero(t, status.code, status.errOut)
		require.Contains(t, status.out, "ticket 3")
		require.NotContains(t, status.out, visitor.String())
	}
	require.EqualValues(t, 1, d.one("SELECT uniqExact(steps) FROM (SELECT arraySort(groupArray(step)) AS steps FROM "+d.database+".privacy_requests WHERE kind = 'erase' GROUP BY request_id)"))
	require.EqualValues(t, 1, d.one("SELECT uniqExact(counted) FROM (SELECT arraySort(groupArray((step, table_name))) AS counted FROM "+d.database+".privacy_counts GROUP BY request_id)"))
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
