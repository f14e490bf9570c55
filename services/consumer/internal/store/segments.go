package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// States of a segment.
const (
	// SegmentActive: the version's hits tell who is in the segment.
	SegmentActive = "active"
	// SegmentFilling: they will, once its past is made; until then the newest active row holds.
	SegmentFilling = "filling"
	// SegmentRemoved: it is configured no more.
	SegmentRemoved = "removed"
)

// Segment is a row of the table segments; what its columns mean stands in migrations/0018_segments.sql, Stream in 0023_audience_stream.sql.
type Segment struct {
	SiteID          string    `ch:"site_id"`
	Segment         string    `ch:"segment"`
	Version         string    `ch:"version"`
	Name            string    `ch:"name"`
	State           string    `ch:"state"`
	SameProduct     bool      `ch:"same_product"`
	TimesMin        uint32    `ch:"times_min"`
	TimesMax        uint32    `ch:"times_max"`
	WithinMs        int64     `ch:"within_ms"`
	ValueMinMicros  *int64    `ch:"value_min_micros"`
	ValueMaxMicros  *int64    `ch:"value_max_micros"`
	HasThen         bool      `ch:"has_then"`
	ThenWithinMs    int64     `ch:"then_within_ms"`
	AfterMs         int64     `ch:"after_ms"`
	LivesMs         int64     `ch:"lives_ms"`
	HoldoutPermille uint16    `ch:"holdout_permille"`
	Stream          bool      `ch:"stream"`
	Timezone        string    `ch:"timezone"`
	Rule            string    `ch:"rule"`
	SavedAt         time.Time `ch:"saved_at"`
}

// SegmentNow is how a segment stands in the table.
type SegmentNow struct {
	// Newest is its newest row.
	Newest Segment
	// Active is its newest active row, which may be the same; nil if it was never active.
	Active *Segment
}

// Segments returns all segments that there have ever been, by site and id.
func (s *Store) Segments(ctx context.Context) (map[[2]string]*SegmentNow, error) {
	var rows []Segment
	// Of rows of one moment, the same one for all who ask.
	err := s.conn.Select(ctx, &rows, "SELECT "+strings.Join(clickhouseconn.Columns[Segment](), ", ")+" FROM "+s.database+".segments "+
		"ORDER BY site_id, segment, saved_at DESC, version DESC, rule DESC LIMIT 1 BY site_id, segment, state = '"+SegmentActive+"'")
	if err != nil {
		return nil, fmt.Errorf("read segments: %w", err)
	}
	all := map[[2]string]*SegmentNow{}
	for _, row := range rows {
		row.SavedAt = row.SavedAt.UTC()
		key := [2]string{row.SiteID, row.Segment}
		if all[key] == nil {
			all[key] = &SegmentNow{Newest: row}
		}
		if row.State == SegmentActive {
			all[key].Active = &row
		}
	}
	return all, nil
}

// SaveSegments adds rows, all of them or, after an error, perhaps none.
func (s *Store) SaveSegments(ctx context.Context, rows []Segment) error {
	if len(rows) == 0 {
		return nil
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO "+s.database+".segments ("+strings.Join(clickhouseconn.Columns[Segment](), ", ")+")")
	if err != nil {
		return fmt.Errorf("save segments: %w", err)
	}
	defer func() { _ = batch.Close() }()
	for i := range rows {
		if err := batch.AppendStruct(&rows[i]); err != nil {
			return fmt.Errorf("save segments: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("save segments: %w", err)
	}
	return nil
}
