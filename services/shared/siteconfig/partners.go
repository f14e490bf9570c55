package siteconfig

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Bounds of partners, all of them also in the schema.
const (
	// MaxPartners is how many partners a site may have, and MaxRedirects how many hosts one may redirect to.
	MaxPartners  = 100
	MaxRedirects = 20

	maxPartnerURL = 2048 // bytes of a template
)

// What a partner's URL has for the visitor's id and for the place where the partner may bring its own.
const (
	visitorPlace  = "{visitor}"
	callbackPlace = "{callback}"
)

// Partner is somebody with whom a site exchanges ids of visitors (cookie sync).
type Partner struct {
	// ID is the partner's name in requests and rows: like Site.ID, unique in the site. Required.
	ID string
	// URL is where visitors are sent to be known there, with at least one of the two places; empty where the partner begins.
	// Ask SyncURL.
	URL string
	// Redirects are the hosts, in lower-case ASCII, to which the partner may have its visitors sent on. Ask AllowsRedirect.
	Redirects []string
	// Vendor is the partner's id in the Global Vendor List, or 0: consent strings are then not asked for the partner itself.
	Vendor int
}

// Partner returns the site's partner with this id.
func (s *Site) Partner(id string) (*Partner, bool) {
	i := slices.IndexFunc(s.Partners, func(p Partner) bool { return p.ID == id })
	if i < 0 {
		return nil, false
	}
	return &s.Partners[i], true
}

// SyncURL is the partner's URL with the visitor's id and, encoded, the URL to which the partner is to add its own id.
func (p *Partner) SyncURL(visitor, callback string) string {
	return strings.NewReplacer(visitorPlace, url.QueryEscape(visitor), callbackPlace, url.QueryEscape(callback)).Replace(p.URL)
}

// AllowsRedirect reports whether visitors may be sent on to the URL. Its host must be letter for letter one of the list, right
// between https:// and the path, so that no two programs can take another one for it: no user, port, dot at the end, capitals,
// and nothing but visible ASCII without backslashes in the whole of it.
func (p *Partner) AllowsRedirect(target string) bool {
	host, https := strings.CutPrefix(target, "https://")
	if !https || !plain(target) {
		return false
	}
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	return slices.Contains(p.Redirects, host)
}

// plain tells that every program reads the URL alike.
func plain(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) < 0
}

// partnerFields are the keys of a partner.
var partnerFields = []field[Partner]{
	{name: "id", required: true, read: func(p *problems, path string, node ast.Node, one *Partner) { one.ID = readIDText(p, path, node) }},
	{name: "url", read: readPartnerURL},
	{name: "redirects", read: readRedirects},
	{name: "tcf_vendor", read: func(p *problems, path string, node ast.Node, one *Partner) {
		if id, ok := readWholeNumber(p, path, node, 1, MaxVendor); ok {
			one.Vendor = id
		}
	}},
}

func readPartners(p *problems, path string, node ast.Node, s *Site) {
	firstWith := map[string]string{} // id to the path of its partner
	readList(p, path, node, func(path string, element ast.Node) {
		var one Partner
		readMapping(p, path, element, partnerFields, &one)
		s.Partners = append(s.Partners, one)
		if one.ID == "" {
			return
		}
		if first, taken := firstWith[one.ID]; taken {
			p.add(placeOf(element, "id"), path+".id", "%s is the id of %s already", quoted(one.ID), first)
			return
		}
		firstWith[one.ID] = path
	})
	if len(s.Partners) > MaxPartners {
		p.add(start(node), path, "has %d partners; at most %d are allowed", len(s.Partners), MaxPartners)
	}
}

func readPartnerURL(p *problems, path string, node ast.Node, one *Partner) {
	text, ok := readText(p, path, node)
	if !ok {
		return
	}
	if err := checkPartnerURL(text); err != nil {
		p.add(start(node), path, "%s %s", quoted(text), err)
		return
	}
	one.URL = text
}

func checkPartnerURL(text string) error {
	filled := strings.NewReplacer(visitorPlace, "", callbackPlace, "").Replace(text)
	u, err := url.Parse(filled)
	switch {
	case len(text) > maxPartnerURL || !plain(text) || err != nil || !strings.HasPrefix(text, "https://") || u.Host == "" || u.User != nil:
		return errors.New("is not a partner's URL; write at most 2048 bytes of ASCII that begin with https:// and a host, such as https://sync.partner.example/match?to={callback}$UID")
	case strings.ContainsAny(filled, "{}"):
		return errors.New("has other braces than those of {visitor} and {callback}; write %7B and %7D for those of the partner")
	case filled == text:
		return errors.New("has no place for an id; write {visitor} where the visitor's id is to stand, or {callback} where the partner takes the URL to which it adds its own")
	case !strings.HasPrefix(text, "https://"+u.Host+"/") && !strings.HasPrefix(text, "https://"+u.Host+"?"):
		return errors.New("has a place in its host; write {visitor} and {callback} after it")
	case strings.Contains(filled, "#"):
		return errors.New("has a #, and what follows it browsers do not send; write %23")
	}
	if _, err := parseOrigin("https://" + u.Host); err != nil {
		return err
	}
	return nil
}

func readRedirects(p *problems, path string, node ast.Node, one *Partner) {
	readList(p, path, node, func(path string, element ast.Node) {
		text, ok := readText(p, path, element)
		if !ok {
			return
		}
		host, isName := hostName(text)
		if _, err := netip.ParseAddr(text); !isName || err == nil {
			p.add(start(element), path, "%s is not a host; write a host name such as sync.partner.example, without scheme, port and path", quoted(text))
			return
		}
		one.Redirects = append(one.Redirects, host)
	})
	if len(one.Redirects) > MaxRedirects {
		p.add(start(node), path, "has %d hosts; at most %d are allowed", len(one.Redirects), MaxRedirects)
	}
}
