//go:build integration

package main

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/eventlog"
)

func TestReplayHealsAGapBesideARunningConsumer(t *testing.T) {
	w := begun(t)
	recipient := uuid.New()
	w.publish(eventlog.TopicEvents, 1, w.record(event(func(ev *onepxv1.Event) {
		ev.Kind, ev.Name, ev.Mail = onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE, "email_unsubscribe", &onepxv1.Mail{RecipientKey: recipient[:]}
	}), time.Now()))
	w.commit(1, 1, idle) // it is never stored
	w.start()
	stop := w.jobs()
	w.publish(eventlog.TopicEvents, 0, append(w.views(5), kafka.Message{Time: time.Now(), Value: []byte("\xff no event")})...)
	w.awaitRows(6)
	w.publish(eventlog.TopicEvents, 0, w.views(4)...)
	stored := w.awaitRows(10)
	w.eventually("all is acknowledged", func() bool { offset, _ := w.position(0); return offset == 10 })
	sums := func() []string {
		return w.query("SELECT (SELECT sum(events) FROM %s.traffic_daily) AS traffic, (SELECT sum(events) FROM %s.visitor_days) AS visitors, (SELECT count() FROM %s.event_ids) AS ids")
	}
	before := sums()
	require.NoError(t, w.clickHouse.Exec(t.Context(), "DELETE FROM "+w.database+".events WHERE kafka_offset BETWEEN 2 AND 6 SETTINGS lightweight_deletes_sync = 2"))
	gaps := "SELECT kafka_partition AS p, first_offset AS a, last_offset AS b FROM %s.ledger_gaps(from = today() - 1, to = today() + 1)"
	require.Equal(t, []string{`{"p":0,"a":2,"b":6}`}, w.query(gaps))

	dry := command(t, "replay", "--dry-run")
	require.Zero(t, dry.code, dry.errOut)
	require.Equal(t, "partition 0: offsets 2 to 6 are missing\npartition 0: missing=5 stored=0 expired=0 gone=0\n"+
		"partition 1: offsets 0 to 0 are missing\npartition 1: missing=1 stored=0 expired=0 gone=0\ntotal: missing=6 stored=0 expired=0 gone=0\n", dry.out)
	early := command(t, "replay", "--partition", "0", "--from", "2", "--to", "10")
	require.Equal(t, 1, early.code)
	require.Contains(t, early.errOut, "offset 10 is not acknowledged: the consumers store what comes from offset 10 on")

	w.eventually("nobody looks at it any more", func() bool {
		return len(w.query("SELECT 1 FROM %s.audience_positions FINAL WHERE name = 'unsubscribes/onepx.events' AND partition = 1 AND position = 1")) == 1
	})
	w.publish(eventlog.TopicEvents, 0, w.views(3)...)
	healed := command(t, "replay")
	require.Zero(t, healed.code, healed.errOut)
	require.Contains(t, healed.out, "partition 0: missing=5 stored=5 (dead=1 event=4) expired=0 gone=0\n")
	require.Contains(t, healed.out, "partition 1: missing=1 stored=1 (event=1) expired=0 gone=0\n1 of the rows are new: restart the consumers")
	require.Equal(t, append(stored, "0/10 event", "0/11 event", "0/12 event", "1/0 event"), w.awaitRows(14))
	require.Empty(t, w.query(gaps))
	require.JSONEq(t, `{"traffic":9,"visitors":9,"ids":9}`, before[0])
	w.eventually("views have no more than the new rows", func() bool { return sums()[0] == `{"traffic":13,"visitors":13,"ids":13}` })
	w.eventually("who wants no more mail is told", func() bool { return len(w.gone()) == 1 && w.gone()[0].RecipientKey == recipient })
	stop()
	again := command(t, "replay")
	require.Zero(t, again.code, again.errOut)
	require.Contains(t, again.out, "total: missing=0 stored=0 expired=0 gone=0\n")

	dead := command(t, "deadletter", "replay")
	require.Zero(t, dead.code, dead.errOut)
	require.Equal(t, "letters=1 undecodable=1 not_acknowledged=0 settled=0 missing=0 foreign=0 dead=0 stored=0 expired=0\n", dead.out)
	require.Len(t, letters(t), 1)
}
