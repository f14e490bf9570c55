package store

import (
	"maps"
	"slices"
	"strings"

	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/segments"
)

// The functions here are template functions of migrations: expressions that several reports share. docs/questions.md defines
// what they compute. A report that has been applied does not follow a change of them; it takes a new migration.

// NoID is the UUID of nobody and of nothing.
func (s Schema) NoID() string { return "toUUID('00000000-0000-0000-0000-000000000000')" }

// OnSite tells whether an event's visitor was on the site: ads are shown, ids exchanged and mails read anywhere.
func (s Schema) OnSite() string {
	return "kind NOT IN ('impression', 'sync', 'email_open', 'email_click', 'email_unsubscribe', 'email_delivery')"
}

// DaysBefore is the day so many days before the range of a report. Days end at both sides of what a Date holds: without that,
// a report from 1970-01-01 on would begin in 2149.
func (s Schema) DaysBefore(days string) string {
	return "toDate(greatest(toInt32({from:Date}) - (" + days + "), 0))"
}

// DaysAfter is the day so many days after the range of a report.
func (s Schema) DaysAfter(days string) string {
	return "toDate(least(toInt32({to:Date}) + (" + days + "), 65535))"
}

// Known tells whether an event's visitor is its visitor id and not its daily hash: browsers or the site have sent us the id.
// The arguments are the columns of the visitor's kind and id; the query has the parameter site.
func (s Schema) Known(kind, id string) string {
	return s.knownAmong(kind, id, "")
}

func (s Schema) knownAmong(kind, id, among string) string {
	return "multiIf(" + kind + " IN ('cookie', 'provided'), true, " + kind + " = 'minted', " + id +
		" IN (SELECT visitor_id FROM " + s.Database + ".visitors WHERE site_id = {site:String} AND returned" + among + "), false)"
}

// Visitor is the visitor of an event, NoID when there is none, from its columns of the visitor's kind, id and daily hash.
func (s Schema) Visitor(kind, id, hash string) string {
	return "if(" + s.Known(kind, id) + ", " + id + ", " + hash + ")"
}

// VisitorOfHit is the visitor of a row of conversion_hits for which the condition holds. Few have an id that was only minted,
// so that it need not read all visitors.
func (s Schema) VisitorOfHit(condition string) string {
	among := " AND visitor_id IN (SELECT visitor_id FROM " + s.Database + ".conversion_hits WHERE site_id = {site:String} AND visitor_kind = 'minted' AND " + condition + ")"
	return "if(" + s.knownAmong("visitor_kind", "visitor_id", among) + ", visitor_id, daily_hash)"
}

// ShortID is a number that sets are made of where more than needed does no harm: of an id's 128 bits it has 64, of which sets
// are several times as fast. A site may give ids of which these are 0, as they are of NoID.
func (s Schema) ShortID(id string) string { return "reinterpretAsUInt64(" + id + ")" }

// Person is the person of an event: its own user key, else one of its visitor's, else the visitor. given are the user keys
// of the visitor, one tuple (instant, event id, user key) for each instant, in order. No AND and no BETWEEN: above nested
// queries ClickHouse's analysis of each of them costs as much as that of the whole query.
func (s Schema) Person(userKey, visitor, at, given string) string {
	return strings.NewReplacer("$key", userKey, "$visitor", visitor, "$at", at, "$given", given, "$none", s.NoID()).Replace(`multiIf(
                $key != $none, $key,
                $visitor = $none, $none,
                empty($given), $visitor,
                arrayExists(k -> if(k.1 >= $at, k.1 <= $at + toIntervalDay(30), false), $given), arrayFirst(k -> k.1 >= $at, $given).3,
                arrayExists(k -> k.1 < $at, $given), arrayLast(k -> k.1 < $at, $given).3,
                $visitor)`)
}

// Converted is an amount, in whole micros, at two exchange rates, rounded half away from zero. A rate of 0 is none, for which
// the caller must not use the result.
func (s Schema) Converted(amount, fromRate, toRate string) string {
	return "toInt128(sign(" + amount + ") * intDiv(2 * toInt256(abs(" + amount + ")) * " + toRate + " + " + fromRate + ", 2 * greatest(" + fromRate + ", toInt256(1))))"
}

// HeldRows are the numbers of rows of each table that hold the id of the parameter: rows (table_name, rows).
func (s Schema) HeldRows() string {
	return s.ofPersonalTables(func(t personal.Table) string {
		var held []string
		for _, column := range slices.Sorted(maps.Keys(t.IDs)) {
			held = append(held, column+" = {id:UUID}")
		}
		if len(held) == 0 {
			return ""
		}
		return "count() AS rows FROM " + s.Database + "." + t.Name + " WHERE " + strings.Join(held, " OR ")
	})
}

// Expiries are the moments at which the rows of each table are to go: rows (table_name, expired).
func (s Schema) Expiries() string {
	return s.ofPersonalTables(func(t personal.Table) string {
		expired := "expires_at"
		switch t.Name {
		case "events":
			expired = "toDateTime(declared_at) + toIntervalDay(retention_days)"
		case "event_ids":
			expired = "toDateTime(batch_day) + toIntervalDay(15)"
		}
		return expired + " AS expired FROM " + s.Database + "." + t.Name
	})
}

// ofPersonalTables joins what is asked of each table about people; nothing is asked of one for which ask returns "".
func (s Schema) ofPersonalTables(ask func(personal.Table) string) string {
	var all []string
	for _, t := range personal.Tables {
		if query := ask(t); query != "" {
			all = append(all, "SELECT '"+t.Name+"' AS table_name, "+query)
		}
	}
	return strings.Join(all, "\n    UNION ALL\n    ")
}

// ActiveSegments is the query of the view of this name.
func (s Schema) ActiveSegments() string { return segments.ActiveSegments(s.Database) }

// AudienceMembers is the query of the view of this name.
func (s Schema) AudienceMembers() string {
	return segments.Members(segments.Source{Database: s.Database})
}

// VisitorHits is the query of the hits of visitors for whom the condition on visitor_facts holds.
func (s Schema) VisitorHits(condition string) string {
	return segments.HitsOfVisitors(s.Database, condition)
}

// AudiencesOf is the query of the view of this name.
func (s Schema) AudiencesOf() string { return segments.Of(s.Database) }

// AudienceSizes is the query of the view of this name.
func (s Schema) AudienceSizes() string { return segments.Sizes(segments.Source{Database: s.Database}) }

// RetargetingLift is the query of the view of this name.
func (s Schema) RetargetingLift() string { return segments.Lift(s.Database) }

// AudienceExplained is the query of the view of this name.
func (s Schema) AudienceExplained() string { return segments.Explained(s.Database) }
