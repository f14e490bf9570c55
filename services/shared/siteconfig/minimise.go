package siteconfig

import "github.com/goccy/go-yaml/ast"

// Minimise is what a site wants less of than what consent allows.
type Minimise struct {
	// IP is the most that is kept of the address; IPLong unless set.
	IP IPPrefix
	// OriginOnly says that of referrers on other hosts only the origin is kept.
	OriginOnly bool
	// ReducedAgent says that of the user agent only browser, major version and system are kept, and neither client hints
	// nor the language.
	ReducedAgent bool
}

// IPPrefix is how much of an address is kept.
type IPPrefix string

// How much may be kept, the default first.
const (
	// IPLong keeps /24 of IPv4 and /48 of IPv6.
	IPLong IPPrefix = "long"
	// IPShort keeps /16 and /32.
	IPShort IPPrefix = "short"
	// IPNone keeps nothing.
	IPNone IPPrefix = "none"
)

// minimiseFields are the keys of minimise.
var minimiseFields = []field[Minimise]{
	{name: "ip", read: func(p *problems, path string, node ast.Node, m *Minimise) {
		m.IP = readWord(p, path, node, "a length of the address", []IPPrefix{IPLong, IPShort, IPNone})
	}},
	{name: "referrer", read: func(p *problems, path string, node ast.Node, m *Minimise) {
		m.OriginOnly = readWord(p, path, node, "what can be kept of a referrer", []string{"full", "origin"}) == "origin"
	}},
	{name: "user_agent", read: func(p *problems, path string, node ast.Node, m *Minimise) {
		m.ReducedAgent = readWord(p, path, node, "what can be kept of a user agent", []string{"full", "reduced"}) == "reduced"
	}},
}

func readMinimise(p *problems, path string, node ast.Node, s *Site) {
	readMapping(p, path, node, minimiseFields, &s.Minimise)
}

func readEmbeddedCookie(p *problems, path string, node ast.Node, s *Site) {
	s.PartitionedCookie = readWord(p, path, node, "a kind of cookie", []string{"none", "partitioned"}) == "partitioned"
}
