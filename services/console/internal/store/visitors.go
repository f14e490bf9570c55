package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/lookup"
)

// factRow is the newest refusal of a visitor, the views of a campaign, or that sharing is allowed.
type factRow struct {
	Visitor  uuid.UUID `ch:"visitor_id"`
	Refused  int64     `ch:"refused_ms"`
	Campaign string    `ch:"campaign"`
	Views    uint64    `ch:"views"`
	Share    bool      `ch:"share"`
}

// VisitorFacts asks for all that is known of the visitors at once, and then for what the site sells of it. Views of ads that a
// visitor saw before a refusal count for nothing, as all that came before it.
func (s *Store) VisitorFacts(ctx context.Context, site, day string, visitors []uuid.UUID) (map[uuid.UUID]lookup.Facts, error) {
	now := time.Now()
	rules, err := s.rules(ctx, site, now)
	if err != nil {
		return nil, err
	}
	var hits []hitRow
	var facts []factRow
	var interest []interestRow
	var sells bool
	var errs [4]error
	var asking sync.WaitGroup
	asking.Go(func() { hits, errs[0] = s.hits(ctx, site, rules, visitors, now) })
	asking.Go(func() { facts, errs[1] = s.facts(ctx, site, day, visitors) })
	asking.Go(func() { interest, errs[2] = s.interest(ctx, site, visitors) })
	asking.Go(func() { sells, errs[3] = s.hasFeed(ctx, site) })
	asking.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	all, refused := map[uuid.UUID]lookup.Facts{}, map[uuid.UUID]int64{}
	for _, r := range facts {
		f := all[r.Visitor]
		f.Share = f.Share || r.Share
		if r.Views > 0 {
			if f.Views == nil {
				f.Views = map[string]uint64{}
			}
			f.Views[r.Campaign] += r.Views
		}
		all[r.Visitor] = f
		refused[r.Visitor] = max(refused[r.Visitor], r.Refused)
	}
	memberships, err := s.memberships(ctx, site, rules, hits, refused, now)
	if err != nil {
		return nil, err
	}
	for visitor, list := range memberships {
		f := all[visitor]
		f.Memberships = list
		all[visitor] = f
	}
	return all, s.show(ctx, site, all, seen(interest, refused, now), sells)
}

func (s *Store) facts(ctx context.Context, site, day string, visitors []uuid.UUID) ([]factRow, error) {
	of := "site_id = " + text(site) + " AND visitor_id IN " + ids(visitors)
	refusals := "(SELECT visitor_id, max(refused_at) AS refused_at FROM " + s.database + ".profile_refusals WHERE " + of + " GROUP BY visitor_id)"
	var rows []factRow
	err := s.conn.Select(ctx, &rows, "SELECT visitor_id, toUnixTimestamp64Milli(refused_at) AS refused_ms, '' AS campaign, toUInt64(0) AS views, false AS share FROM "+refusals+
		" UNION ALL "+
		"SELECT visitor_id, 0, toString(campaign), count(), false FROM "+s.database+".touches LEFT JOIN "+refusals+" AS refusal USING (visitor_id) "+
		"WHERE "+of+" AND site_day = "+text(day)+" AND kind = 'view' AND campaign != '' AND occurred_at > refusal.refused_at GROUP BY visitor_id, campaign"+
		" UNION ALL "+
		"SELECT visitor_id, 0, '', 0, max(allowed_at) > max(refused_at) FROM "+s.database+".share_consents WHERE "+of+" GROUP BY visitor_id")
	if err != nil {
		return nil, failed("look visitors up", err)
	}
	return rows, nil
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
