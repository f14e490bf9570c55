package lookup

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

// sitePartner is a partner of a site.
type sitePartner struct{ site, partner string }

type partnerKey struct {
	sitePartner
	id string
}

// knownVisitor is who has an id at a partner; the UUID of zeros for nobody.
type knownVisitor struct {
	visitor uuid.UUID
	readAt  time.Time
}

// OfPartner returns what may be said to a partner of the visitor whom it knows by the id: what Of returns, and nothing of one
// who does not allow sharing. The errors are those of Of.
func (l *Lookup) OfPartner(ctx context.Context, site *siteconfig.Site, partner, id string) (Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout) // of both questions
	defer cancel()
	visitor, err := l.visitorOf(ctx, partnerKey{sitePartner{site.ID, partner}, id})
	if err != nil {
		l.metrics.unanswered(err)
		return Facts{}, err
	}
	if visitor == uuid.Nil {
		l.metrics.looked(resultUnknown)
		return Facts{}, nil
	}
	facts, err := l.Of(ctx, site, visitor)
	if err != nil || !facts.Share {
		return Facts{}, err
	}
	return facts, nil
}

func (l *Lookup) visitorOf(ctx context.Context, key partnerKey) (uuid.UUID, error) {
	if known, ok := l.known.Get(key); ok && l.cfg.Now().Sub(known.readAt) < l.cfg.Keep {
		return known.visitor, nil
	}
	visitor, readAt, err := l.partners.get(ctx, key.sitePartner, key.id)
	if err != nil {
		return uuid.Nil, err
	}
	if l.cfg.Keep > 0 {
		l.known.Add(key, knownVisitor{visitor, readAt})
	}
	return visitor, nil
}
