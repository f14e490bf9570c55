package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/lookup"
)

// factRow is a membership of a visitor, the views of a campaign, or that sharing is allowed.
type factRow struct {
	Visitor  uuid.UUID `ch:"visitor_id"`
	Segment  string    `ch:"segment"`
	Products []string  `ch:"products"`
	EndsAt   time.Time `ch:"ends_at"`
	HeldOut  bool      `ch:"held_out"`
	Campaign string    `ch:"campaign"`
	Views    uint64    `ch:"views"`
	Share    bool      `ch:"share"`
}

// VisitorFacts is one query of all facts, and for visitors in audiences some of what to show them. Views of ads that a visitor saw before a refusal count for nothing, as all that
// came before it.
func (s *Store) VisitorFacts(ctx context.Context, site, day string, visitors []uuid.UUID) (map[uuid.UUID]lookup.Facts, error) {
	const never = "toDateTime64(0, 3, 'UTC')"
	of := "site_id = " + text(site) + " AND visitor_id IN " + ids(visitors)
	var rows []factRow
	err := s.conn.Select(ctx, &rows, "SELECT visitor_id, segment, products, ends_at, held_out, campaign, views, share FROM ("+
		"SELECT visitor_id, toString(segment) AS segment, products, ends_at, held_out, '' AS campaign, toUInt64(0) AS views, false AS share, qualified_at FROM "+
		s.view("audiences_of", named("site", text(site)), named("visitors", ids(visitors)))+
		" UNION ALL "+
		"SELECT visitor_id, '', [], "+never+", false, toString(campaign), count(), false, "+never+" FROM "+s.database+".touches "+
		"LEFT JOIN (SELECT visitor_id, max(refused_at) AS refused_at FROM "+s.database+".profile_refusals WHERE "+of+" GROUP BY visitor_id) AS refusal USING (visitor_id) "+
		"WHERE "+of+" AND site_day = "+text(day)+" AND kind = 'view' AND campaign != '' AND occurred_at > refusal.refused_at GROUP BY visitor_id, campaign"+
		" UNION ALL "+
		"SELECT visitor_id, '', [], "+never+", false, '', 0, max(allowed_at) > max(refused_at), "+never+" FROM "+s.database+".share_consents WHERE "+of+" GROUP BY visitor_id"+
		") ORDER BY visitor_id, qualified_at DESC, segment, campaign")
	if err != nil {
		return nil, failed("look visitors up", err)
	}
	facts := map[uuid.UUID]lookup.Facts{}
	for _, r := range rows {
		f := facts[r.Visitor]
		f.Share = f.Share || r.Share
		if r.Segment != "" {
			f.Memberships = append(f.Memberships, lookup.Membership{Segment: r.Segment, Products: r.Products, EndsAt: r.EndsAt, HeldOut: r.HeldOut})
		}
		if r.Views > 0 {
			if f.Views == nil {
				f.Views = map[string]uint64{}
			}
			f.Views[r.Campaign] += r.Views
		}
		facts[r.Visitor] = f
	}
	return facts, s.show(ctx, site, facts)
}

// VisitorsOfPartner is one query of all ids.
func (s *Store) VisitorsOfPartner(ctx context.Context, site, partner string, ids []string) (map[string]uuid.UUID, error) {
	var rows []struct {
		ID      string    `ch:"partner_uid"`
		Visitor uuid.UUID `ch:"visitor_id"`
	}
	err := s.conn.Select(ctx, &rows, "SELECT partner_uid, visitor_id FROM "+
		s.view("visitors_of_partner", named("site", text(site)), named("partner", text(partner)), named("uids", texts(ids))))
	if err != nil {
		return nil, failed("look ids of a partner up", err)
	}
	visitors := map[string]uuid.UUID{}
	for _, r := range rows {
		visitors[r.ID] = r.Visitor
	}
	return visitors, nil
}
