package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/segments"
)

// slowDatabase answers what is cached of a site: how often rules were read before, as the segment, and that there is no feed.
type slowDatabase struct {
	driver.Conn
	takes time.Duration
	fails error
	reads int
}

func (d *slowDatabase) Select(ctx context.Context, into any, _ string, _ ...any) error {
	d.reads++
	name := string(rune('0' + d.reads))
	select {
	case <-time.After(d.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if rules, ok := into.(*[]segments.Rule); ok {
		*rules = []segments.Rule{{Segment: name}}
	}
	return d.fails
}

func (d *slowDatabase) QueryRow(context.Context, string, ...any) driver.Row { return noFeed{} }

type noFeed struct{ driver.Row }

func (noFeed) Scan(...any) error { return nil }

func TestNobodyWaitsWhileRulesAreReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &slowDatabase{takes: 50 * time.Millisecond}
		s := New(db, "onepx")
		get := func(want string, within time.Duration) {
			t.Helper()
			begin := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			facts, err := s.siteFacts(ctx, "shop", begin)
			cancel() // a batch is over before what was begun beside it
			require.NoError(t, err)
			require.Equal(t, want, facts.rules[0].Segment)
			require.Equal(t, within, time.Since(begin))
		}
		get("1", db.takes)
		get("1", 0)
		<-time.After(keepSites / 2)
		get("1", 0)
		get("1", 0)
		s.Close()
		get("2", 0)
		require.Equal(t, 2, db.reads, "one reads for all")
		<-time.After(keepSites / 2)
		get("2", 0)
		s.Close()
		get("3", 0)

		db.fails = errors.New("away")
		<-time.After(keepSites / 2)
		get("3", 0)
		s.Close()
		get("3", 0)
		s.Close()
		<-time.After(keepSites / 2)
		_, err := s.siteFacts(t.Context(), "shop", time.Now())
		require.ErrorIs(t, err, db.fails, "what is too old is not used")

		db.fails = nil
		get("7", db.takes)
		db.takes = time.Hour
		<-time.After(keepSites / 2)
		get("7", 0)
		begin := time.Now()
		s.Close()
		require.Equal(t, keepSites, time.Since(begin), "it does not hang")
	})
}
