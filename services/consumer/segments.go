package main

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/segments"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// useSegments brings the table of segments up to date with the configuration, and adds to the rules the definitions that
// questions still go by.
func useSegments(ctx context.Context, events *store.Store, sites *siteconfig.Config, rules *enrich.Rules) error {
	known, err := events.Segments(ctx)
	if err != nil {
		return err
	}
	rows, former, err := planSegments(sites, known, time.Now().UTC())
	if err != nil {
		return err
	}
	for site, definitions := range former {
		rules.AddSegments(site, definitions...)
	}
	return events.SaveSegments(ctx, rows)
}

// planSegments returns the rows that the table of segments lacks, and by site the definitions that are in force and not those
// of the configuration, in its order. known is what the table has, by site and segment.
func planSegments(sites *siteconfig.Config, known map[[2]string]*store.SegmentNow, now time.Time) (rows []store.Segment, former map[string][]segments.Definition, err error) {
	former = map[string][]segments.Definition{}
	configured := map[[2]string]bool{}
	add := func(row store.Segment, newest *store.Segment) {
		row.SavedAt = now.Truncate(time.Millisecond)
		if newest != nil && !row.SavedAt.After(newest.SavedAt) {
			row.SavedAt = newest.SavedAt.Add(time.Millisecond) // another process's clock is ahead
		}
		rows = append(rows, row)
	}
	for _, site := range sites.Sites {
		for _, segment := range site.Segments {
			key := [2]string{site.ID, segment.ID}
			configured[key] = true
			row, was := segmentRow(site, segment), known[key]
			if was == nil {
				add(row, nil)
				continue
			}
			if active := was.Active; was.Newest.State != store.SegmentRemoved && active != nil && active.Version != row.Version {
				row.State = store.SegmentFilling
				definition, err := segments.ParseRule(active.Rule, active.Version)
				if err != nil {
					return nil, nil, fmt.Errorf("segment %s of %s: %w", segment.ID, site.ID, err)
				}
				former[site.ID] = append(former[site.ID], definition)
			}
			if row.SavedAt = was.Newest.SavedAt; !reflect.DeepEqual(row, was.Newest) {
				add(row, &was.Newest)
			}
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(known), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if row := known[key].Newest; !configured[key] && row.State != store.SegmentRemoved {
			row.State = store.SegmentRemoved
			add(row, &known[key].Newest)
		}
	}
	return rows, former, nil
}

// segmentRow is the active row of a segment.
func segmentRow(site siteconfig.Site, s siteconfig.Segment) store.Segment {
	row := store.Segment{
		SiteID: site.ID, Segment: s.ID, Version: segments.NewDefinition(s, site.Currency).Version, Name: s.Name, State: store.SegmentActive,
		SameProduct: s.SameProduct, TimesMin: uint32(s.Times.Min), TimesMax: uint32(s.Times.Max), //nolint:gosec // siteconfig bounds them
		WithinMs: millis(s.Within), HasThen: s.Then != nil, ThenWithinMs: millis(s.ThenWithin), AfterMs: millis(s.After), LivesMs: millis(s.Lives),
		HoldoutPermille: uint16(s.Holdout), Stream: s.Stream, Timezone: site.Timezone.String(), Rule: segments.RuleText(s, site.Currency),
	}
	if s.Value != nil {
		row.ValueMinMicros, row.ValueMaxMicros = (*int64)(s.Value.Min), (*int64)(s.Value.Max)
	}
	return row
}

func millis(span siteconfig.Span) int64 { return time.Duration(span).Milliseconds() }
