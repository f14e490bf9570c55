package siteconfig

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// anyHost is the label that stands for all hosts below a domain.
const anyHost = "*."

// defaultPorts are left out of the origins that browsers send.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// hostNames maps host names to ASCII as browsers do.
var hostNames = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// AllowsOrigin reports whether the value of an Origin header is one of the site's
// allowed origins.
func (s *Site) AllowsOrigin(origin string) bool {
	for _, allowed := range s.AllowedOrigins {
		if matchOrigin(allowed, origin) {
			return true
		}
	}
	return false
}

func matchOrigin(allowed, origin string) bool {
	before, after, wild := strings.Cut(allowed, anyHost)
	if !wild {
		return allowed == origin
	}
	sub, ok := strings.CutPrefix(origin, before)
	if !ok {
		return false
	}
	sub, ok = strings.CutSuffix(sub, "."+after)
	return ok && sub != "" && !strings.ContainsAny(sub, "/:@")
}

// parseOrigin returns an allowed origin in the form browsers send: lower case,
// ASCII, without the scheme's default port.
func parseOrigin(text string) (string, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	rest, wild := strings.CutPrefix(rest, anyHost)
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil || defaultPorts[u.Scheme] == "" || u.Host == "" || strings.Contains(rest, "*") {
		return "", errors.New("is not an origin; write https:// or http://, a host and at most a port, such as https://shop.example.com or https://*.example.com")
	}
	if u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || strings.HasSuffix(text, "#") {
		return "", errors.New("has more than scheme, host and port; remove the rest, a slash at the end too")
	}
	host, err := parseOriginHost(u.Hostname(), wild)
	if err != nil {
		return "", err
	}
	if port := u.Port(); port != "" && port != defaultPorts[u.Scheme] {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", errors.New("has a port that is not from 1 to 65535")
		}
		host += ":" + port
	}
	if wild {
		host = anyHost + host
	}
	return u.Scheme + "://" + host, nil
}

// parseOriginHost returns the host as it stands in an origin, IPv6 in brackets.
func parseOriginHost(host string, wild bool) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if wild || addr.Zone() != "" {
			return "", errors.New("has * or a zone with an IP address")
		}
		if addr.Is6() {
			return "[" + addr.String() + "]", nil
		}
		return addr.String(), nil
	}
	ascii, ok := hostName(host)
	if !ok {
		return "", errors.New("has a host that is not a host name")
	}
	if wild && isPublicSuffix(ascii) {
		return "", errors.New("would allow hosts of different owners; write more than a public suffix after the *")
	}
	return ascii, nil
}

// parseCookieDomain returns the domain in lower-case ASCII.
func parseCookieDomain(text string) (string, error) {
	if strings.HasPrefix(text, ".") {
		return "", errors.New("begins with a dot; leave it out, subdomains are included anyway")
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return "", errors.New("is an IP address; leave cookie_domain out")
	}
	domain, ok := hostName(text)
	if !ok {
		return "", errors.New("is not a domain; write a host name such as example.com, without scheme, port and path")
	}
	if isPublicSuffix(domain) {
		return "", errors.New("is a public suffix, for which browsers refuse cookies; write a domain of yours such as example.com")
	}
	return domain, nil
}

// hostName returns the name as browsers write it, or false if it is none. A dot at
// the end, though allowed in DNS, makes another host of it for browsers.
func hostName(name string) (string, bool) {
	ascii, err := hostNames.ToASCII(name)
	return ascii, err == nil && !strings.HasSuffix(ascii, ".")
}

// isPublicSuffix reports whether domains right below host belong to different
// owners, by the Public Suffix List. localhost is everyone's own.
func isPublicSuffix(host string) bool {
	if host == "localhost" {
		return false
	}
	suffix, _ := publicsuffix.PublicSuffix(host)
	return suffix == host
}
