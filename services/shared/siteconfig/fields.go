package siteconfig

import (
	"encoding/hex"
	"regexp"
	"strings"
	"time"

	"github.com/bojanz/currency"
	"github.com/goccy/go-yaml/ast"
)

// rootFields are the keys of the file.
var rootFields = []field[Config]{
	{name: "sites", required: true, read: readSites},
}

// siteFields are the keys of a site.
var siteFields = []field[Site]{
	{name: "id", required: true, read: readID},
	{name: "timezone", required: true, read: readTimezone},
	{name: "currency", required: true, read: readCurrency},
	{name: "allowed_origins", read: readOrigins},
	{name: "cookie_domain", read: readCookieDomain},
	{name: "privacy", read: readPrivacy},
	{name: "consent", read: readConsent},
	{name: "minimise", read: readMinimise},
	{name: "embedded_cookie", read: readEmbeddedCookie},
	{name: "retention_days", read: readRetentionDays},
	{name: "write_keys", read: readWriteKeys},
	{name: "api_keys", read: readAPIKeys},
	{name: "rate_limit", read: readRateLimit},
	{name: "paths", read: readPaths},
	{name: "goals", read: readGoals},
	{name: "segments", read: readSegments},
	{name: "sync_partners", read: readPartners},
	{name: "webhooks", read: readWebhooks},
	{name: "mail_providers", read: readMailProviders},
}

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

func readSites(p *problems, path string, node ast.Node, cfg *Config) {
	firstWith := map[string]string{} // id to the path of its site
	keys := keyUses{write: map[KeyHash]string{}, api: map[KeyHash]string{}}
	usedPaths := map[string]pathUse{}
	readList(p, path, node, func(path string, element ast.Node) {
		site := Site{Privacy: PrivacyMeasure, WithoutConsent: WithoutConsentAnonymous, RetentionDays: DefaultRetentionDays, TCF: defaultTCF(), Minimise: Minimise{IP: IPLong}, Goals: defaultGoals()}
		readMapping(p, path, element, siteFields, &site)
		setGoalCurrencies(&site)
		warnSegments(p, path, element, &site)
		cfg.Sites = append(cfg.Sites, site)
		checkPaths(p, path, element, site.Paths, usedPaths)
		keys.check(p, path, element, &site)
		if site.ID == "" {
			return
		}
		if first, taken := firstWith[site.ID]; taken {
			p.add(start(element), path+".id", "%s is the id of %s already", quoted(site.ID), first)
			return
		}
		firstWith[site.ID] = path
	})
	if list, ok := node.(*ast.SequenceNode); ok && len(list.Values) == 0 {
		p.add(start(node), path, "is empty; it needs at least one site")
	}
}

func readID(p *problems, path string, node ast.Node, s *Site) { s.ID = readIDText(p, path, node) }

// readIDText returns the id of a site, a goal or a segment, or "" after adding a problem.
func readIDText(p *problems, path string, node ast.Node) string {
	id, ok := readText(p, path, node)
	if !ok {
		return ""
	}
	if !idPattern.MatchString(id) {
		p.add(start(node), path, "%s is not an id; write 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit", quoted(id))
		return ""
	}
	return id
}

func readTimezone(p *problems, path string, node ast.Node, s *Site) {
	name, ok := readText(p, path, node)
	if !ok {
		return
	}
	// Machines know more files than IANA knows names, such as "localtime" and
	// "right/UTC"; none of those begins with a capital. "Local" is the machine's own.
	location, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" || name[0] < 'A' || name[0] > 'Z' {
		p.add(start(node), path, "%s is not a time zone; write an IANA name such as Europe/Berlin", quoted(name))
		return
	}
	s.Timezone = location
}

func readCurrency(p *problems, path string, node ast.Node, s *Site) {
	s.Currency = readCurrencyText(p, path, node)
}

// readCurrencyText returns an ISO 4217 code, or "" after adding a problem.
func readCurrencyText(p *problems, path string, node ast.Node) string {
	code, ok := readText(p, path, node)
	if !ok {
		return ""
	}
	if code == "" || !currency.IsValid(code) {
		p.add(start(node), path, "%s is not a currency; write an ISO 4217 code such as EUR", quoted(code))
		return ""
	}
	return code
}

func readOrigins(p *problems, path string, node ast.Node, s *Site) {
	readList(p, path, node, func(path string, element ast.Node) {
		text, ok := readText(p, path, element)
		if !ok {
			return
		}
		origin, err := parseOrigin(text)
		if err != nil {
			p.add(start(element), path, "%s %s", quoted(text), err)
			return
		}
		s.AllowedOrigins = append(s.AllowedOrigins, origin)
	})
}

func readCookieDomain(p *problems, path string, node ast.Node, s *Site) {
	text, ok := readText(p, path, node)
	if !ok {
		return
	}
	domain, err := parseCookieDomain(text)
	if err != nil {
		p.add(start(node), path, "%s %s", quoted(text), err)
		return
	}
	s.CookieDomain = domain
}

func readRetentionDays(p *problems, path string, node ast.Node, s *Site) {
	if days, ok := readWholeNumber(p, path, node, MinRetentionDays, MaxRetentionDays); ok {
		s.RetentionDays = days
	}
}

func readWriteKeys(p *problems, path string, node ast.Node, s *Site) {
	readList(p, path, node, func(path string, element ast.Node) {
		text, _ := textOf(element)
		hash, ok := parseKeyHash(text)
		if !ok { // the value is not shown: it may be the key itself
			p.add(start(element), path, "is not the hash of a write key; write %s and the 64 lower-case hex digits of the key's SHA-256, never the key", keyHashPrefix)
			return
		}
		s.WriteKeys = append(s.WriteKeys, hash)
	})
}

func readRateLimit(p *problems, path string, node ast.Node, s *Site) {
	if rate, ok := readWholeNumber(p, path, node, MinRateLimit, MaxRateLimit); ok {
		s.RateLimit = rate
	}
}

// parseKeyHash reads what KeyHash.String writes.
func parseKeyHash(text string) (KeyHash, bool) {
	var hash KeyHash
	raw, err := hex.DecodeString(strings.TrimPrefix(text, keyHashPrefix))
	if err != nil || copy(hash[:], raw) != len(hash) || hash.String() != text {
		return KeyHash{}, false
	}
	return hash, true
}
