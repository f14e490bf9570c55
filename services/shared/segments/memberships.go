package segments

import (
	"embed"
	"strings"
	"text/template"
)

// MostHits is how many of a key's hits count at most, the newest.
const MostHits = 1000

// unbounded is more than any sum of MostHits amounts.
const unbounded = "toInt128(toInt64(9223372036854775807)) * 1000000"

//go:embed memberships.sql lift.sql
var files embed.FS

var memberships = template.Must(template.ParseFS(files, "*.sql"))

// Source says where a query of memberships finds what it reads. docs/audiences.md, Membership, defines what the queries answer.
type Source struct {
	// Database holds the tables of migrations 0018 and 0019.
	Database string
	// Hits is a table or a query in parentheses with the columns of segment_hits; empty = that table.
	Hits string
	// Rule is a query of one value, the rule as the block "rule" makes it; empty = the row of the table segments for the parameters
	// site, segment and version.
	Rule string
	// Zone is a query of the IANA name of the site's time zone; empty = the one of that row. Only Sizes asks for it.
	Zone string
}

// level is a step of the judgement: a block of memberships.sql, and which columns of the levels before it the next ones need.
type level struct{ block, keep string }

var (
	judged = []level{
		{"keyed", ""}, {"keys", "stop_of_all"}, {"stops", "keys"}, {"entered", "keys, stops"}, {"counted", "keys, stops"}, {"newest", "keys, stops, counted"},
	}
	byAll    = append(judged[:len(judged):len(judged)], level{"current", "keys, stops, counted, newest"})
	byNewest = append(judged[:len(judged):len(judged)], level{"newest_steps", "keys, stops, counted, newest"}, level{"current_by_newest", "keys, stops, counted, newest"})
)

// blocks are the data of the templates.
type blocks struct {
	Source
	MostHits         int
	Unbounded        string
	If, AtMany       string
	Visitors, Hashes string
	OfVisitors       string
	ByNewest, ByAll  string
}

func newBlocks(s Source) blocks {
	b := blocks{Source: s, MostHits: MostHits, Unbounded: unbounded}
	if b.Hits == "" {
		b.Hits = b.Database + ".segment_hits"
	}
	if b.Rule == "" {
		b.Rule = b.render("rule_of_segment")
	}
	if b.Zone == "" {
		b.Zone = b.render("zone_of_segment")
	}
	return b
}

func (b blocks) render(block string) string {
	var out strings.Builder
	if err := memberships.ExecuteTemplate(&out, block, b); err != nil {
		panic(err) // a block of memberships.sql that is wrong, whatever the data
	}
	return out.String()
}

// judge wraps rows in the levels; columns are those of the rows that are kept.
func (b blocks) judge(rows, columns string, levels []level) string {
	for _, l := range levels {
		kept := columns
		if l.keep != "" {
			kept += ", " + l.keep
		}
		rows = "SELECT " + kept + ",\n    " + b.render(l.block) + "\nFROM\n(\n" + rows + "\n)"
	}
	return rows
}

// HitsOfVisitors is a query of what segment_hits has, but for the columns that no membership depends on, from visitor_facts, which lies in the
// order of visitors. Condition is on that table: shards of a cluster take none from around the query.
func HitsOfVisitors(database, condition string) string {
	return "SELECT visitor_id, subject[1] AS segment, subject[2] AS version, subject[3] AS step, subject[4] AS product, toUInt16OrZero(subject[5]) AS nth, " +
		"newest_at AS occurred_at, toUUIDOrZero(subject[6]) AS event_id, toInt64OrNull(subject[7]) AS value_micros, toInt64OrNull(subject[8]) AS item_micros " +
		"FROM " + database + ".visitor_facts WHERE fact = 'hit' AND " + condition
}

// ActiveSegments is the query of the view active_segments.
func ActiveSegments(database string) string {
	return newBlocks(Source{Database: database}).render("active_segments")
}

// Members is the query of the view audience_members, with its parameters.
func Members(s Source) string {
	return newBlocks(s).ofSegment("").render("members")
}

// Sizes is the query of the view audience_sizes, with its parameters.
func Sizes(s Source) string {
	return newBlocks(s).ofSegment("ARRAY JOIN ends AS at_ms").render("sizes")
}

// ofSegment adds both ways to the members of one segment.
func (b blocks) ofSegment(atMany string) blocks {
	const columns = "visitor_id, rule, at_ms, minted, refused_ms, steps, newest_leave_of_all"
	b.AtMany = atMany
	b.If = "tupleElement(this, 'newest_decides')"
	b.ByNewest = b.judge(b.render("seen_of_segment"), columns, byNewest)
	b.If = "NOT tupleElement(this, 'newest_decides')"
	b.ByAll = b.judge(b.render("seen_of_segment"), columns, byAll)
	return b
}

// Of is the query of the view audiences_of, with its parameters.
func Of(database string) string {
	b := newBlocks(Source{Database: database})
	b.Visitors = " AND visitor_id IN {visitors:Array(UUID)}"
	b.OfVisitors = HitsOfVisitors(database, "site_id = {site:String}"+b.Visitors)
	b.Hashes = " WHERE id_hash IN (SELECT cityHash64(arrayJoin({visitors:Array(UUID)})))"
	b.ByAll = b.judge(b.render("seen_of_visitors"), "visitor_id, segment, rule, at_ms", byAll)
	return b.render("audiences_of")
}

// Explained is the query of the view audience_explained, with its parameters.
func Explained(database string) string {
	b := newBlocks(Source{Database: database})
	b.If = "true"
	b.Visitors = " AND visitor_id = {visitor:UUID}"
	b.Hashes = " WHERE id_hash = cityHash64({visitor:UUID})"
	b.ByAll = b.judge(b.render("seen_of_segment"), "rule, at_ms", judged)
	return b.render("explained")
}
