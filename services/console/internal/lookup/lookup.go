// Package lookup answers ad servers: in which audiences is this visitor, which products to show, how often has the visitor
// seen which campaign today.
//
// Requests of the same moment become one query, and answers are kept for seconds. Whoever is on the suppression list gets the
// answer of an unknown visitor, whatever is kept.
package lookup

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/console/internal/tailor"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Membership is an audience that a visitor is in.
type Membership struct {
	Segment string
	// Products are those by which the visitor is in it, the most recent first.
	Products []string
	// Show is the product to show; nil if there is none.
	Show *tailor.Shown
	// EndsAt is when the membership ends, unless something happens before.
	EndsAt time.Time
	// HeldOut visitors are compared with the others, and must not be treated as members.
	HeldOut bool
}

// Facts is what is known of a visitor.
type Facts struct {
	// Memberships are in the order of their use, the most recent first. Each rests on events that allow profiling.
	Memberships []Membership
	// Share tells that the newest event that says something about it allows to hand the visitor's data to others.
	Share bool
	// Views are how many ads of a campaign the visitor has seen today, by the campaign's name.
	Views map[string]uint64
}

// Source knows visitors.
type Source interface {
	// VisitorFacts returns what is known of up to 64 visitors of a site; day, YYYY-MM-DD, is the one whose views count. Unknown
	// visitors are left out.
	VisitorFacts(ctx context.Context, site, day string, visitors []uuid.UUID) (map[uuid.UUID]Facts, error)
	// VisitorsOfPartner returns the visitors who have up to 64 ids at a partner of a site. Unknown ids are left out.
	VisitorsOfPartner(ctx context.Context, site, partner string, ids []string) (map[string]uuid.UUID, error)
}

// Suppressions knows whom nothing may be said of.
type Suppressions interface {
	// Withheld tells whether nothing that was read of the visitor at the moment may be said now.
	Withheld(visitor []byte, moment time.Time) bool
}

// Config is what a Lookup needs.
type Config struct {
	Source       Source
	Suppressions Suppressions
	// Window is how long a query waits for more visitors; Timeout bounds each lookup.
	Window, Timeout time.Duration
	// Queries is how many queries may run at once, Waiting how many requests may wait for one.
	Queries, Waiting int
	// Keep is how long an answer is given again, 0 for not at all; Kept how many visitors' are kept at most, and how many
	// partners' ids.
	Keep  time.Duration
	Kept  int
	Meter metric.Meter
	// Now is the clock.
	Now func() time.Time
}

// Lookup answers. It may be used from anywhere at once.
type Lookup struct {
	cfg      Config
	visitors *batcher[siteDay, uuid.UUID, Facts]
	partners *batcher[sitePartner, string, uuid.UUID]
	// kept is what was read of visitors, known who has the ids of partners.
	kept    *lru.Cache[visitorKey, keptFacts]
	known   *lru.Cache[partnerKey, knownVisitor]
	metrics *metrics
	stop    context.CancelFunc
}

// siteDay is a site, and the day of it, YYYY-MM-DD, whose views of ads count.
type siteDay struct{ site, day string }

type visitorKey struct {
	siteDay
	visitor uuid.UUID
}

type keptFacts struct {
	facts  Facts
	readAt time.Time
}

// New returns a Lookup; Close ends it.
func New(cfg Config) (*Lookup, error) {
	m, err := newMetrics(cfg.Meter)
	if err != nil {
		return nil, fmt.Errorf("lookup metrics: %w", err)
	}
	kept, err := lru.New[visitorKey, keptFacts](cfg.Kept)
	if err != nil {
		return nil, err
	}
	known, err := lru.New[partnerKey, knownVisitor](cfg.Kept)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	shared := limits{
		window: cfg.Window, timeout: cfg.Timeout, slots: make(chan struct{}, cfg.Queries), waiting: make(chan struct{}, cfg.Waiting),
		loaded: m.batch, now: cfg.Now, ctx: ctx,
	}
	return &Lookup{
		cfg: cfg, kept: kept, known: known, metrics: m, stop: stop,
		visitors: newBatcher(shared, func(ctx context.Context, of siteDay, visitors []uuid.UUID) (map[uuid.UUID]Facts, error) {
			return cfg.Source.VisitorFacts(ctx, of.site, of.day, visitors)
		}),
		partners: newBatcher(shared, func(ctx context.Context, of sitePartner, ids []string) (map[string]uuid.UUID, error) {
			return cfg.Source.VisitorsOfPartner(ctx, of.site, of.partner, ids)
		}),
	}, nil
}

// Close ends what runs, and returns when it has ended; lookups at work get an error.
func (l *Lookup) Close() {
	l.stop()
	l.visitors.running.Wait()
	l.partners.running.Wait()
}

// Of returns what may be said of a visitor now: nothing of one who is suppressed or unknown. The error is ErrBusy, wraps
// context.DeadlineExceeded, or says why the source did not answer.
func (l *Lookup) Of(ctx context.Context, site *siteconfig.Site, visitor uuid.UUID) (Facts, error) {
	now := l.cfg.Now()
	if l.suppressed(visitor, now) {
		l.metrics.looked(resultSuppressed)
		return Facts{}, nil
	}
	key := visitorKey{siteDay{site.ID, now.In(site.Timezone).Format(time.DateOnly)}, visitor}
	// What was read before an erasure is as good as gone.
	if kept, ok := l.kept.Get(key); ok && now.Sub(kept.readAt) < l.cfg.Keep && !l.suppressed(visitor, kept.readAt) {
		l.metrics.looked(resultKept)
		return kept.facts.at(now), nil
	}
	facts, readAt, err := l.visitors.get(ctx, key.siteDay, visitor)
	if err != nil {
		l.metrics.unanswered(err)
		return Facts{}, err
	}
	if now = l.cfg.Now(); l.suppressed(visitor, now) || l.suppressed(visitor, readAt) {
		l.metrics.looked(resultSuppressed)
		return Facts{}, nil
	}
	if l.cfg.Keep > 0 {
		l.kept.Add(key, keptFacts{facts, readAt})
	}
	l.metrics.looked(resultRead)
	return facts.at(now), nil
}

func (l *Lookup) suppressed(visitor uuid.UUID, moment time.Time) bool {
	return l.cfg.Suppressions.Withheld(visitor[:], moment)
}

// at is what may be said at a moment: no audience that has ended, none that the visitor is held out of.
func (f Facts) at(now time.Time) Facts {
	visible := f
	visible.Memberships = nil
	for _, m := range f.Memberships {
		if !m.HeldOut && now.Before(m.EndsAt) {
			visible.Memberships = append(visible.Memberships, m)
		}
	}
	return visible
}
