package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/go-faster/city"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/lookup"
)

// factRow is a refusal of a visitor, an ad that was seen, what was said of sharing, or that nothing may be told. Moments are in ms, 0
// for never; a visitor may have several rows of each, of which the newest moments hold.
type factRow struct {
	Visitor uuid.UUID `ch:"visitor_id"`
	Refused int64     `ch:"refused_ms"`
	// Campaign is of the ad that was seen at SeenAt.
	Campaign string `ch:"campaign"`
	SeenAt   int64  `ch:"seen_ms"`
	// Shared is when sharing was allowed, Unshared when not.
	Shared   int64 `ch:"shared_ms"`
	Unshared int64 `ch:"unshared_ms"`
	// Hash is of a visitor, who is left out of rows that have it: whether they wish not to be counted, perhaps because a customer
	// who was seen with the id wishes so, which the suppression list alone does not say. The last position in that list holds.
	Hash     uint64 `ch:"id_hash"`
	Wished   bool   `ch:"wished"`
	Position int64  `ch:"position"`
}

// idHash is the hash by which the table suppressed_visitors has a visitor: ClickHouse's cityHash64 of the UUID, which it holds as two
// numbers of 64 bits, the low byte first.
func idHash(visitor uuid.UUID) uint64 {
	slices.Reverse(visitor[:8])
	slices.Reverse(visitor[8:])
	return city.CH64(visitor[:])
}

// mostViews is how many views of a campaign by a visitor are counted at most.
const mostViews = 1000

// VisitorFacts asks for all that is known of the visitors at once, and then for what the site sells of it. Views of ads that a
// visitor saw before a refusal count for nothing, as all that came before it.
func (s *Store) VisitorFacts(ctx context.Context, site, day string, visitors []uuid.UUID) (map[uuid.UUID]lookup.Facts, error) {
	now := time.Now()
	known, renew, err := s.siteFacts(ctx, site, now)
	if err != nil {
		return nil, err
	}
	rules := known.rules
	quick := clickhouse.Context(ctx, clickhouse.WithSettings(ofFewVisitors))
	var hits []hitRow
	var facts []factRow
	var interest []interestRow
	var errs [4]error
	var asking sync.WaitGroup
	asking.Go(func() { hits, errs[0] = s.hits(quick, site, rules, visitors, now) })
	asking.Go(func() { facts, errs[1] = s.facts(quick, site, day, visitors) })
	asking.Go(func() { interest, errs[2] = s.interest(quick, site, visitors) })
	asking.Go(func() { errs[3] = renew() })
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
	wishes := wished(facts)
	for visitor := range all {
		if wishes[idHash(visitor)].Wished {
			delete(all, visitor)
		}
	}
	return all, s.show(ctx, site, all, seen(interest, refused, now), known.sells)
}

// told puts the facts together; refused has the newest refusal of each visitor, in ms.
func told(rows []factRow) (all map[uuid.UUID]lookup.Facts, refused map[uuid.UUID]int64) {
	all, refused = map[uuid.UUID]lookup.Facts{}, map[uuid.UUID]int64{}
	type sharing struct{ allowed, denied int64 }
	shares := map[uuid.UUID]sharing{}
	for _, r := range rows {
		refused[r.Visitor] = max(refused[r.Visitor], r.Refused)
		of := shares[r.Visitor]
		shares[r.Visitor] = sharing{max(of.allowed, r.Shared), max(of.denied, r.Unshared)}
	}
	for _, r := range rows {
		if r.Visitor == uuid.Nil {
			continue
		}
		f := all[r.Visitor]
		f.Share = shares[r.Visitor].allowed > shares[r.Visitor].denied
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

// wished has the row that holds by each hash of a visitor.
func wished(rows []factRow) map[uint64]factRow {
	last := map[uint64]factRow{}
	for _, r := range rows {
		if r.Visitor == uuid.Nil && r.Position >= last[r.Hash].Position {
			last[r.Hash] = r
		}
	}
	return last
}

// facts asks each table for rows as they are: what ClickHouse does not have to plan costs nothing.
func (s *Store) facts(ctx context.Context, site, day string, visitors []uuid.UUID) ([]factRow, error) {
	hashes := make([]string, len(visitors))
	for i, v := range visitors {
		hashes[i] = strconv.FormatUint(idHash(v), 10)
	}
	of := ofVisitors(site, visitors)
	var rows []factRow
	err := s.conn.Select(ctx, &rows, "SELECT visitor_id, toUnixTimestamp64Milli(refused_at) AS refused_ms, '' AS campaign, toInt64(0) AS seen_ms, toInt64(0) AS shared_ms, toInt64(0) AS unshared_ms, toUInt64(0) AS id_hash, false AS wished, toInt64(0) AS position FROM "+s.database+".profile_refusals "+of+
		" UNION ALL "+
		"SELECT visitor_id, 0, toString(campaign), toUnixTimestamp64Milli(occurred_at), 0, 0, 0, false, 0 FROM "+s.database+".touches "+
		"WHERE site_id = "+text(site)+" AND visitor_id IN "+ids(visitors)+" AND site_day = "+text(day)+" AND kind = 'view' AND campaign != '' ORDER BY occurred_at DESC LIMIT "+strconv.Itoa(mostViews)+" BY visitor_id, campaign"+
		" UNION ALL "+
		"SELECT visitor_id, 0, '', 0, toUnixTimestamp64Milli(allowed_at), toUnixTimestamp64Milli(refused_at), 0, false, 0 FROM "+s.database+".share_consents "+of+
		" UNION ALL "+
		"SELECT toUUID("+id(uuid.Nil)+"), 0, '', 0, 0, 0, id_hash, wished, position FROM "+s.database+".suppressed_visitors PREWHERE id_hash IN ["+strings.Join(hashes, ", ")+"]")
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
