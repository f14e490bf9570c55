//go:build integration

package store_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/jobs"
)

// benchRows is the number of events in BenchmarkErasure unless ONEPX_BENCH_EVENTS says another; each visitor has 20.
const benchRows = 2_000_000

// BenchmarkErasure erases 1,000 visitors: ns/op is the time from finding their rows to the proof that none is left.
//
//	go test -tags integration -run - -bench Erasure -benchtime 1x ./internal/store
func BenchmarkErasure(b *testing.B) {
	rows := benchRows
	if text := os.Getenv("ONEPX_BENCH_EVENTS"); text != "" {
		var err error
		rows, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	d := migrated(b)
	visitors := rows / 20
	const chunk = 1_000_000
	for first := 0; first < rows; first += chunk {
		d.exec(fmt.Sprintf("INSERT INTO %s.events (kafka_topic, kafka_partition, kafka_offset, record_hash, batch_first, batch_last, batch_day, declared_at, insert_until, outcome, "+
			"site_id, event_id, kind, name, received_at, occurred_at, site_day, visitor_id, visitor_kind, url, page_path, title, source, channel, transport, retention_days) "+
			"SELECT 'onepx.events', number %% 6, intDiv(number, 6), number, 0, 0, toDate('2026-11-01') + intDiv(number * 30, %d), now64(3), now64(3) + 3600, 'event', "+
			"'shop', generateUUIDv4(), 'page_view', 'page_view', now64(3), toDateTime64('2026-11-01 00:00:00', 3) + number %% 2592000, toDate('2026-11-01') + number %% 30, "+
			"toUUID(UUIDNumToString(MD5(toString(number %% %d)))), 'cookie', concat('https://shop.example/', toString(number %% 1000)), concat('/', toString(number %% 1000)), 'title', if(number %% 5 = 0, 'google', ''), 'Direct', 'gif', 3650 "+
			"FROM numbers(%d, %d) SETTINGS max_partitions_per_insert_block = 0", d.name, rows, visitors, first, min(chunk, rows-first)))
	}
	for round := 0; b.Loop(); round++ {
		people := jobs.People{}
		for n := range 1000 {
			var id uuid.UUID
			require.NoError(b, d.conn.QueryRow(b.Context(), fmt.Sprintf("SELECT toUUID(UUIDNumToString(MD5('%d')))", round*1000+n)).Scan(&id))
			people.Visitors = append(people.Visitors, id)
		}
		began := time.Now()
		erasure := store.NewErasure(store.NewRebuilds(d.conn, d.schema), uuid.New())
		require.NoError(b, erasure.Find(b.Context(), people))
		b.Logf("found after %s", time.Since(began))
		before, err := erasure.Count(b.Context())
		require.NoError(b, err)
		require.EqualValues(b, 20_000, before[0].Rows)
		require.NoError(b, erasure.Correct(b.Context(), 1))
		b.Logf("corrected after %s", time.Since(began))
		require.NoError(b, erasure.Delete(b.Context(), 1))
		b.Logf("deleted after %s", time.Since(began))
		after, err := erasure.Count(b.Context())
		require.NoError(b, err)
		for _, held := range after {
			require.Zero(b, held.Rows, held.Table)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/1000-ids")
		require.NoError(b, erasure.Drop(b.Context()))
	}
}
