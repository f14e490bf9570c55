//go:build integration

package replay_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/replay"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/suppression"
)

// TestReplay has one database for all, as it takes seconds to make; each case has partitions of its own.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	yesterday := w.now.Add(-12 * time.Hour)
	for i, tc := range []struct {
		name string
		test func(w *world, p int, began time.Time)
	}{
		{"rows that events has lost come back, and facts that were kept are not made again", lostRows},
		{"rows that were never stored are stored, and their facts made", neverStored},
		{"an event that counts behind the gap does not count in it too", laterTwin},
		{"a run that is killed at any step is finished by the next one", killed},
		{"a view that fails is filled by the next run", failingView},
		{"what is not acknowledged is refused", notAcknowledged},
		{"records that Kafka does not hold any more are said to be gone", gone},
		{"and so are those that expire while they are read", goneMeanwhile},
		{"holes that are near each other are read at once", manyHoles},
		{"rows that would have been removed by now for their age stay away", expired},
		{"rows of which it is not known whether views have them go past the views and are listed", unknown},
		{"facts are known also where a collector's clock was days ahead", clockAhead},
		{"what was suppressed since then keeps nothing", suppressedSince},
		{"what was suppressed then does not come back when the wish is lifted", suppressedThen},
		{"another topic under the same name is not mixed in", topicChanged},
		{"dead letters that can be decoded now become events", deadLetters},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := *w
			now.t, now.positions, now.logs = t, map[int]int64{}, map[int]*partitionLog{}
			now.exec("TRUNCATE TABLES FROM %s NOT LIKE 'schema_migrations'")
			tc.test(&now, 2*i, yesterday)
			require.Empty(t, now.lines("SELECT toString(id) FROM %s.replays FINAL WHERE NOT done"))
			require.Empty(t, now.lines("SELECT name FROM system.tables WHERE database = '%s' AND startsWith(name, 'events_')"))
		})
	}
}

func lostRows(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, 0, 1, 2, 3, -1, 4, 5, 3, -2, 6, 7, 8, 9, 10, 11)
	w.consume(p, 0, 4)
	w.consume(p, 5, 9)
	w.consume(p, 10, 14)
	rows, facts := w.rows(p), w.facts("shop")
	require.Len(w.t, rows, 15)
	w.lose(p, 3, 11)
	dry, err := w.replay(p, func(r *replay.Request) { r.DryRun = true })
	require.NoError(w.t, err)
	require.Contains(w.t, dry, fmt.Sprintf("partition %d: offsets 3 to 11 are missing\n", p))
	require.Len(w.t, w.rows(p), 6)

	require.Equal(w.t, "missing=9 stored=9 (dead=1 duplicate=1 event=6 missing=1) expired=0 gone=0", w.healed(p))
	require.Equal(w.t, rows, w.rows(p))
	require.Equal(w.t, facts, w.facts("shop"))
	require.Equal(w.t, "missing=0 stored=0 expired=0 gone=0", w.healed(p))

	// Also at the end, of which no later row tells.
	w.lose(p, 12, 14)
	require.Equal(w.t, "missing=3 stored=3 (event=3) expired=0 gone=0", w.healed(p))
	require.Equal(w.t, rows, w.rows(p))
	require.Equal(w.t, facts, w.facts("shop"))
}

func neverStored(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, upTo(30)...)
	w.publish(p+1, "twin", began, upTo(30)...)
	w.consume(p+1, 0, 29)
	w.consume(p, 0, 4)
	w.consume(p, 20, 29)
	// Of a part of them only the rows are lost.
	w.consume(p, 10, 14)
	w.lose(p, 10, 14)
	require.Equal(w.t, "missing=15 stored=15 (event=15) expired=0 gone=0", w.healed(p))
	require.Equal(w.t, w.facts("twin"), w.facts("shop"))
	require.Len(w.t, w.rows(p), 30)
	require.Equal(w.t, []string{"5-9 made", "10-14 kept", "15-19 made"},
		w.lines("SELECT concat(toString(first_offset), '-', toString(last_offset), ' ', facts) FROM %s.replays FINAL WHERE kafka_partition = "+fmt.Sprint(p)+" ORDER BY first_offset"))
}

func laterTwin(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, 200, 201, 202, 201, 203)
	w.consume(p, 0, 0)
	w.consume(p, 3, 4)
	require.Equal(w.t, "missing=2 stored=2 (duplicate=1 event=1) expired=0 gone=0", w.healed(p))
	require.Equal(w.t, "0 event, 1 duplicate, 2 event, 3 event, 4 event", w.outcomes(p))
}

func killed(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, upTo(30)...)
	w.publish(p+1, "twin", began, upTo(30)...)
	w.consume(p+1, 0, 29)
	w.consume(p, 0, 4)
	w.consume(p, 10, 29)
	w.lose(p, 20, 24)
	for _, w.dies = range []replay.Step{replay.StepBegun, replay.StepStored, replay.StepBegun, replay.StepStored, replay.StepBegun} {
		said, err := w.replay(p)
		if err == nil {
			break
		}
		require.ErrorIs(w.t, err, errKilled, said)
		_, _, err = store.NewRebuilds(w.conn, w.schema).Lock(w.t.Context())
		require.ErrorIs(w.t, err, store.ErrRebuilding)
		require.ErrorContains(w.t, err, "an interrupted `consumer replay` must be run to its end first")
	}
	w.dies = ""
	w.healed(p)
	require.Len(w.t, w.rows(p), 30)
	require.Equal(w.t, w.facts("twin"), w.facts("shop"))
}

func failingView(w *world, p int, began time.Time) {
	w.exec("CREATE TABLE %s.switch (x UInt8) ENGINE = MergeTree ORDER BY x")
	w.exec("CREATE TABLE %s.counted (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000")
	w.exec("CREATE MATERIALIZED VIEW %s.counting TO %s.counted AS SELECT count() + throwIf((SELECT count() FROM %s.switch) > 0) AS n FROM %s.events")
	w.publish(p, "shop", began, upTo(10)...)
	w.publish(p+1, "twin", began, upTo(10)...)
	w.consume(p+1, 0, 9)
	w.consume(p, 0, 4)
	w.exec("INSERT INTO %s.switch VALUES (1)")
	_, err := w.replay(p)
	require.Error(w.t, err)
	w.exec("TRUNCATE TABLE %s.switch")
	w.healed(p)
	require.Len(w.t, w.rows(p), 10)
	require.Equal(w.t, w.facts("twin"), w.facts("shop"))
	require.Equal(w.t, []string{"20"}, w.lines("SELECT toString(sum(n)) FROM %s.counted"))
	w.exec("DROP VIEW %s.counting SYNC")
}

func notAcknowledged(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, upTo(10)...)
	w.consume(p, 0, 4)
	w.positions[p] = 5
	require.Equal(w.t, "missing=0 stored=0 expired=0 gone=0", w.healed(p))
	_, err := w.replay(p, func(r *replay.Request) { r.From, r.To = 3, 7 })
	require.ErrorContains(w.t, err, "offset 7 is not acknowledged: the consumers store what comes from offset 5 on, and --to can be 4 at most")
	_, err = w.replay(p + 9)
	require.ErrorContains(w.t, err, fmt.Sprint("the topic has no partition ", p+9))
}

func gone(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, upTo(10)...)
	w.consume(p, 0, 1)
	w.consume(p, 6, 9)
	w.logs[p].first = 4
	said, err := w.replay(p, func(r *replay.Request) { r.From = 0 })
	require.ErrorIs(w.t, err, replay.ErrGone)
	require.ErrorContains(w.t, err, "2 offsets stay without a row")
	require.Contains(w.t, said, fmt.Sprintf("partition %d: offsets 2 to 3 are missing, and Kafka does not hold them any more: it begins at 4", p))
	require.Equal(w.t, "0 event, 1 event, 4 event, 5 event, 6 event, 7 event, 8 event, 9 event", w.outcomes(p))
}

func goneMeanwhile(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, upTo(10)...)
	w.consume(p, 0, 1)
	w.consume(p, 6, 9)
	w.logs[p].expires = 4
	said, err := w.replay(p)
	require.ErrorIs(w.t, err, replay.ErrGone)
	require.Contains(w.t, said, "missing=4 stored=2 (event=2) expired=0 gone=2\n")
}

func manyHoles(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, upTo(30)...)
	w.consume(p, 0, 29)
	rows, facts := w.rows(p), w.facts("shop")
	w.lose(p, 3, 5)
	w.lose(p, 7, 7)
	w.lose(p, 20, 21)
	require.Equal(w.t, "missing=6 stored=6 (event=6) expired=0 gone=0", w.healed(p))
	require.Equal(w.t, 2, w.logs[p].opened, "once to check the topic")
	require.Equal(w.t, rows, w.rows(p))
	require.Equal(w.t, facts, w.facts("shop"))
}

func expired(w *world, p int, _ time.Time) {
	w.publish(p, "brief", w.now.AddDate(0, 0, -31), upTo(10)...)
	dry, err := w.replay(p, func(r *replay.Request) { r.DryRun = true })
	require.NoError(w.t, err)
	require.Contains(w.t, dry, "missing=10 stored=0 expired=10 gone=0\n")
	require.Equal(w.t, "missing=10 stored=0 expired=10 gone=0", w.healed(p))
}

func unknown(w *world, p int, _ time.Time) {
	w.publish(p, "shop", w.now.AddDate(0, 0, -20), 0, 1, 2, 1, 4, 5, 6, 7, 8, 9)
	w.consume(p, 0, 9)
	w.exec("TRUNCATE TABLE %s.event_ids") // it forgets ids of that age
	rows, facts := w.rows(p), w.facts("shop")
	w.lose(p, 2, 5)
	require.Equal(w.t, "missing=4 stored=4 (duplicate=1 event=3) expired=0 gone=0", w.healed(p))
	require.Equal(w.t, rows, w.rows(p))
	require.Equal(w.t, facts, w.facts("shop"))
	require.Equal(w.t, []string{"2-5 replayed"}, w.lines("SELECT concat(toString(first_offset), '-', toString(last_offset), ' ', why) FROM %s.view_rebuilds FINAL"))
	blocks, err := store.Unsubscribes{Audiences: store.NewAudiences(w.conn, w.database)}.Replayed(w.t.Context(), w.now.AddDate(0, 0, -1))
	require.NoError(w.t, err)
	require.Len(w.t, blocks, 1, "nobody may have been told of its unsubscribes")
}

func clockAhead(w *world, p int, began time.Time) {
	w.ahead = 3 * 24 * time.Hour
	w.publish(p, "shop", began, upTo(10)...)
	w.consume(p, 0, 4)
	w.consume(p, 5, 9)
	facts := w.facts("shop")
	w.lose(p, 5, 9)
	require.Equal(w.t, "missing=5 stored=5 (event=5) expired=0 gone=0", w.healed(p))
	require.Equal(w.t, facts, w.facts("shop"))
}

func suppressedSince(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, upTo(10)...)
	w.consume(p, 0, 9)
	w.lose(p, 3, 6)
	visitor := uuid.NewSHA1(uuid.Nil, []byte("visitor4"))
	w.list.Apply(kafka.Message{Key: suppression.Key(suppression.Visitor.Erased(), visitor[:]), Value: suppression.Until(w.now)})
	require.Equal(w.t, "missing=4 stored=4 (event=3 suppressed=1) expired=0 gone=0", w.healed(p))
	require.Equal(w.t, []string{uuid.Nil.String()}, w.lines("SELECT toString(visitor_id) FROM %s.events WHERE kafka_offset = 4 AND kafka_partition = "+strconv.Itoa(p)))
}

func suppressedThen(w *world, p int, began time.Time) {
	visitor := uuid.NewSHA1(uuid.Nil, []byte("visitor1")) // of 1 and 6
	w.list, w.wishes = suppression.New(), suppression.New()
	w.wishes.Apply(kafka.Message{Key: suppression.Key(suppression.Visitor.Erased(), visitor[:]), Value: suppression.Until(w.now)})
	w.publish(p, "shop", began, upTo(10)...)
	// A consumer of then could not decode 8.
	good := w.logs[p].records[8]
	w.letters = []consume.DeadLetter{{Partition: store.Partition{Topic: topic, ID: p}, Record: good}}
	w.logs[p].records[8].Value = []byte("too new")
	w.consume(p, 0, 9)
	w.logs[p].records[8] = good
	rows := w.rows(p)
	w.lose(p, 1, 8)
	require.Equal(w.t, "missing=8 stored=8 (event=6 suppressed=2) expired=0 gone=0", w.healed(p))
	now := w.rows(p)
	require.Equal(w.t, rows[:8], now[:8])
	require.Equal(w.t, "0 event, 1 suppressed, 2 event, 3 event, 4 event, 5 event, 6 suppressed, 7 event, 8 event, 9 event", w.outcomes(p))
}

func topicChanged(w *world, p int, began time.Time) {
	w.publish(p, "shop", began, upTo(10)...)
	w.consume(p, 0, 1)
	w.consume(p, 5, 9)
	w.publish(p, "shop", began.Add(time.Hour), upTo(20)...)
	w.positions[p] = 10
	_, err := w.replay(p)
	require.ErrorContains(w.t, err, "topic_changed: the record at offset 9 is not the one that is stored")
	require.Len(w.t, w.rows(p), 7)
}

func deadLetters(w *world, p int, began time.Time) {
	numbers := []int{0, 1, 2, 3, -1, 5, 3, 7}
	w.publish(p, "shop", began, numbers...)
	w.publish(p+1, "twin", began, numbers...)
	good := w.logs[p].records
	w.consume(p+1, 0, 7)
	// A consumer of before could not decode 2, 3 and 5: their rows have the hash of what they were.
	letters := make([]consume.DeadLetter, 0, 5)
	for _, offset := range []int{2, 3, 4, 5} {
		letters = append(letters, consume.DeadLetter{Partition: store.Partition{Topic: topic, ID: p}, Record: good[offset], Reason: "schema_too_new"})
	}
	old := append([]kafka.Message(nil), good...)
	for _, offset := range []int{2, 3, 5} {
		old[offset].Value = []byte("too new")
	}
	w.logs[p].records = old
	w.consume(p, 0, 7)
	w.logs[p].records = good
	for _, letter := range letters {
		w.exec(fmt.Sprintf("ALTER TABLE %%s.events UPDATE record_hash = %d WHERE kafka_partition = %d AND kafka_offset = %d SETTINGS mutations_sync = 2", consume.RecordHash(letter.Record), p, letter.Record.Offset))
	}
	require.Equal(w.t, "0 event, 1 event, 2 dead, 3 dead, 4 dead, 5 dead, 6 event, 7 event", w.outcomes(p))
	foreign := letters[0]
	foreign.Record.Time = began.Add(-time.Hour)
	letters = append(letters, foreign)
	w.letters = letters
	run := func(dry bool) (string, error) {
		var lines []string
		err := replay.DeadLetters(w.t.Context(), w.deps(&lines), dry)
		return last(lines), err
	}
	said, err := run(true)
	require.NoError(w.t, err)
	require.Equal(w.t, "letters=5 undecodable=1 not_acknowledged=0 settled=0 missing=0 foreign=1 dead=3 stored=0 expired=0", said)
	for _, w.dies = range []replay.Step{replay.StepBegun, replay.StepStored} {
		_, err = run(false)
		require.ErrorIs(w.t, err, errKilled)
	}
	w.dies = ""
	said, err = run(false)
	require.NoError(w.t, err)
	require.Contains(w.t, said, "stored=1 (event=1)")
	require.Equal(w.t, "0 event, 1 event, 2 event, 3 duplicate, 4 dead, 5 event, 6 event, 7 event", w.outcomes(p))
	said, err = run(false)
	require.NoError(w.t, err)
	require.Equal(w.t, "letters=5 undecodable=1 not_acknowledged=0 settled=4 missing=0 foreign=0 dead=0 stored=0 expired=0", said)
	require.Equal(w.t, w.facts("twin")["traffic_daily"], w.facts("shop")["traffic_daily"])
	require.Len(w.t, w.letters, 5, "they are letters already")

	// All rows that say dead go at once.
	w.exec(fmt.Sprintf("ALTER TABLE %%s.events UPDATE outcome = 'dead' WHERE kafka_partition = %d AND kafka_offset IN (2, 5) SETTINGS mutations_sync = 2", p))
	changes := "SELECT toString(count()) FROM system.mutations WHERE database = '%s' AND table = 'events'"
	before, err := strconv.Atoi(w.lines(changes)[0])
	require.NoError(w.t, err)
	_, err = run(false)
	require.NoError(w.t, err)
	require.Equal(w.t, "0 event, 1 event, 2 event, 3 duplicate, 4 dead, 5 event, 6 event, 7 event", w.outcomes(p))
	require.Equal(w.t, []string{strconv.Itoa(before + 1)}, w.lines(changes))
}

func last(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}
