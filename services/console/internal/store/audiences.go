package store

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Audience is a segment that is in force.
type Audience struct {
	Segment string    `ch:"segment"`
	Version string    `ch:"version"`
	Name    string    `ch:"name"`
	Rule    string    `ch:"rule"`
	SavedAt time.Time `ch:"saved_at"`
	// LivesMs is how long a membership lasts without a new event, HoldoutPermille how many of 1000 visitors are held out.
	LivesMs         int64  `ch:"lives_ms"`
	HoldoutPermille uint16 `ch:"holdout_permille"`
}

// Audiences returns the audiences of a site in the order of their ids; only the one called segment unless that is "".
func (s *Store) Audiences(ctx context.Context, site, segment string) ([]Audience, error) {
	query := "SELECT toString(segment) AS segment, toString(version) AS version, name, rule, saved_at, lives_ms, holdout_permille FROM " + s.database + ".active_segments WHERE site_id = " + text(site)
	if segment != "" {
		query += " AND segment = " + text(segment)
	}
	var all []Audience
	if err := s.conn.Select(ctx, &all, query+" ORDER BY segment"); err != nil {
		return nil, failed("list audiences", err)
	}
	return all, nil
}

// Size is how many people are in an audience.
type Size struct {
	// Members are all but those held out; Minted are those of them whose browser has never sent the id back.
	Members uint64 `ch:"members"`
	Minted  uint64 `ch:"minted_members"`
	HeldOut uint64 `ch:"held_out_members"`
}

// Size counts the members of an audience at an instant.
func (s *Store) Size(ctx context.Context, site string, audience Audience, at time.Time) (Size, error) {
	var size Size
	row := s.conn.QueryRow(ctx, "SELECT countIf(NOT held_out) AS members, countIf(NOT held_out AND minted) AS minted_members, countIf(held_out) AS held_out_members FROM "+s.members(site, audience.Segment, audience.Version, at))
	if err := row.ScanStruct(&size); err != nil {
		return Size{}, failed("count members", err)
	}
	return size, nil
}

func (s *Store) members(site, segment, version string, at time.Time) string {
	return s.view("audience_members", named("site", text(site)), named("segment", text(segment)), named("at", instant(at)), named("version", text(version)))
}

// Member is a visitor in an audience.
type Member struct {
	Visitor     uuid.UUID `ch:"visitor_id"`
	Products    []string  `ch:"products"`
	QualifiedAt time.Time `ch:"qualified_at"`
	EndsAt      time.Time `ch:"ends_at"`
	Minted      bool      `ch:"minted"`
}

// Members returns the first members after a visitor, in the order of their ids, without those held out; at most limit. after
// is the UUID of zeros for the beginning.
func (s *Store) Members(ctx context.Context, site, segment, version string, at time.Time, after uuid.UUID, limit int) ([]Member, error) {
	var page []Member
	err := s.conn.Select(ctx, &page, "SELECT visitor_id, products, qualified_at, ends_at, minted FROM "+s.members(site, segment, version, at)+
		" WHERE NOT held_out AND visitor_id > toUUID("+id(after)+") ORDER BY visitor_id LIMIT "+strconv.Itoa(limit))
	if err != nil {
		return nil, failed("list members", err)
	}
	return page, nil
}

// Day is what happened to an audience on a day of the site.
type Day struct {
	Day time.Time `ch:"day"`
	// Members are those at the end of the day, or now; Minted those of them whose browser has never sent the id back.
	Members uint64 `ch:"members"`
	Minted  uint64 `ch:"minted"`
	// Enters, Exits and Expiries are how many came in, went out, and stayed as long as they may.
	Enters   uint64 `ch:"enters"`
	Exits    uint64 `ch:"exits"`
	Expiries uint64 `ch:"expiries"`
}

// Sizes returns the days of an audience, both ends included.
func (s *Store) Sizes(ctx context.Context, site string, audience Audience, from, to time.Time) ([]Day, error) {
	var days []Day
	err := s.conn.Select(ctx, &days, "SELECT day, members, minted, enters, exits, expiries FROM "+
		s.view("audience_sizes", named("site", text(site)), named("segment", text(audience.Segment)), named("from", day(from)), named("to", day(to)), named("version", text(audience.Version)))+" ORDER BY day")
	if err != nil {
		return nil, failed("count members by day", err)
	}
	return days, nil
}

// Step is a hit, or something that ends memberships, that matters for whether a visitor is in an audience.
type Step struct {
	At      time.Time `ch:"at"`
	EventID uuid.UUID `ch:"event_id"`
	Step    string    `ch:"step"`
	Product string    `ch:"product"`
	// Counted tells whether it is one of the enters that are counted, Note what it is worth: a word of docs/audiences.md.
	Counted bool   `ch:"counted"`
	Note    string `ch:"note"`
	// Consent is what the event allowed, of measure, profile, share and cookie; DecidedBy the signal that said so.
	Consent   []string `ch:"consent"`
	DecidedBy string   `ch:"decided_by"`
}

// Explain returns the steps of a visitor in an audience, in order.
func (s *Store) Explain(ctx context.Context, site, segment string, visitor uuid.UUID, at time.Time) ([]Step, error) {
	var steps []Step
	err := s.conn.Select(ctx, &steps, "SELECT at, event_id, step, product, counted, note, consent, decided_by FROM "+
		s.view("audience_explained", named("site", text(site)), named("segment", text(segment)), named("visitor", id(visitor)), named("at", instant(at))))
	if err != nil {
		return nil, failed("explain an audience", err)
	}
	return steps, nil
}

// RuleJSON is the rule as it was configured; nil if it is not JSON.
func (a Audience) RuleJSON() json.RawMessage {
	if !json.Valid([]byte(a.Rule)) {
		return nil
	}
	return json.RawMessage(a.Rule)
}
