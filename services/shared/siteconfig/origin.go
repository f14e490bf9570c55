package siteconfig

import "strings"

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
	before, after, wild := strings.Cut(allowed, "*")
	if !wild {
		return allowed == origin
	}
	return len(origin) > len(before)+len(after) && strings.HasPrefix(origin, before) && strings.HasSuffix(origin, after)
}
