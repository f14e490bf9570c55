//go:build integration

package audiences_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/suppression"
)

func TestSuppressedVisitorsAreThoseOfTheListWheneverItIsRead(t *testing.T) {
	w := newWorld(t)
	anna, bert, cleo, dora, user := visitor("anna"), visitor("bert"), visitor("cleo"), visitor("dora"), uuid.New()
	require.NoError(t, w.conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO %s.identities (site_id, user_key, visitor_id, expires_at) VALUES ('shop', '%s', '%s', now() + 1000), ('blog', '%s', '%s', now() + 1000)",
		w.database, user, cleo, user, dora)))
	want := func(out ...uuid.UUID) {
		t.Helper()
		require.EqualValues(t, len(out), w.one("SELECT countIf(wished) FROM %s.suppressed_visitors FINAL"))
		for _, id := range out {
			require.EqualValues(t, 1, w.one("SELECT count() FROM %s.suppressed_visitors FINAL WHERE wished AND id_hash = cityHash64(toUUID('"+id.String()+"'))"), id)
		}
	}
	w.wish(suppression.Visitor, anna, suppression.Always)
	w.wish(suppression.Profiling, anna, suppression.Always)
	w.wish(suppression.Profiling, bert, suppression.Always)
	w.wish(suppression.User, user, suppression.Always)
	w.wish(suppression.Recipient, visitor("emil"), suppression.Always)
	w.wish(suppression.Visitor.Erased(), visitor("fred"), suppression.Always)
	w.restart()
	want(anna, bert, cleo, dora)
	rows := w.one("SELECT count() FROM %s.suppressed_visitors")
	w.restart()
	require.Equal(t, rows, w.one("SELECT count() FROM %s.suppressed_visitors"), "nothing new is written")

	w.wish(suppression.Visitor, anna, nil)
	w.wish(suppression.Profiling, bert, nil)
	w.wish(suppression.Visitor, dora, suppression.Always)
	w.wish(suppression.User, user, nil)
	w.restart()
	want(anna, dora)
	w.restart()
	want(anna, dora)

	// The list was made anew, or its last word on anna was removed while no process ran.
	w.list, w.wishes = suppression.New(), 0
	w.wish(suppression.Visitor, dora, suppression.Always)
	w.restart()
	want(dora)
	w.wish(suppression.Visitor, dora, nil)
	w.restart()
	want()
}

func TestARunningStreamTakesWishesWithinASecond(t *testing.T) {
	w := newWorld(t)
	w.segment(func(s *store.Segment) { s.LivesMs = hours(1000) })
	w.now = time.Now().UTC()
	w.store(hit{visitor: "anna", step: "enter"})
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1})
	connection := kafkaconn.Settings{Brokers: []string{broker.Addr()}}
	client, err := connection.Client()
	require.NoError(t, err)
	defer kafkaconn.Close(client)
	dialer, err := connection.Dialer()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.stream.Run(ctx) })
	running.Go(func() {
		_ = w.list.Follow(ctx, suppression.Source{Brokers: connection.Brokers, Dialer: dialer, Client: client, Log: slog.New(slog.DiscardHandler), Wished: w.stream.Wished})
	})
	stop := func() {
		cancel()
		running.Wait()
	}
	defer stop()
	list := suppression.Writer{Client: client}
	id := visitor("anna")
	entry := []suppression.Entry{{Kind: suppression.Visitor, ID: id[:]}}
	eventually := func(query string) {
		t.Helper()
		require.Eventually(t, func() bool { return w.one(query) == 1 }, 20*time.Second, 50*time.Millisecond, query)
	}
	eventually("SELECT count() FROM %s.audience_changes WHERE type = 'audience_entered'")

	// A second process waits.
	second := store.NewAudiences(w.conn, w.database)
	_, _, err = second.Lock(t.Context())
	require.ErrorIs(t, err, store.ErrStreaming)

	soon, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	require.NoError(t, list.Suppress(soon, entry))
	eventually("SELECT count() FROM %s.audience_changes WHERE type = 'audience_left' AND reason = 'suppressed'")
	eventually("SELECT count() FROM %s.suppressed_visitors FINAL WHERE wished")
	require.NoError(t, list.Lift(soon, entry))
	eventually("SELECT count() = 2 FROM %s.audience_changes WHERE type = 'audience_entered'")
	stop()
	locked, unlock, err := second.Lock(t.Context())
	require.NoError(t, err)
	require.NoError(t, locked.Err())
	unlock()
}
