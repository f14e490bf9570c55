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
	"github.com/onepx/onepx/services/console/internal/tailor"
	"github.com/onepx/onepx/services/shared/segments"
)

// factRow is a row of the table visitor_facts, whose comments say what its columns mean. At is in ms.
type factRow struct {
	Visitor uuid.UUID `ch:"visitor_id"`
	Fact    string    `ch:"fact"`
	Subject []string  `ch:"subject"`
	At      int64     `ch:"at_ms"`
	Detail  string    `ch:"detail"`
}

// wishRow says that nothing may be told of a visitor, or that it may again: because they wish so, or a customer who was seen with the
// id, which the suppression list alone does not say. Of several rows the last position in that list holds.
type wishRow struct {
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

const (
	// quickFacts is how many facts of all visitors of a batch are read as they are: some 30 MB. Where there are more, only those that can
	// matter are asked for, and some of each kind: a query that takes half as long again to plan.
	quickFacts = 100_000
	// mostFacts is how many facts of a kind are then read of a visitor, whichever they are. Where that leaves hits out the database judges; no
	// person has seen as many products, or ads today.
	mostFacts = 10 * segments.MostHits
)

// VisitorFacts asks for all that is known of the visitors at once, and then for what the site sells of it.
func (s *Store) VisitorFacts(ctx context.Context, site, day string, visitors []uuid.UUID) (map[uuid.UUID]lookup.Facts, error) {
	now := time.Now()
	of, err := s.siteFacts(ctx, site, now)
	if err != nil {
		return nil, err
	}
	quick := clickhouse.Context(ctx, clickhouse.WithSettings(ofFewVisitors))
	var rows []factRow
	var wishes []wishRow
	var cut bool
	var errs [2]error
	var asking sync.WaitGroup
	asking.Go(func() { rows, cut, errs[0] = s.facts(quick, site, day, of.rules, visitors, now) })
	asking.Go(func() { wishes, errs[1] = s.wishes(quick, visitors) })
	asking.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	people := told(rows, cut)
	wished := lastWishes(wishes)
	for visitor := range people {
		if wished[idHash(visitor)].Wished {
			delete(people, visitor)
		}
	}
	memberships, err := s.memberships(ctx, site, of.rules, people, now)
	if err != nil {
		return nil, err
	}
	all, products := map[uuid.UUID]lookup.Facts{}, map[uuid.UUID][]tailor.Seen{}
	for visitor, p := range people {
		all[visitor] = lookup.Facts{Memberships: memberships[visitor], Share: p.shared > p.unshared, Views: p.viewsOfAds(day)}
		products[visitor] = p.seen(now)
	}
	return all, s.show(ctx, site, all, products, of.sells)
}

// facts asks for rows as they are: what ClickHouse does not have to plan costs nothing. Cut says that no more than mostFacts + 1 of a kind
// were read, of those that can matter.
func (s *Store) facts(ctx context.Context, site, day string, rules []segments.Rule, visitors []uuid.UUID, now time.Time) (rows []factRow, cut bool, err error) {
	rows, err = s.factRows(ctx, site, visitors, "LIMIT "+strconv.Itoa(quickFacts+1))
	if err != nil || len(rows) <= quickFacts {
		return rows, false, err
	}
	reach := int64(0)
	for i := range rules {
		reach = max(reach, rules[i].Reach())
	}
	since := "fromUnixTimestamp64Milli(toInt64(" + strconv.FormatInt(now.UnixMilli()-reach, 10) + "))"
	rows, err = s.factRows(ctx, site, visitors, "AND multiIf(fact = 'hit', newest_at > "+since+", fact = 'ad', subject[1] = "+text(day)+", true) LIMIT "+strconv.Itoa(mostFacts+1)+" BY visitor_id, fact")
	return rows, true, err
}

func (s *Store) factRows(ctx context.Context, site string, visitors []uuid.UUID, which string) ([]factRow, error) {
	var rows []factRow
	err := s.conn.Select(ctx, &rows, "SELECT visitor_id, fact, subject, toUnixTimestamp64Milli(newest_at) AS at_ms, detail FROM "+s.database+".visitor_facts "+ofVisitors(site, visitors)+" "+which)
	if err != nil {
		return nil, failed("look visitors up", err)
	}
	return rows, nil
}

func (s *Store) wishes(ctx context.Context, visitors []uuid.UUID) ([]wishRow, error) {
	hashes := make([]string, len(visitors))
	for i, v := range visitors {
		hashes[i] = strconv.FormatUint(idHash(v), 10)
	}
	var rows []wishRow
	err := s.conn.Select(ctx, &rows, "SELECT id_hash, wished, position FROM "+s.database+".suppressed_visitors PREWHERE id_hash IN ["+strings.Join(hashes, ", ")+"]")
	if err != nil {
		return nil, failed("look wishes of visitors up", err)
	}
	return rows, nil
}

// lastWishes has the row that holds by each hash of a visitor.
func lastWishes(rows []wishRow) map[uint64]wishRow {
	last := map[uint64]wishRow{}
	for _, r := range rows {
		if r.Position >= last[r.Hash].Position {
			last[r.Hash] = r
		}
	}
	return last
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
