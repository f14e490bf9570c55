package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/segments"
)

// SegmentPast makes the hits of one version of a segment of a site that the consumers have not made, as they stored the events
// before they knew it. The lock of the Rebuilds must be held. It can be repeated: it begins anew.
type SegmentPast struct {
	tables *Rebuilds
	site   string
	of     segments.Definition
	// unjudged is the condition that an event of the site was stored without the version.
	unjudged string
}

// Texts of the rules by hash, as far as there are any.
func (b *Rebuilds) ruleTexts(ctx context.Context) (map[string]string, error) {
	rows, err := b.conn.Query(ctx, "SELECT hash, any(text) FROM "+b.table("rules")+" GROUP BY hash")
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	defer func() { _ = rows.Close() }()
	texts := map[string]string{}
	for rows.Next() {
		var hash, text string
		if err := rows.Scan(&hash, &text); err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		texts[hash] = text
	}
	return texts, rows.Err()
}

// NewSegmentPast returns the past of a definition. judges tells whether rules, by their text, judge events by it.
func NewSegmentPast(ctx context.Context, tables *Rebuilds, site string, of segments.Definition, judges func(rules string) bool) (*SegmentPast, error) {
	texts, err := tables.ruleTexts(ctx)
	if err != nil {
		return nil, err
	}
	judging := []string{"''"} // of none
	for hash, text := range texts {
		if judges(text) {
			judging = append(judging, clickhouseconn.Literal(hash))
		}
	}
	unjudged := "site_id = " + clickhouseconn.Literal(site) + " AND outcome = 'event' AND rules NOT IN (" + strings.Join(judging, ", ") + ")"
	return &SegmentPast{tables, site, of, unjudged}, nil
}

// Make removes what an earlier attempt has made, and makes the hits. What such an attempt has put into visitor_facts stays: this one makes
// equal rows.
func (p *SegmentPast) Make(ctx context.Context) error {
	hits, events := p.tables.table("segment_hits"), p.tables.table("events")
	made := "site_id = " + clickhouseconn.Literal(p.site) + " AND segment = " + clickhouseconn.Literal(p.of.ID) + " AND version = " + clickhouseconn.Literal(p.of.Version) +
		" AND (kafka_topic, kafka_partition, kafka_offset) IN (SELECT kafka_topic, kafka_partition, kafka_offset FROM " + events + " WHERE " + p.unjudged + ")"
	err := p.tables.exec(ctx, "remove earlier hits", "DELETE FROM", hits, p.tables.schema.OnCluster(), "WHERE", made,
		"SETTINGS lightweight_deletes_sync = 2, allow_nondeterministic_mutations = 1")
	if err != nil {
		return err
	}
	err = p.tables.exec(ctx, "make hits", "INSERT INTO", hits, "(site_id, segment, version, step, visitor_kind, visitor_id, product, nth, occurred_at, event_id, value_micros, item_micros, "+
		"kafka_topic, kafka_partition, kafka_offset, expires_at)", segments.HitsQuery(&p.of, events, p.unjudged),
		"SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0")
	if err != nil {
		return err
	}
	return p.tables.exec(ctx, "make hits for lookups", "INSERT INTO", p.tables.table("visitor_facts"), "("+factColumns+")", p.tables.schema.HitFacts(made), "SETTINGS insert_deduplicate = 0")
}

// Count returns how many hits the version has, and how many events were stored without it since the moment.
func (p *SegmentPast) Count(ctx context.Context, since time.Time) (hits, missed uint64, err error) {
	err = p.tables.conn.QueryRow(ctx, "SELECT (SELECT count() FROM "+p.tables.table("segment_hits")+" WHERE site_id = ? AND segment = ? AND version = ?), "+
		"(SELECT count() FROM "+p.tables.table("events")+" WHERE "+p.unjudged+" AND declared_at >= ?)", p.site, p.of.ID, p.of.Version, since.UTC()).Scan(&hits, &missed)
	if err != nil {
		return 0, 0, fmt.Errorf("count hits: %w", err)
	}
	return hits, missed, nil
}
