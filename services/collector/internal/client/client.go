// Package client finds out who is asking: the client address behind trusted proxies, what may be kept of it, and where in
// the world it is. It is the only package that sees a full address, and it hands none out.
package client

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/dunglas/httpsfv"
	"github.com/gaissmai/bart"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

// length is how many bits are kept of an address.
type length struct{ ipv4, ipv6 int }

// The two lengths: the long one where the visitor's signals allow it, else the short one.
var (
	long  = length{24, 48}
	short = length{16, 32}
)

// Info is what is known of the client of a request.
type Info struct {
	// Prefix is the truncated address in text form (203.0.113.0, 2001:db8:1::), or "" if there is no believable address.
	Prefix string
	// Country is the ISO 3166-1 code, Region the ISO 3166-2 subdivision without it; "" if not known.
	Country, Region string
	Class           onepxv1.NetworkClass
	// HTTPS tells whether the visitor's own connection was encrypted, as far as a trusted proxy says so.
	HTTPS bool
	// Prefetch tells that the browser fetched ahead of time.
	Prefetch bool
	// ForwardedInvalid tells that a trusted proxy sent a header that can't be read.
	ForwardedInvalid bool
}

// ShortPrefix is what is kept of the prefix where a precise location is not allowed (203.0.0.0, 2001:db8::), or "".
func (i Info) ShortPrefix() string {
	addr, err := netip.ParseAddr(i.Prefix)
	if err != nil {
		return ""
	}
	return truncate(addr, short)
}

// Resolver reads requests. It may be used from anywhere at once.
type Resolver struct {
	trusted     *bart.Lite
	datacenters *Datacenters
	geo         *Geo
}

// New returns a resolver that believes forwarding headers of peers in the trusted prefixes only. datacenters and geo may be nil.
func New(trusted []netip.Prefix, datacenters *Datacenters, geo *Geo) *Resolver {
	return &Resolver{trusted: table(trusted), datacenters: datacenters, geo: geo}
}

// ParsePrefixes reads prefixes (10.0.0.0/8) and single addresses.
func ParsePrefixes(texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range texts {
		text = strings.TrimSpace(text)
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			prefixes = append(prefixes, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a prefix such as 10.0.0.0/8", text)
		}
		if prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%q: write IPv4 prefixes as such", text)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

func table(prefixes []netip.Prefix) *bart.Lite {
	t := &bart.Lite{}
	for _, prefix := range prefixes {
		t.Insert(prefix)
	}
	return t
}

// Resolve reads the request's peer and headers.
func (r *Resolver) Resolve(req *http.Request) Info {
	info := Info{Class: onepxv1.NetworkClass_NETWORK_CLASS_UNKNOWN, HTTPS: req.TLS != nil}
	hidden := false
	info.Prefetch, hidden = prefetch(req.Header)
	addr, ok := parsePeer(req.RemoteAddr)
	if !ok {
		return info
	}
	if r.trusted.Lookup(addr) {
		proto, _, _ := strings.Cut(req.Header.Get("X-Forwarded-Proto"), ",") // the first one is the visitor's side
		info.HTTPS = info.HTTPS || strings.EqualFold(strings.TrimSpace(proto), "https")
		if addr, ok = r.forwarded(addr, req.Header.Values("X-Forwarded-For")); !ok {
			info.ForwardedInvalid = true
			return info
		}
	}
	r.locate(addr, &info)
	if hidden {
		info.Country, info.Region = "", ""
	}
	return info
}

// Given returns what is known of the visitor at an address that a server gives; "" is none. It returns false if the address
// can't be read.
func (r *Resolver) Given(address string) (Info, bool) {
	info := Info{Class: onepxv1.NetworkClass_NETWORK_CLASS_UNKNOWN}
	if address == "" {
		return info, true
	}
	addr, ok := parseHop(address)
	if ok {
		r.locate(addr, &info)
	}
	return info, ok
}

// locate keeps of the address what may be kept.
func (r *Resolver) locate(addr netip.Addr, info *Info) {
	info.Prefix = truncate(addr, long)
	info.Class = onepxv1.NetworkClass_NETWORK_CLASS_PUBLIC
	switch {
	case notRouted.Lookup(addr):
		info.Class = onepxv1.NetworkClass_NETWORK_CLASS_PRIVATE
	case r.datacenters.has(addr):
		info.Class = onepxv1.NetworkClass_NETWORK_CLASS_DATACENTER
	}
	info.Country, info.Region = r.geo.Lookup(addr)
}

// forwarded walks the hops from the nearest one: the first that is not trusted is the client, as everything left of it may
// be made up. If all are trusted the client is one of ours, the farthest. A hop that can't be read ends the search without
// an address: the one before it is a proxy, and the ones behind it can't be believed.
func (r *Resolver) forwarded(peer netip.Addr, headers []string) (netip.Addr, bool) {
	chain := strings.Join(headers, ",")
	if strings.TrimSpace(chain) == "" {
		return peer, true
	}
	addr := peer
	hops := strings.Split(chain, ",")
	for i := len(hops) - 1; i >= 0; i-- {
		var ok bool
		if addr, ok = parseHop(hops[i]); !ok {
			return netip.Addr{}, false
		}
		if !r.trusted.Lookup(addr) {
			break
		}
	}
	return addr, true
}

func parsePeer(text string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(text)
	return normal(ap.Addr()), err == nil
}

// parseHop reads an address with or without port, IPv6 with or without brackets.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.Trim(strings.TrimSpace(text), `"`)
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return normal(ap.Addr()), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.IsUnspecified() {
		return netip.Addr{}, false
	}
	return normal(addr), true
}

// normal makes ::ffff:203.0.113.7 the IPv4 address it is, and drops the zone, which means something on one machine only.
func normal(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func truncate(addr netip.Addr, keep length) string {
	bits := keep.ipv6
	if addr.Is4() {
		bits = keep.ipv4
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.Addr().String()
}

// notRouted holds what is not routed on the internet: the IANA special-purpose registries of IPv4 and IPv6.
var notRouted = func() *bart.Lite {
	prefixes, err := ParsePrefixes([]string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
		"::/127", "64:ff9b:1::/48", "100::/64", "2001:2::/48", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7",
		"fe80::/10", "fec0::/10", "ff00::/8",
	})
	if err != nil {
		panic(err) // a typing error above, found by the first test
	}
	return table(prefixes)
}()

// prefetch reads Sec-Purpose (a structured list, RFC 9651) and the headers it replaced. hidden tells that the address is a
// proxy of the browser's maker, so it says nothing of where the visitor is.
func prefetch(h http.Header) (is, hidden bool) {
	if list, err := httpsfv.UnmarshalList(h.Values("Sec-Purpose")); err == nil {
		for _, member := range list {
			item, ok := member.(httpsfv.Item)
			if !ok || item.Value != httpsfv.Token("prefetch") {
				continue
			}
			is = true
			value, given := item.Params.Get("anonymous-client-ip")
			hidden = hidden || given && value != false
		}
	}
	for _, name := range []string{"Purpose", "X-Purpose", "X-Moz"} {
		switch strings.ToLower(strings.TrimSpace(h.Get(name))) {
		case "prefetch", "preview", "instant":
			is = true
		}
	}
	return is, hidden
}
