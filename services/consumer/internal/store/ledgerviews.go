package store

import "strings"

// LedgerFacts is a template function: the ranges of offsets in which a table that a view fills with a row for each row of
// events, and the rows of events that its view takes, are not the same. batches says which rows of the table may be of the
// days of storing that are asked for.
func (s Schema) LedgerFacts(table, taken, batches string) string {
	return strings.NewReplacer("$db", s.Database, "$table", table, "$taken", taken, "$batches", batches).Replace(`SELECT
        '$table' AS table_name, kafka_topic, kafka_partition,
        toInt64(if(differing > 0, bitmapMin(bitmapXor(expected, present)), bitmapMin(present))) AS first_offset,
        toInt64(if(differing > 0, bitmapMax(bitmapXor(expected, present)), bitmapMax(present))) AS last_offset,
        '' AS site_id, toDate(0) AS site_day, toInt64(bitmapCardinality(expected)) AS in_events, toInt64(rows) AS in_table
    FROM
    (
        SELECT
            kafka_topic, kafka_partition,
            groupBitmapStateIf(toUInt64(kafka_offset), side = 'events') AS expected,
            groupBitmapStateIf(toUInt64(kafka_offset), side = 'table')  AS present,
            bitmapXorCardinality(expected, present) AS differing,
            countIf(side = 'table') AS rows
        FROM
        (
            SELECT 'events' AS side, kafka_topic, kafka_partition, kafka_offset
            FROM $db.events
            WHERE batch_day BETWEEN {from:Date} AND {to:Date} AND $taken
            UNION ALL
            SELECT 'table' AS side, kafka_topic, kafka_partition, kafka_offset
            FROM $db.$table
            INNER JOIN
            (
                SELECT kafka_topic, kafka_partition, min(kafka_offset) AS lowest, max(kafka_offset) AS highest
                FROM $db.events
                WHERE batch_day BETWEEN {from:Date} AND {to:Date}
                GROUP BY kafka_topic, kafka_partition
            ) AS bounds USING (kafka_topic, kafka_partition)
            WHERE kafka_offset BETWEEN lowest AND highest AND $batches
        )
        GROUP BY kafka_topic, kafka_partition
    )
    WHERE differing > 0 OR rows != bitmapCardinality(expected)`)
}

// LedgerSums is a template function: the days of sites on which a table of sums, or of rows without offsets, and the rows of
// events that its view takes, do not come to the same. Days whose rows may have expired are left out.
func (s Schema) LedgerSums(table, sum, taken, weight string) string {
	return strings.NewReplacer("$db", s.Database, "$table", table, "$sum", sum, "$taken", taken, "$weight", weight, "$since", s.DaysBefore("8")).Replace(`SELECT
        '$table' AS table_name, '' AS kafka_topic, toInt32(-1) AS kafka_partition, toInt64(-1) AS first_offset, toInt64(-1) AS last_offset,
        site_id, site_day, sum(expected) AS in_events, sum(present) AS in_table
    FROM
    (
        SELECT site_id, site_day, toInt64($weight) AS expected, toInt64(0) AS present
        FROM $db.events
        WHERE batch_day >= $since AND site_day BETWEEN {from:Date} AND {to:Date} AND $taken
        GROUP BY site_id, site_day
        UNION ALL
        SELECT site_id, site_day, toInt64(0) AS expected, toInt64($sum) AS present
        FROM $db.$table
        WHERE site_day BETWEEN {from:Date} AND {to:Date}
        GROUP BY site_id, site_day
    )
    WHERE site_day > today() - (SELECT minIf(retention_days, retention_days > 0) FROM $db.events WHERE batch_day >= $since)
    GROUP BY site_id, site_day
    HAVING in_events != in_table`)
}
