package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

const audienceVisitors = 10_000_000

// audienceTried is what was tried.
const audienceTried = `Most of audience_members is grouping hits by visitor; with same_product, collecting the products takes as much again. What a batch of new visitors takes is planning two queries, looking
into each part for each visitor, and reading from the disk what is not in the page cache: some five visitors share a batch, wait for the one before, and then for their own, so p99 is twice that of a batch.
[What was tried](adr/0009-lookups-judge-themselves.md).`

// audienceSegments are those of the site: products that were viewed and not bought, and visitors who came at all.
const audienceSegments = `INSERT INTO onepx.segments (site_id, segment, version, state, same_product, times_min, within_ms, lives_ms, saved_at)
VALUES ('bench', 'viewed', 'v', 'active', true, 1, 86400000 * 30, 86400000 * 30, now64(3)), ('bench', 'came', 'v', 'active', false, 1, 86400000 * 30, 86400000 * 30, now64(3))`

// audienceHits are hits of the last 25 days, %[2]d for each visitor, of products of a shop, in no order of visitors. A twentieth of
// the visitors leaves with one of their products. %[1]s is the segment, %[3]s a step, %[4]s a condition on the numbers, of which there are %[5]d.
const audienceHits = `INSERT INTO onepx.segment_hits (site_id, segment, version, step, visitor_kind, visitor_id, product, nth, occurred_at, event_id, value_micros, item_micros,
	kafka_topic, kafka_partition, kafka_offset, expires_at)
SELECT 'bench', '%[1]s', 'v', '%[3]s', if(visitor %% 10 = 0, 'minted', 'cookie'), reinterpret(sipHash128(intDiv(number, %[2]d) AS visitor), 'UUID'),
	concat('product-', toString(cityHash64(number, 1) %% 5000)), 0, now64(3) - toIntervalMillisecond(cityHash64(number, '%[3]s') %% (86400000 * 25)),
	reinterpret(sipHash128(number, '%[1]s %[3]s'), 'UUID'), 1000000, 1000000, 'made', 0, number, now() + 86400 * 395
FROM numbers(%[5]d) WHERE %[4]s`

// audienceFacts are what else is known of visitors: what each last said of sharing, a product that half of them saw, an ad, which
// a tenth saw today, refusals of a fiftieth, wishes of a hundredth.
var audienceFacts = []string{
	fmt.Sprintf("INSERT INTO onepx.share_consents SELECT 'bench', reinterpret(sipHash128(number), 'UUID'), now64(3) - toIntervalDay(number %% 25), fromUnixTimestamp64Milli(0), now() + 86400 * 395 FROM numbers(%d)", audienceVisitors),
	fmt.Sprintf("INSERT INTO onepx.product_interest (site_id, visitor_id, product, viewed_at, first_at, price, category, expires_at) SELECT 'bench', reinterpret(sipHash128(number * 2), 'UUID'), concat('product-', toString(cityHash64(number, 1) %% 5000)), "+
		"now64(3) - toIntervalDay(number %% 25) AS seen, seen, concat(toString(seen), ' EUR 1000000'), concat(toString(seen), ' tea'), now() + 86400 * 395 FROM numbers(%d)", audienceVisitors/2),
	fmt.Sprintf("INSERT INTO onepx.touches (site_id, kind, site_day, occurred_at, event_id, visitor_kind, visitor_id, channel, source, campaign, kafka_topic, kafka_offset, expires_at) SELECT 'bench', 'view', toDate(occurred_at, 'UTC'), now64(3) - toIntervalDay(if(number %% 10 = 0, 0, number %% 24 + 1)) AS occurred_at, "+
		"reinterpret(sipHash128(number, 'view'), 'UUID'), 'cookie', reinterpret(sipHash128(number), 'UUID'), 'display', 'ads', concat('campaign-', toString(number %% 20)), 'made', number, now() + 86400 * 395 FROM numbers(%d)", audienceVisitors),
	fmt.Sprintf("INSERT INTO onepx.profile_refusals SELECT 'bench', reinterpret(sipHash128(number * 50), 'UUID'), now64(3) - toIntervalDay(number %% 25), now() + 86400 * 395 FROM numbers(%d)", audienceVisitors/50),
	fmt.Sprintf("INSERT INTO onepx.suppressed_visitors SELECT cityHash64(reinterpret(sipHash128(number * 100 + 7), 'UUID')), true, number, now64(3) FROM numbers(%d)", audienceVisitors/100),
}

// audienceLater is what comes after the facts have lain for some hours, in so many inserts: each says a product of 3,000 visitors.
const (
	audienceLater = "INSERT INTO onepx.product_interest (site_id, visitor_id, product, viewed_at, first_at, expires_at) SELECT 'bench', reinterpret(sipHash128(toUInt64(cityHash64(number, %[1]d) %% %[2]d)), 'UUID'), concat('product-', toString(number)), " +
		"now64(3) AS seen, seen, now() + 86400 * 395 FROM numbers(3000)"
	audienceInserts = 60
)

// audiencesBench asks who is in a segment, and in which segments visitors are.
func audiencesBench(ctx context.Context, w *world) (report, error) {
	if out, err := w.pipeline.Consumer(ctx, "migrate"); err != nil {
		return report{}, fmt.Errorf("consumer migrate: %w\n%s", err, out)
	}
	fmt.Fprintf(os.Stderr, "making hits of %d visitors …\n", audienceVisitors)
	begun := time.Now()
	err := w.exec(ctx, slices.Concat(pipeline.FactsWithoutEvents(), []string{
		audienceSegments,
		fmt.Sprintf(audienceHits, "viewed", 2, "enter", "true", 2*audienceVisitors),
		fmt.Sprintf(audienceHits, "viewed", 2, "leave", "number % 40 = 0", 2*audienceVisitors),
		fmt.Sprintf(audienceHits, "came", 1, "enter", "true", audienceVisitors),
	}, audienceFacts)...)
	if err != nil {
		return report{}, err
	}
	made := time.Since(begun)
	parts, err := w.hoursLater(ctx)
	if err != nil {
		return report{}, err
	}
	var result report
	members := func(name, columns, segment, about string, goal *goal) error {
		took, err := w.ask(ctx, "SELECT "+columns+" FROM onepx.audience_members(site = 'bench', segment = '"+segment+"')")
		result.numbers = append(result.numbers, number{name, took, "s", goal, about})
		return err
	}
	if err := members("audience_members_products", "count()", "viewed", "count of the members of a segment with `same_product`, over 20 million hits", atMost(2)); err != nil {
		return report{}, err
	}
	if err := members("audience_members_plain", "count()", "came", "the same without `same_product`, over 10 million hits of 30 million", atMost(2)); err != nil {
		return report{}, err
	}
	if err := members("audience_members_all", "count(), max(ends_at), sum(length(products)), sum(hits)", "viewed", "the members of the first with their products", nil); err != nil {
		return report{}, err
	}
	lookups, err := w.lookups(ctx)
	if err != nil {
		return report{}, err
	}
	result.numbers = append(result.numbers, lookups...)
	result.method = fmt.Sprintf(`%d visitors with %d hits, made by ClickHouse from numbers (in %s) and inserted into segment_hits, where they make 20 million memberships of two segments; all
have said something of sharing, half have seen a product, all an ad, a tenth of them today; a fiftieth has refused, a hundredth is suppressed. What is known of visitors, and the hits, were merged into one part, as ClickHouse does after four hours; then came 60 inserts of 3000 facts, and
ClickHouse left %d parts. One console, with ONEPX_LOOKUP_QUERIES=1, answers lookups over HTTP to a client on the same two cores; the times are from when a request was due. New visitors are
asked for once, so each is read from ClickHouse; the others were asked for within the two seconds for which answers are kept.`,
		audienceVisitors, 3*audienceVisitors, made.Round(time.Second), parts)
	return result, nil
}

// hoursLater makes what visitor_facts and segment_hits have into one part, as ClickHouse does with what is older than
// min_age_to_force_merge_seconds of the table, and adds what came since. It returns how many parts there are then.
func (w *world) hoursLater(ctx context.Context) (int, error) {
	if _, err := w.merged(ctx); err != nil {
		return 0, err
	}
	statements := []string{"OPTIMIZE TABLE onepx.segment_hits FINAL", "OPTIMIZE TABLE onepx.visitor_facts FINAL"}
	for i := range audienceInserts {
		statements = append(statements, fmt.Sprintf(audienceLater, i, audienceVisitors))
	}
	if err := w.exec(ctx, statements...); err != nil {
		return 0, err
	}
	return w.merged(ctx)
}

// merged waits until ClickHouse has no more to merge, and returns how many parts visitor_facts is in.
func (w *world) merged(ctx context.Context) (int, error) {
	for {
		var now struct{ Merges, Parts int }
		if err := w.sql().One(ctx, "SELECT (SELECT count() FROM system.merges) AS Merges, (SELECT count() FROM system.parts WHERE database = 'onepx' AND table = 'visitor_facts' AND active) AS Parts", &now); err != nil {
			return 0, err
		}
		if now.Merges == 0 {
			return now.Parts, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
