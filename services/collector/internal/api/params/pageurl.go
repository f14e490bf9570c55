package params

import (
	"net/url"
	"regexp"
	"strings"
)

// page is a page URL that was taken apart.
type page struct {
	// url is what may be stored: without fragment, user info, utm parameters, click ids and StrippedParams, path and query
	// masked.
	url string
	// utm holds the utm parameters by lower-case name, decoded.
	utm map[string]string
	// clicks are its click ids, decoded.
	clicks clicks
}

// readURL takes an http(s) URL apart. What is not touched stays byte for byte: many real URLs are not quite valid, and
// reports compare them as texts. It refuses what a browser would not take for an absolute http(s) URL.
func readURL(raw string, flags *Flags) (page, bool) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(raw), "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "http" && scheme != "https" {
		return page{}, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	end := strings.IndexAny(rest, `/?\`) // browsers take a backslash for a slash
	if end < 0 {
		end = len(rest)
	}
	host := rest[:end]
	host = strings.ToLower(host[strings.LastIndexByte(host, '@')+1:])
	if parsed, err := url.Parse(scheme + "://" + host); err != nil || parsed.Hostname() == "" {
		return page{}, false
	}
	path, query, _ := strings.Cut(rest[end:], "?")
	p := page{}
	if strings.Contains(path, ";") {
		path = sessionID.ReplaceAllString(path, "")
	}
	if kept := p.readQuery(query); kept != "" {
		path += "?" + kept
	}
	p.url = scheme + "://" + host + strings.ReplaceAll(mask(path, flags), " ", "%20")
	return p, true
}

// readQuery pulls out what belongs into fields or nowhere, and returns the rest as it was.
func (p *page) readQuery(query string) string {
	var kept []string
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(strings.TrimPrefix(pair, "amp;"), "=")
		var decoded Query // its flags are dropped: they would speak of the site's URL, not of the hit
		name, value = strings.ToLower(decoded.decode(name)), decoded.decode(value)
		switch {
		case strings.HasPrefix(name, "utm_"):
			if p.utm == nil {
				p.utm = map[string]string{}
			}
			if p.utm[name] == "" {
				p.utm[name] = value
			}
		case value != "" && p.clicks.add(name, value), clickRankKnown(name), stripped[name]:
		default:
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

func clickRankKnown(name string) bool {
	_, ok := clickRank[name]
	return ok
}

// sessionID is the path parameter in which Java servers carry a session.
var sessionID = regexp.MustCompile(`(?i);jsessionid=[^;/]*`)
