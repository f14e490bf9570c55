// Package lookup answers ad servers: in which audiences is this visitor, which products to show, how often has the visitor
// seen which campaign today.
//
// Requests of the same moment become one query, and answers are kept for seconds. Whoever is on the suppression list gets the
// answer of an unknown visitor, whatever is kept.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Membership is an audience that a visitor is in.
type Membership struct {
	Segment string
	// Products are those to show, the most recent first.
	Products []string
	// EndsAt is when the membership ends, unless something happens before.
	EndsAt time.Time
	// HeldOut visitors are compared with the others, and must not be treated as members.
	HeldOut bool
}

// Consent is what the newest event of a visitor allows.
type Consent struct{ Measure, Profile, Share bool }

// Facts is what is known of a visitor.
type Facts struct {
	// Memberships are in the order of their use, the most recent first.
	Memberships []Membership
	// Consent is nil if it is not known.
	Consent *Consent
	// Views are how many ads of a campaign the visitor has seen today, by the campaign's name.
	Views map[string]uint64
}

// Source knows visitors.
type Source interface {
	// VisitorFacts returns what is known of up to 64 visitors of a site; day, YYYY-MM-DD, is the one whose views count. Unknown
	// visitors are left out.
	VisitorFacts(ctx context.Context, site, day string, visitors []uuid.UUID) (map[uuid.UUID]Facts, error)
}

// Suppressions knows whom nothing may be said of.
type Suppressions interface {
	// Contains tells whether what was received, or read, of the id at the moment is suppressed now.
	Contains(kind suppression.Kind, id []byte, moment time.Time) bool
}

// Config is what a Lookup needs.
type Config struct {
	Source       Source
	Suppressions Suppressions
	// Window is how long a query waits for more visitors; Timeout bounds each lookup.
	Window, Timeout time.Duration
	// Queries is how many queries may run at once, Waiting how many requests may wait for one.
	Queries, Waiting int
	// Keep is how long an answer is given again, 0 for not at all; Kept how many visitors' are kept at most.
	Keep  time.Duration
	Kept  int
	Meter metric.Meter
	// Now is the clock.
	Now func() time.Time
}

// Lookup answers. It may be used from anywhere at once.
type Lookup struct {
	cfg     Config
	batches *batcher
	kept    *lru.Cache[visitorKey, keptFacts]
	metrics *metrics
}

type visitorKey struct {
	group
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
	ctx, stop := context.WithCancel(context.Background())
	return &Lookup{cfg: cfg, kept: kept, metrics: m, batches: &batcher{
		load: func(ctx context.Context, of group, visitors []uuid.UUID) (map[uuid.UUID]Facts, error) {
			return cfg.Source.VisitorFacts(ctx, of.site, of.day, visitors)
		},
		window: cfg.Window, timeout: cfg.Timeout,
		slots: make(chan struct{}, cfg.Queries), waiting: make(chan struct{}, cfg.Waiting),
		loaded: m.batch, open: map[group]*batch{}, ctx: ctx, stop: stop,
	}}, nil
}

// Close ends what runs; lookups at work get an error.
func (l *Lookup) Close() { l.batches.close() }

// Of returns what may be said of a visitor now: nothing of one who is suppressed or unknown. The error is ErrBusy, wraps
// context.DeadlineExceeded, or says why the source did not answer.
func (l *Lookup) Of(ctx context.Context, site *siteconfig.Site, visitor uuid.UUID) (Facts, error) {
	now := l.cfg.Now()
	if l.suppressed(visitor, now) {
		l.metrics.looked(resultSuppressed)
		return Facts{}, nil
	}
	key := visitorKey{group{site.ID, now.In(site.Timezone).Format(time.DateOnly)}, visitor}
	// What was read before an erasure is as good as gone.
	if kept, ok := l.kept.Get(key); ok && now.Sub(kept.readAt) < l.cfg.Keep && !l.suppressed(visitor, kept.readAt) {
		l.metrics.looked(resultKept)
		return kept.facts.at(now), nil
	}
	facts, readAt, err := l.batches.get(ctx, key.group, visitor)
	switch {
	case errors.Is(err, ErrBusy):
		l.metrics.looked(resultBusy)
		return Facts{}, err
	case errors.Is(err, context.DeadlineExceeded):
		l.metrics.looked(resultTimeout)
		return Facts{}, err
	case err != nil:
		l.metrics.looked(resultFailed)
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
	return l.cfg.Suppressions.Contains(suppression.Visitor, visitor[:], moment)
}

// at is what may be said at a moment: no audience that has ended, none that the visitor is held out of, and of a visitor
// whose newest event does not allow profiling nothing but that.
func (f Facts) at(now time.Time) Facts {
	if f.Consent != nil && !f.Consent.Profile {
		return Facts{Consent: f.Consent}
	}
	visible := f
	visible.Memberships = nil
	for _, m := range f.Memberships {
		if !m.HeldOut && now.Before(m.EndsAt) {
			visible.Memberships = append(visible.Memberships, m)
		}
	}
	return visible
}
