// Package enrich derives from an event what its row says beyond the event itself: the site's day, currency and retention,
// the browser and device, whether a person did it, the channel that brought the visitor, the goals of the site that the
// event is a hit of, and the conditions of its segments that the event fulfils.
//
// It promises that the facts depend on nothing but the event and the Rules: no clock, no network, no state between events.
// So a declared batch can be made again, byte for byte, as long as New accepts the declared rules. It never fails on an
// event. The store's row builder calls it, in this order: NewRules at the start, Rules.Text and Hash for the declaration,
// New for these rules (or ParseRules and New for older ones, when a range is recovered), then Facts for each event.
//
// Whoever changes what comes out raises the constant Enrichment; testdata/facts.golden tells when that is.
package enrich

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	useragent "github.com/medama-io/go-useragent"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/segments"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// ErrOtherEnrichment means that this binary can't make the declared rules: they were made by another version of the code
// or its lists.
var ErrOtherEnrichment = errors.New("this binary can't make the declared rules")

// Enricher derives facts under one set of rules. It may be used from many goroutines at once.
type Enricher struct {
	sites    map[string]site
	agents   *useragent.Parser
	crawlers *crawlers
	sources  *sources
}

// site is what holds for a site.
type site struct {
	zone          *time.Location
	currency      string
	retentionDays uint16
	goals         goals
	segments      *segments.Matcher
}

// noSegments is for sites without any.
var noSegments, _ = segments.Compile(nil)

// unknownSite is for events of a site that has been taken out of the configuration.
var unknownSite = site{zone: time.UTC, retentionDays: siteconfig.DefaultRetentionDays, segments: noSegments}

// New returns the enricher of the rules; the error is ErrOtherEnrichment when this binary would derive other facts than the
// one that declared them.
func New(rules Rules) (*Enricher, error) {
	if rules.Enrichment != Enrichment {
		return nil, fmt.Errorf("%w: enrichment %q, not %q", ErrOtherEnrichment, rules.Enrichment, Enrichment)
	}
	e := &Enricher{sites: make(map[string]site, len(rules.Sites)), agents: useragent.NewParser()}
	for id, r := range rules.Sites {
		zone, err := time.LoadLocation(r.Timezone)
		if err != nil {
			return nil, fmt.Errorf("%w: site %q: %w", ErrOtherEnrichment, id, err)
		}
		goals, err := newGoals(r.Goals)
		if err != nil {
			return nil, fmt.Errorf("%w: site %q: %w", ErrOtherEnrichment, id, err)
		}
		matcher, err := segments.Compile(r.Segments)
		if err != nil {
			return nil, fmt.Errorf("%w: site %q: %w", ErrOtherEnrichment, id, err)
		}
		e.sites[id] = site{zone: zone, currency: r.Currency, retentionDays: r.RetentionDays, goals: goals, segments: matcher}
	}
	if !maps.Equal(rules.Lists, lists(e.sites)) {
		return nil, fmt.Errorf("%w: other lists or time zones", ErrOtherEnrichment)
	}
	var err error
	if e.crawlers, err = newCrawlers(crawlerList); err != nil {
		return nil, err
	}
	if e.sources, err = newSources(); err != nil {
		return nil, err
	}
	return e, nil
}

// Facts derives the facts of an event. A nil event is an empty one.
func (e *Enricher) Facts(event *onepxv1.Event) Facts {
	site := e.site(event.GetSiteId())
	pageHost, pagePath := splitURL(event.GetPage().GetUrl())
	referrerHost, _ := splitURL(event.GetPage().GetReferrer())
	class := e.trafficClass(event)
	agent := e.agent(event.GetClient().GetUserAgent(), class)
	arrival := e.arrival(event, referrerHost, pageHost)
	currency := event.GetCommerce().GetCurrency()
	if currency == "" {
		currency = site.currency
	}
	facts := Facts{
		SiteDay:        DayIn(site.zone, time.UnixMilli(event.GetOccurredAtMs())),
		Currency:       currency,
		SiteCurrency:   site.currency,
		RetentionDays:  site.retentionDays,
		Browser:        agent.browser,
		BrowserVersion: agent.browserVersion,
		OS:             agent.os,
		OSVersion:      agent.osVersion,
		Device:         agent.device,
		TrafficClass:   class,
		IsBot:          isBot(class),
		Channel:        arrival.channel(),
		Source:         arrival.source.name,
		Medium:         arrival.medium,
		Campaign:       arrival.campaign,
		ReferrerHost:   referrerHost,
		PageHost:       pageHost,
		PagePath:       pagePath,
		Goals:          site.goals.hits(event, currency, site.currency),
	}
	if segments.TakesPart(event, facts.IsBot) {
		facts.Segments = site.segments.Hits(event, currency, site.currency)
	}
	return facts
}

// SiteDay is 00:00 UTC of the date that the site's time zone shows at t; UTC for a site that the rules don't know. The
// dates are those that ClickHouse's Date holds: earlier and later ones become the first and the last.
func (e *Enricher) SiteDay(siteID string, t time.Time) time.Time {
	return DayIn(e.site(siteID).zone, t)
}

func (e *Enricher) site(id string) site {
	if known, ok := e.sites[id]; ok {
		return known
	}
	return unknownSite
}

// splitURL returns the host, lower case and without port, and the path as it stands; both empty when the text is no http(s)
// URL. It takes what net/url refuses and browsers send, such as /100%-off.
func splitURL(text string) (host, path string) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return "", ""
	}
	path = "/"
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		if rest[end] == '/' {
			path, _, _ = strings.Cut(rest[end:], "#")
			path, _, _ = strings.Cut(path, "?")
		}
		rest = rest[:end]
	}
	host = rest[strings.LastIndexByte(rest, '@')+1:]
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		host = host[:colon]
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if host == "" {
		return "", ""
	}
	return host, path
}
