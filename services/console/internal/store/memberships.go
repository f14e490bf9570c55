package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/lookup"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/segments"
)

// hitRow is a hit of a visitor.
type hitRow struct {
	Visitor uuid.UUID `ch:"visitor_id"`
	Segment string    `ch:"segment"`
	Version string    `ch:"version"`
	Step    string    `ch:"step"`
	Product string    `ch:"product"`
	Nth     uint16    `ch:"nth"`
	At      int64     `ch:"at_ms"`
	EventID uuid.UUID `ch:"event_id"`
	Value   *int64    `ch:"value_micros"`
	Item    *int64    `ch:"item_micros"`
	// Holdout is below the permille of a segment for those who are held out of it.
	Holdout uint16 `ch:"holdout"`
}

// memberships are those of visitors now, the newest first: what the view audiences_of says, which takes the database longer to plan
// than ad servers wait. refused has the newest refusal of each, in ms. Visitors with more hits than Judge can judge are asked of the view.
func (s *Store) memberships(ctx context.Context, site string, rules []segments.Rule, hits []hitRow, refused map[uuid.UUID]int64, now time.Time) (map[uuid.UUID][]lookup.Membership, error) {
	type standing struct {
		segments.Standing
		lookup.Membership
	}
	of, at := map[uuid.UUID][]standing{}, now.UnixMilli()
	crowded := map[uuid.UUID]bool{}
	for len(hits) > 0 {
		first, n := hits[0], 1
		for n < len(hits) && hits[n].Visitor == first.Visitor && hits[n].Segment == first.Segment && hits[n].Version == first.Version {
			n++
		}
		own := hits[:n]
		hits = hits[n:]
		i := slices.IndexFunc(rules, func(r segments.Rule) bool { return r.Segment == first.Segment && r.Version == first.Version })
		switch {
		case i < 0:
		case n > segments.MostHits && own[n-1].At > at-rules[i].Reach(): // the newest come first
			crowded[first.Visitor] = true
		default:
			if m, in := rules[i].Judge(stored(own), refused[first.Visitor], at); in {
				of[first.Visitor] = append(of[first.Visitor], standing{m, lookup.Membership{
					Segment: first.Segment, Products: m.Products, EndsAt: time.UnixMilli(m.Ends).UTC(), HeldOut: first.Holdout < rules[i].HoldoutPermille,
				}})
			}
		}
	}
	all := map[uuid.UUID][]lookup.Membership{}
	for visitor, list := range of {
		slices.SortFunc(list, func(a, b standing) int {
			return cmp.Or(cmp.Compare(b.Qualified, a.Qualified), strings.Compare(a.Segment, b.Segment))
		})
		for _, m := range list {
			all[visitor] = append(all[visitor], m.Membership)
		}
	}
	return all, s.crowded(ctx, site, crowded, all)
}

func stored(rows []hitRow) []segments.StoredHit {
	hits := make([]segments.StoredHit, len(rows))
	for i, r := range rows {
		hits[i] = segments.StoredHit{Step: segments.Step(r.Step), Product: r.Product, Nth: r.Nth, At: r.At, EventID: r.EventID, ValueMicros: r.Value, ItemMicros: r.Item}
	}
	return hits
}

// crowded asks the view of visitors.
func (s *Store) crowded(ctx context.Context, site string, visitors map[uuid.UUID]bool, all map[uuid.UUID][]lookup.Membership) error {
	if len(visitors) == 0 {
		return nil
	}
	var list []uuid.UUID
	for v := range visitors {
		list = append(list, v)
		delete(all, v)
	}
	var rows []struct {
		Visitor  uuid.UUID `ch:"visitor_id"`
		Segment  string    `ch:"segment"`
		Products []string  `ch:"products"`
		EndsAt   time.Time `ch:"ends_at"`
		HeldOut  bool      `ch:"held_out"`
	}
	err := s.conn.Select(ctx, &rows, "SELECT visitor_id, toString(segment) AS segment, products, ends_at, held_out FROM "+
		s.view("audiences_of", named("site", text(site)), named("visitors", ids(list)))+" ORDER BY qualified_at DESC, segment")
	if err != nil {
		return failed("look the audiences of visitors with many hits up", err)
	}
	for _, r := range rows {
		all[r.Visitor] = append(all[r.Visitor], lookup.Membership{Segment: r.Segment, Products: r.Products, EndsAt: r.EndsAt, HeldOut: r.HeldOut})
	}
	return nil
}

// hits are those of visitors that can matter to the rules, and of a visitor and a segment one more than can be judged at most.
func (s *Store) hits(ctx context.Context, site string, rules []segments.Rule, visitors []uuid.UUID, now time.Time) ([]hitRow, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	reach := int64(0)
	for i := range rules {
		reach = max(reach, rules[i].Reach())
	}
	var rows []hitRow
	err := s.conn.Select(ctx, &rows, "SELECT visitor_id, segment, version, step, product, nth, toUnixTimestamp64Milli(occurred_at) AS at_ms, event_id, value_micros, item_micros, "+
		"toUInt16(cityHash64("+text(site)+", segment, visitor_id) % 1000) AS holdout FROM "+s.database+".segment_hits "+
		ofVisitors(site, visitors)+" AND occurred_at > fromUnixTimestamp64Milli(toInt64("+strconv.FormatInt(now.UnixMilli()-reach, 10)+")) "+
		"ORDER BY visitor_id, segment, version, occurred_at DESC LIMIT "+strconv.Itoa(segments.MostHits+1)+" BY visitor_id, segment, version")
	if err != nil {
		return nil, failed("look hits of visitors up", err)
	}
	return rows, nil
}

// siteCache has what is known of sites for as long as it is as good as new.
type siteCache struct {
	mu    sync.Mutex
	sites map[string]*cachedSite
}

type cachedSite struct {
	mu     sync.Mutex
	facts  siteFacts
	readAt time.Time
	// renewed tells that they are being read anew, by who got them last.
	renewed bool
}

// siteFacts are the rules of a site's segments that are in force, and whether it has a feed of products.
type siteFacts struct {
	rules []segments.Rule
	sells bool
}

// of returns what is cached of a site, perhaps not read yet.
func (c *siteCache) of(site string) *cachedSite {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sites == nil {
		c.sites = map[string]*cachedSite{}
	}
	if c.sites[site] == nil {
		c.sites[site] = &cachedSite{}
	}
	return c.sites[site]
}

// keepSites is how long that is used again: each change of it is one of the configuration or an import, which take longer to be everywhere.
// From half of it on somebody reads it anew.
const keepSites = time.Second

// siteFacts are those of now. Whoever comes while they are read waits for them. Where they are known and will soon be too old, one caller
// gets renew, to be called beside what else there is to do.
func (s *Store) siteFacts(ctx context.Context, site string, now time.Time) (facts siteFacts, renew func() error, err error) {
	kept := s.siteCache.of(site)
	kept.mu.Lock()
	defer kept.mu.Unlock()
	none := func() error { return nil }
	switch age := now.Sub(kept.readAt); {
	case age < keepSites/2, age < keepSites && kept.renewed:
		return kept.facts, none, nil
	case age < keepSites:
		kept.renewed = true
		return kept.facts, func() error {
			facts, err := s.readSiteFacts(ctx, site)
			kept.mu.Lock()
			defer kept.mu.Unlock()
			kept.renewed = false
			if err == nil && kept.readAt.Before(now) {
				kept.facts, kept.readAt = facts, now
			}
			return err
		}, nil
	}
	if facts, err = s.readSiteFacts(ctx, site); err == nil {
		kept.facts, kept.readAt = facts, now
	}
	return facts, none, err
}

func (s *Store) readSiteFacts(ctx context.Context, site string) (facts siteFacts, err error) {
	var errs [2]error
	var asking sync.WaitGroup
	asking.Go(func() { facts.rules, errs[0] = s.rules(ctx, site) })
	asking.Go(func() { facts.sells, errs[1] = s.hasFeed(ctx, site) })
	asking.Wait()
	return facts, errors.Join(errs[:]...)
}

func (s *Store) rules(ctx context.Context, site string) ([]segments.Rule, error) {
	var rules []segments.Rule
	err := s.conn.Select(ctx, &rules, "SELECT "+strings.Join(clickhouseconn.Columns[segments.Rule](), ", ")+" FROM "+s.database+".active_segments WHERE site_id = "+text(site))
	if err != nil {
		return nil, failed("read the rules of segments", err)
	}
	return rules, nil
}
