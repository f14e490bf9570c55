package store

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/lookup"
)

// factRow is the newest refusal of a visitor, an ad that was seen, that sharing is allowed, or that nothing may be told.
type factRow struct {
	Visitor uuid.UUID `ch:"visitor_id"`
	Refused int64     `ch:"refused_ms"`
	// Campaign is of the ad that was seen at SeenAt.
	Campaign string `ch:"campaign"`
	SeenAt   int64  `ch:"seen_ms"`
	Share    bool   `ch:"share"`
	// Wished tells that the visitor is not to be counted, perhaps because a customer who was seen with the id wishes so: who that
	// is, the suppression list alone does not say.
	Wished bool `ch:"wished"`
}

// mostViews is how many views of a campaign by a visitor are counted at most.
const mostViews = 1000

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
	all, refused := told(facts)
	memberships, err := s.memberships(ctx, site, rules, hits, refused, now)
	if err != nil {
		return nil, err
	}
	for visitor, list := range memberships {
		f := all[visitor]
		f.Memberships = list
		all[visitor] = f
	}
	for _, r := range facts {
		if r.Wished {
			delete(all, r.Visitor)
		}
	}
	return all, s.show(ctx, site, all, seen(interest, refused, now), sells)
}

// told puts the facts together; refused has the newest refusal of each visitor, in ms.
func told(rows []factRow) (all map[uuid.UUID]lookup.Facts, refused map[uuid.UUID]int64) {
	all, refused = map[uuid.UUID]lookup.Facts{}, map[uuid.UUID]int64{}
	for _, r := range rows {
		refused[r.Visitor] = max(refused[r.Visitor], r.Refused)
	}
	for _, r := range rows {
		f := all[r.Visitor]
		f.Share = f.Share || r.Share
		if r.Campaign != "" && r.SeenAt > refused[r.Visitor] {
			if f.Views == nil {
				f.Views = map[string]uint64{}
			}
			f.Views[r.Campaign]++
		}
		all[r.Visitor] = f
	}
	return all, refused
}

func (s *Store) facts(ctx context.Context, site, day string, visitors []uuid.UUID) ([]factRow, error) {
	of := "site_id = " + text(site) + " AND visitor_id IN " + ids(visitors)
	var rows []factRow
	err := s.conn.Select(ctx, &rows, "SELECT visitor_id, toUnixTimestamp64Milli(max(refused_at)) AS refused_ms, '' AS campaign, toInt64(0) AS seen_ms, false AS share, false AS wished FROM "+s.database+".profile_refusals WHERE "+of+" GROUP BY visitor_id"+
		" UNION ALL "+
		"SELECT visitor_id, 0, toString(campaign), toUnixTimestamp64Milli(occurred_at), false, false FROM "+s.database+".touches "+
		"WHERE "+of+" AND site_day = "+text(day)+" AND kind = 'view' AND campaign != '' ORDER BY occurred_at DESC LIMIT "+strconv.Itoa(mostViews)+" BY visitor_id, campaign"+
		" UNION ALL "+
		"SELECT visitor_id, 0, '', 0, max(allowed_at) > max(refused_at), false FROM "+s.database+".share_consents WHERE "+of+" GROUP BY visitor_id"+
		" UNION ALL "+
		"SELECT visitor_id, 0, '', 0, false, true FROM (SELECT arrayJoin(CAST("+ids(visitors)+", 'Array(UUID)')) AS visitor_id) WHERE cityHash64(visitor_id) IN "+
		"(SELECT id_hash FROM "+s.database+".suppressed_visitors WHERE id_hash IN (SELECT cityHash64(arrayJoin(CAST("+ids(visitors)+", 'Array(UUID)')))) GROUP BY id_hash HAVING argMax(wished, position))")
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
