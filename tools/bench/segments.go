package main

import (
	"context"
	"fmt"
	"strings"
)

// manySegments is how many segments the site has in one half of the turns: as many as a site may have.
const manySegments = 100

// segmentsBench compares the consumer on a site with a hundred segments with itself on a site without any.
func segmentsBench(ctx context.Context, w *world) (report, error) {
	with, without, ratio, err := w.compareSites(ctx, "segments", segmentsOf(manySegments), "")
	if err != nil {
		return report{}, err
	}
	var hits struct{ Hits, Rows float64 }
	if err := w.sql().One(ctx, "SELECT (SELECT count() FROM onepx.segment_hits) AS Hits, (SELECT count() FROM onepx.events) AS Rows", &hits); err != nil {
		return report{}, err
	}
	return report{
		numbers: []number{
			{"consumer_segments_ratio", ratio, "x", atLeast(0.8), fmt.Sprintf("rows/s with %d segments ÷ rows/s with none", manySegments)},
			{"consumer_segments_rows_per_second", with, "/s", nil, fmt.Sprintf("rows/s with %d segments", manySegments)},
			{"consumer_no_segments_rows_per_second", without, "/s", nil, "rows/s with none"},
		},
		method: fmt.Sprintf(`The consumer takes in %d page views of a shop that it enriches, of visitors who allow profiling, on empty tables, by turns with %d segments
and with none: a third of them by a pattern of the URL, of which two are shelves of the shop and the others products, a third by the name of an event, a category and a price, a third by a property,
with a second step by a pattern. As in the benchmarks above, rows count until nine tenths are stored. In the last turn the segments had %s hits for a million rows; these are
rows of segment_hits.`, backlogEvents, manySegments, short(hits.Hits/hits.Rows*1e6)),
	}, nil
}

// segmentsOf writes the segments of a site.
func segmentsOf(n int) string {
	var text strings.Builder
	text.WriteString("    segments:\n")
	for i := range n {
		switch {
		case i < 2:
			fmt.Fprintf(&text, "      - {id: shelf-%d, enter: {url: '^https://shop\\.example\\.com/tea/%s/'}, leave: {event: purchase}, times: {min: 3}}\n", i, shopShelves[i])
		case i%3 == 0:
			fmt.Fprintf(&text, "      - {id: page-%d, enter: {url: '/tea/[a-z]+/p-%d$'}, leave: {event: purchase}}\n", i, 399+i)
		case i%3 == 1:
			fmt.Fprintf(&text, "      - {id: cart-%d, enter: {event: add_to_cart, category: %s, price: {min: '%d'}}, leave: {event: purchase}, same_product: true}\n", i, shopShelves[i%6], i)
		default:
			fmt.Fprintf(&text, "      - {id: plan-%d, enter: {event: page_view, props: {plan: pro-%d}}, then: {url: '/checkout/%d'}, then_within: 3d}\n", i, i, i)
		}
	}
	return text.String()
}
