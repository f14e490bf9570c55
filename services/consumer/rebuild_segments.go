package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/segments"
)

// rebuildSegmentsCmd are the settings of `consumer rebuild segments`.
type rebuildSegmentsCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`

	Site    string `required:"" placeholder:"ID" help:"The site."`
	Segment string `placeholder:"ID" help:"Only this segment; without it all of the site whose conditions have changed."`
}

// Validate checks bounds.
func (c *rebuildSegmentsCmd) Validate() error {
	return errors.Join(c.ClickHouse.Validate(), c.ClickHouse.SingleNode("consumer rebuild segments"))
}

// Run is `consumer rebuild segments`.
func (c *rebuildSegmentsCmd) Run(ctx context.Context, k *kong.Kong) error {
	conn, err := c.ClickHouse.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	events, err := storeOf(ctx, conn, c.ClickHouse)
	if err != nil {
		return err
	}
	tables := store.NewRebuilds(conn, c.ClickHouse.Schema(migrations.Files))
	locked, unlock, err := tables.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	chosen, err := c.chosen(locked, events)
	if err != nil {
		return err
	}
	for _, row := range chosen {
		if err := c.rebuild(locked, k, events, tables, row); err != nil {
			if cause := context.Cause(locked); cause != nil {
				err = errors.Join(cause, err)
			}
			return fmt.Errorf("segment %s: %w\nthe same command can be repeated", row.Segment, err)
		}
	}
	return nil
}

// chosen are the newest rows of the segments whose past is to be made.
func (c *rebuildSegmentsCmd) chosen(ctx context.Context, events *store.Store) ([]store.Segment, error) {
	known, err := events.Segments(ctx)
	if err != nil {
		return nil, err
	}
	var chosen []store.Segment
	for _, key := range slices.SortedFunc(maps.Keys(known), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		row := known[key].Newest
		if key[0] == c.Site && row.State != store.SegmentRemoved && (row.Segment == c.Segment || c.Segment == "" && row.State == store.SegmentFilling) {
			chosen = append(chosen, row)
		}
	}
	switch {
	case len(chosen) > 0:
		return chosen, nil
	case c.Segment != "":
		return nil, fmt.Errorf("site %s has no segment %s that a consumer has been started with", c.Site, c.Segment)
	}
	return nil, fmt.Errorf("site %s has no segment whose conditions have changed since a consumer was started with it; name a new one with --segment to make its past", c.Site)
}

// rebuild makes the past of the version of a row, and lets it hold.
func (c *rebuildSegmentsCmd) rebuild(ctx context.Context, k *kong.Kong, events *store.Store, tables *store.Rebuilds, row store.Segment) error {
	definition, err := segments.ParseRule(row.Rule, row.Version)
	if err != nil {
		return err
	}
	past, err := store.NewSegmentPast(ctx, tables, c.Site, definition, func(text string) bool { return judges(text, c.Site, definition) })
	if err != nil {
		return err
	}
	began := time.Now()
	if err := past.Make(ctx); err != nil {
		return err
	}
	hits, missed, err := past.Count(ctx, began)
	switch {
	case err != nil:
		return err
	case missed > 0:
		return fmt.Errorf("%d events were stored meanwhile by a consumer that does not know version %s: restart all consumers with the configuration first", missed, row.Version)
	}
	if row.State == store.SegmentFilling {
		row.State, row.SavedAt = store.SegmentActive, time.Now().UTC().Truncate(time.Millisecond)
		if err := events.SaveSegments(ctx, []store.Segment{row}); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(k.Stdout, "%s: version %s holds, with %d hits\n", row.Segment, row.Version, hits)
	return err
}

// judges tells whether rules have events of the site judged by the definition. Rules of another version of the code may have more
// fields.
func judges(text, site string, d segments.Definition) bool {
	var rules enrich.Rules
	if json.Unmarshal([]byte(text), &rules) != nil {
		return false
	}
	return slices.ContainsFunc(rules.Sites[site].Segments, func(other segments.Definition) bool { return other.ID == d.ID && other.Version == d.Version })
}
