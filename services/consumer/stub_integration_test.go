//go:build integration

package main

import (
	"strings"

	"github.com/stretchr/testify/require"
)

func (w *world) stub() {
	require.NoError(w.t, w.clickHouse.Exec(w.t.Context(), strings.ReplaceAll(`CREATE VIEW IF NOT EXISTS %s.audiences_of AS
	WITH ifNull({at:Nullable(DateTime64(3, 'UTC'))}, now64(3, 'UTC')) AS t
	SELECT visitor_id, segment, version, groupUniqArrayIf(product, step = 'enter') AS products, maxIf(occurred_at, step = 'enter') AS qualified_at, qualified_at + toIntervalDay(30) AS ends_at, false AS held_out
	FROM %s.segment_hits WHERE site_id = {site:String} AND visitor_id IN {visitors:Array(UUID)} AND occurred_at <= t
	AND cityHash64(visitor_id) NOT IN (SELECT id_hash FROM %s.suppressed_visitors FINAL WHERE wished)
	GROUP BY visitor_id, segment, version HAVING qualified_at > maxIf(occurred_at, step = 'leave')`, "%s", w.database)))
}
