//go:build integration

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/eventlog"
)

func TestBothVersionsOfAChangedSegmentAreJudgedUntilItsPastIsMade(t *testing.T) {
	w := begun(t)
	configure := func(segments string) {
		path := filepath.Join(t.TempDir(), "onepx.yaml")
		require.NoError(t, os.WriteFile(path, []byte("sites: [{id: shop, timezone: Europe/Berlin, currency: EUR, segments: ["+segments+"]}]"), 0o600))
		t.Setenv("ONEPX_CONFIG", path)
	}
	doing := func(name string) *onepxv1.Event {
		return event(func(ev *onepxv1.Event) {
			ev.Kind, ev.Name = onepxv1.EventKind_EVENT_KIND_CUSTOM, name
			ev.Visitor = &onepxv1.Visitor{VisitorId: visitorID[:], Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE}
			ev.Consent = &onepxv1.Consent{Measure: true, Profile: true}
		})
	}
	configure("{id: readers, enter: {event: read}}, {id: old, enter: {event: x}}")
	c := w.start()
	w.publish(eventlog.TopicEvents, 0, w.record(doing("read"), time.Now()), w.record(doing("listen"), time.Now()))
	w.awaitRows(2)
	require.Zero(t, c.stop())
	configure("{id: readers, enter: {event: listen}, lives: 90d}")
	c = w.start()
	w.publish(eventlog.TopicEvents, 0, w.record(doing("read"), time.Now()), w.record(doing("listen"), time.Now()))
	w.awaitRows(4)
	c.awaitMetric(`onepx_consumer_rows_total{outcome="event"} 2`)

	require.Equal(t, []string{
		`{"segment":"old","state":"active","days":30}`, `{"segment":"readers","state":"active","days":30}`,
		`{"segment":"old","state":"removed","days":30}`, `{"segment":"readers","state":"filling","days":90}`,
	}, w.query("SELECT segment, state, toInt32(lives_ms / 86400000) AS days FROM %s.segments ORDER BY saved_at, segment"))
	require.Equal(t, []string{
		`{"kafka_offset":0,"step":"enter","state":"active"}`, `{"kafka_offset":2,"step":"enter","state":"active"}`, `{"kafka_offset":3,"step":"enter","state":"filling"}`,
	}, w.query("SELECT kafka_offset, step, state FROM %s.segment_hits AS h INNER JOIN %s.segments AS s ON s.segment = h.segment AND s.version = h.version ORDER BY kafka_offset"))

	made := command(t, "rebuild", "segments", "--site=shop")
	require.Zero(t, made.code, made.errOut)
	require.Regexp(t, `^readers: version [0-9a-f]{12} holds, with 2 hits\n$`, made.out)
	none := command(t, "rebuild", "segments", "--site=shop")
	require.Equal(t, 1, none.code)
	require.Contains(t, none.errOut, "has no segment whose conditions have changed")
	require.Zero(t, command(t, "rebuild", "segments", "--site=shop", "--segment=readers").code, "again, it makes the same")
	require.Equal(t, []string{`{"kafka_offset":1}`, `{"kafka_offset":3}`},
		w.query("SELECT kafka_offset FROM %s.segment_hits AS h INNER JOIN %s.active_segments AS s ON s.segment = h.segment AND s.version = h.version ORDER BY kafka_offset"))
}
