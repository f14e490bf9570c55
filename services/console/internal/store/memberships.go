package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/console/internal/lookup"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/segments"
)

// memberships are those of visitors now, the newest first: what the view audiences_of says, which takes the database longer to plan
// than ad servers wait. It is asked about visitors with more hits than were read.
func (s *Store) memberships(ctx context.Context, site string, rules []segments.Rule, people map[uuid.UUID]*person, now time.Time) (map[uuid.UUID][]lookup.Membership, error) {
	type standing struct {
		segments.Standing
		lookup.Membership
	}
	at := now.UnixMilli()
	all := map[uuid.UUID][]lookup.Membership{}
	var crowded []uuid.UUID
	for visitor, p := range people {
		if p.crowded(rules, at) {
			crowded = append(crowded, visitor)
			continue
		}
		var in []standing
		for i := range rules {
			of := p.of(&rules[i])
			if m, is := rules[i].Judge(of.hits, p.refused, at); is {
				in = append(in, standing{m, lookup.Membership{
					Segment: rules[i].Segment, Products: m.Products, EndsAt: time.UnixMilli(m.Ends).UTC(), HeldOut: of.holdout < rules[i].HoldoutPermille,
				}})
			}
		}
		slices.SortFunc(in, func(a, b standing) int {
			return cmp.Or(cmp.Compare(b.Qualified, a.Qualified), strings.Compare(a.Segment, b.Segment))
		})
		for _, m := range in {
			all[visitor] = append(all[visitor], m.Membership)
		}
	}
	return all, s.askView(ctx, site, crowded, all)
}

// askView asks the view audiences_of about visitors.
func (s *Store) askView(ctx context.Context, site string, visitors []uuid.UUID, all map[uuid.UUID][]lookup.Membership) error {
	if len(visitors) == 0 {
		return nil
	}
	var rows []struct {
		Visitor  uuid.UUID `ch:"visitor_id"`
		Segment  string    `ch:"segment"`
		Products []string  `ch:"products"`
		EndsAt   time.Time `ch:"ends_at"`
		HeldOut  bool      `ch:"held_out"`
	}
	err := s.conn.Select(ctx, &rows, "SELECT visitor_id, toString(segment) AS segment, products, ends_at, held_out FROM "+
		s.view("audiences_of", named("site", text(site)), named("visitors", ids(visitors)))+" ORDER BY qualified_at DESC, segment")
	if err != nil {
		return failed("look the audiences of visitors with many hits up", err)
	}
	for _, r := range rows {
		all[r.Visitor] = append(all[r.Visitor], lookup.Membership{Segment: r.Segment, Products: r.Products, EndsAt: r.EndsAt, HeldOut: r.HeldOut})
	}
	return nil
}

// siteCache has what is known of sites for as long as it is as good as new.
type siteCache struct {
	mu       sync.Mutex
	sites    map[string]*cachedSite
	renewals sync.WaitGroup
}

type cachedSite struct {
	mu     sync.Mutex
	facts  siteFacts
	readAt time.Time
	// renewing tells that they are being read anew.
	renewing bool
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
// From half of it on it is read anew, and no batch waits for it: the next ones would wait for that batch.
const keepSites = time.Second

// siteFacts are those of now. Where they are too old, whoever comes while they are read waits for them.
func (s *Store) siteFacts(ctx context.Context, site string, now time.Time) (siteFacts, error) {
	kept := s.siteCache.of(site)
	kept.mu.Lock()
	defer kept.mu.Unlock()
	age := now.Sub(kept.readAt)
	if age >= keepSites {
		facts, err := s.readSiteFacts(ctx, site)
		if err == nil {
			kept.facts, kept.readAt = facts, now
		}
		return facts, err
	}
	if age >= keepSites/2 && !kept.renewing {
		kept.renewing = true
		s.siteCache.renewals.Go(func() { s.renew(context.WithoutCancel(ctx), site, kept, now) })
	}
	return kept.facts, nil
}

// renew reads what is cached of a site anew. Whoever finds it too old, after an error, reads it again and tells the error.
func (s *Store) renew(ctx context.Context, site string, kept *cachedSite, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, keepSites)
	defer cancel()
	facts, err := s.readSiteFacts(ctx, site)
	kept.mu.Lock()
	defer kept.mu.Unlock()
	kept.renewing = false
	if err == nil && kept.readAt.Before(now) {
		kept.facts, kept.readAt = facts, now
	}
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
