package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/segments"
)

// Audiences reads memberships and keeps the tables of the audience stream; package audiences has the procedure.
type Audiences struct {
	conn     driver.Conn
	database string
}

// NewAudiences returns the Audiences of a database that Migrate has prepared.
func NewAudiences(conn driver.Conn, database string) *Audiences { return &Audiences{conn, database} }

// ErrStreaming says that another process keeps the audience stream of the same database.
var ErrStreaming = errors.New("another process keeps the audience stream")

// Lock makes this the only one that keeps the stream, until the returned context ends or unlock is called. The error wraps
// ErrStreaming when somebody else has it.
func (a *Audiences) Lock(ctx context.Context) (locked context.Context, unlock func(), err error) {
	return lock{a.conn, "onepx-audiences-" + a.database, ErrStreaming}.hold(ctx)
}

// visitors is the name of the external table of the visitors of a question.
const visitors = "asked"

// asking sends visitors with a query.
func asking(ctx context.Context, ids []uuid.UUID) (context.Context, error) {
	table, err := ext.NewTable(visitors, ext.Column("id", "UUID"))
	for _, id := range ids {
		if err == nil {
			err = table.Append(id)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("send visitors: %w", err)
	}
	return clickhouse.Context(ctx, clickhouse.WithExternalTable(table)), nil
}

// selectAsked reads the rows of a question about visitors, which stand in the table asked.
func (a *Audiences) selectAsked(ctx context.Context, ids []uuid.UUID, into any, what string, query ...string) error {
	ctx, err := asking(ctx, ids)
	if err == nil {
		err = a.conn.Select(ctx, into, strings.Join(query, " "))
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

func (a *Audiences) table(name string) string { return a.database + "." + name }

// moment is a time as an expression.
func moment(t time.Time) string { return "toDateTime64('" + instantText(t) + "', 3, 'UTC')" }

// StreamedSegment is a segment whose changes are told.
type StreamedSegment struct {
	SiteID  string `ch:"site_id"`
	Segment string `ch:"segment"`
	Version string `ch:"version"`
	// Removed says that it is not configured any more: everybody leaves it.
	Removed bool `ch:"removed"`
	// AfterMs is how long after an event a membership may begin.
	AfterMs int64 `ch:"after_ms"`
	// ChangedAt is when anything of it was changed.
	ChangedAt time.Time `ch:"changed_at"`
}

// Segments returns the segments whose changes are told, by site and segment.
func (a *Audiences) Segments(ctx context.Context) ([]StreamedSegment, error) {
	var all []StreamedSegment
	err := a.conn.Select(ctx, &all, "SELECT site_id, segment, argMaxIf(version, saved_at, state = 'active') AS version, argMax(state, saved_at) = 'removed' AS removed, "+
		"argMaxIf(after_ms, saved_at, state = 'active') AS after_ms, maxIf(saved_at, state != 'filling') AS changed_at FROM "+a.table("segments")+" "+
		"GROUP BY site_id, segment HAVING argMaxIf(stream, saved_at, state = 'active') ORDER BY site_id, segment")
	if err != nil {
		return nil, fmt.Errorf("read segments: %w", err)
	}
	return all, nil
}

// State is what was told last of a visitor and a segment.
type State struct {
	VisitorID   uuid.UUID `ch:"visitor_id"`
	Segment     string    `ch:"segment"`
	Member      bool      `ch:"member"`
	Version     string    `ch:"version"`
	QualifiedAt time.Time `ch:"qualified_at"`
	EndsAt      time.Time `ch:"ends_at"`
	ChangeID    uuid.UUID `ch:"change_id"`
	ChangedAt   time.Time `ch:"changed_at"`
	KeptUntil   time.Time `ch:"expires_at"`
}

// States returns the states of visitors of a site.
func (a *Audiences) States(ctx context.Context, site string, ids []uuid.UUID) ([]State, error) {
	var all []State
	err := a.selectAsked(ctx, ids, &all, "audience states", "SELECT", strings.Join(clickhouseconn.Columns[State](), ", "), "FROM", a.table("audience_states"), "FINAL",
		"WHERE site_id =", clickhouseconn.Literal(site), "AND visitor_id IN (SELECT id FROM "+visitors+")")
	return all, err
}

// Membership is a visitor's in a segment.
type Membership struct {
	VisitorID   uuid.UUID `ch:"visitor_id"`
	Segment     string    `ch:"segment"`
	Version     string    `ch:"version"`
	Products    []string  `ch:"products"`
	QualifiedAt time.Time `ch:"qualified_at"`
	EndsAt      time.Time `ch:"ends_at"`
	HeldOut     bool      `ch:"held_out"`
}

// Memberships returns those of visitors of a site at a moment, in all of its segments.
func (a *Audiences) Memberships(ctx context.Context, site string, ids []uuid.UUID, at time.Time) ([]Membership, error) {
	quoted := make([]string, len(ids))
	for i, id := range ids {
		quoted[i] = "'" + id.String() + "'"
	}
	var all []Membership
	err := a.conn.Select(ctx, &all, "SELECT "+strings.Join(clickhouseconn.Columns[Membership](), ", ")+" FROM "+a.table("audiences_of")+
		"(site = "+clickhouseconn.Literal(site)+", visitors = ["+strings.Join(quoted, ", ")+"], at = '"+instantText(at)+"')")
	if err != nil {
		return nil, fmt.Errorf("read memberships: %w", err)
	}
	return all, nil
}

// Leaving is something by which a visitor may have left segments.
type Leaving struct {
	VisitorID uuid.UUID `ch:"visitor_id"`
	// Segment is set for a Reason of ReasonLeft only: the others are about all segments.
	Segment string    `ch:"segment"`
	Reason  string    `ch:"reason"`
	At      time.Time `ch:"at"`
}

// The reasons of audience_left. ReasonExpired: no new event came in time. ReasonChanged: the rule is another one, or gone.
const (
	ReasonLeft       = "left"
	ReasonRefused    = "refused"
	ReasonSuppressed = "suppressed"
	ReasonExpired    = "expired"
	ReasonChanged    = "changed"
)

// Leavings returns, for visitors of a site, the last refusal, the wish to be in no audience, and the last event of each segment
// that fulfils its condition to leave, up to a moment.
func (a *Audiences) Leavings(ctx context.Context, site string, ids []uuid.UUID, at time.Time) ([]Leaving, error) {
	of := "site_id = " + clickhouseconn.Literal(site) + " AND visitor_id IN (SELECT id FROM " + visitors + ")"
	var all []Leaving
	err := a.selectAsked(ctx, ids, &all, "why visitors left",
		"SELECT visitor_id, '' AS segment, '"+ReasonRefused+"' AS reason, max(refused_at) AS at FROM", a.table("profile_refusals"), "WHERE", of, "GROUP BY visitor_id",
		"UNION ALL SELECT id, '', '"+ReasonSuppressed+"',", moment(at), "FROM", visitors, "WHERE cityHash64(id) IN (", a.wishedOf(visitors), ")",
		"UNION ALL SELECT visitor_id, segment, '"+ReasonLeft+"', max(occurred_at) FROM (", segments.HitsOfVisitors(a.database, of+" AND subject[3] = 'leave' AND newest_at <= "+moment(at)), ") GROUP BY visitor_id, segment")
	return all, err
}

// wishedOf is a query of the hashes of those who are in no audience by their wish, among the ids of a table.
func (a *Audiences) wishedOf(ids string) string {
	return "SELECT id_hash FROM " + a.table("suppressed_visitors") + " FINAL WHERE wished AND id_hash IN (SELECT cityHash64(id) FROM " + ids + ")"
}
