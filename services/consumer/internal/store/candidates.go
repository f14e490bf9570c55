package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/segments"
)

// Seen is a visitor with events that may matter to segments.
type Seen struct {
	SiteID    string    `ch:"site_id"`
	VisitorID uuid.UUID `ch:"visitor_id"`
	// Hit says that an event fulfils a condition of a segment; else there are refusals only.
	Hit bool `ch:"hit"`
}

// SeenIn returns the visitors of some sites in a range of stored offsets, who have hits or refused, and the day of the last
// batch in it; the day that is given when it holds no rows. No batch of the range is of an earlier day.
func (a *Audiences) SeenIn(ctx context.Context, r Range, day time.Time, sites []string) (seen []Seen, last time.Time, err error) {
	rows, last, err := a.eventsIn(ctx, r, day)
	if err != nil {
		return nil, day, err
	}
	err = a.conn.Select(ctx, &seen, "SELECT site_id, visitor_id, max(notEmpty(segments.id)) = 1 AS hit"+rows+
		" AND outcome = 'event' AND site_id IN ("+literals(sites)+") AND visitor_id != toUUID('00000000-0000-0000-0000-000000000000') "+
		"AND (notEmpty(segments.id) OR NOT consent_profile) GROUP BY site_id, visitor_id ORDER BY site_id, visitor_id")
	if err != nil {
		return nil, day, fmt.Errorf("read who was seen: %w", err)
	}
	return seen, last, nil
}

// eventsIn is the part of a query from FROM on of the events in a range of stored offsets, and the day of the last batch in it; the day that is
// given when it holds no rows.
func (a *Audiences) eventsIn(ctx context.Context, r Range, day time.Time) (rows string, last time.Time, err error) {
	rows = " FROM " + a.table("events") + " WHERE kafka_topic = " + clickhouseconn.Literal(r.Topic) + " AND kafka_partition = " + strconv.Itoa(r.ID) +
		" AND kafka_offset BETWEEN " + strconv.FormatInt(r.First, 10) + " AND " + strconv.FormatInt(r.Last, 10) + " AND batch_day >= '" + day.Format(time.DateOnly) + "'"
	if err := a.conn.QueryRow(ctx, "SELECT max(batch_day)"+rows).Scan(&last); err != nil {
		return "", day, fmt.Errorf("read the days of batches: %w", err)
	}
	if last.Before(day) {
		last = day
	}
	return rows, last, nil
}

func literals(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = clickhouseconn.Literal(text)
	}
	return strings.Join(quoted, ", ")
}

// VisitorsBehind returns the next visitors of a site behind one, at most limit, who have hits of the segments or were told of
// as members. Their order is ClickHouse's.
func (a *Audiences) VisitorsBehind(ctx context.Context, site string, names []string, behind uuid.UUID, limit int) ([]uuid.UUID, error) {
	after := "site_id = " + clickhouseconn.Literal(site) + " AND visitor_id > toUUID('" + behind.String() + "')"
	next := func(from string) string {
		return "(SELECT DISTINCT visitor_id FROM " + from + " ORDER BY visitor_id LIMIT " + strconv.Itoa(limit) + ")"
	}
	rows, err := a.conn.Query(ctx, "SELECT DISTINCT visitor_id FROM ("+next(a.table("visitor_facts")+" WHERE fact = 'hit' AND subject[1] IN ("+literals(names)+") AND "+after)+
		" UNION ALL "+next(a.table("audience_states")+" WHERE member AND "+after)+") ORDER BY visitor_id LIMIT "+strconv.Itoa(limit))
	if err != nil {
		return nil, fmt.Errorf("read visitors: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read visitors: %w", err)
		}
		all = append(all, id)
	}
	return all, rows.Err()
}

// Next is the first moment behind another one at which hits alone change who is a member: a hit of later than now happens, or
// a membership begins some time after its hit.
type Next struct {
	VisitorID uuid.UUID `ch:"visitor_id"`
	Due       time.Time `ch:"due"`
}

// Nexts returns that of each visitor who has one; afters are the times after which memberships of segments begin.
func (a *Audiences) Nexts(ctx context.Context, site string, ids []uuid.UUID, afters map[string]int64, at time.Time) ([]Next, error) {
	var names, ms []string
	longest := int64(0)
	for segment, after := range afters {
		names, ms = append(names, clickhouseconn.Literal(segment)), append(ms, strconv.FormatInt(after, 10))
		longest = max(longest, after)
	}
	var all []Next
	err := a.selectAsked(ctx, ids, &all, "what is due next",
		"SELECT visitor_id, min(moment) AS due FROM (SELECT visitor_id, arrayJoin([occurred_at, occurred_at + toIntervalMillisecond(transform(segment, ["+strings.Join(names, ", ")+
			"], ["+strings.Join(ms, ", ")+"], 0))]) AS moment FROM (", segments.HitsOfVisitors(a.database, "site_id = "+clickhouseconn.Literal(site)+" AND visitor_id IN (SELECT id FROM "+visitors+
			") AND subject[1] IN ("+strings.Join(names, ", ")+") AND newest_at > "+moment(at.Add(-time.Duration(longest)*time.Millisecond))),
		")) WHERE moment >", moment(at), "GROUP BY visitor_id")
	return all, err
}
