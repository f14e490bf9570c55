package siteconfig

import (
	"regexp"

	"github.com/goccy/go-yaml/ast"
	"golang.org/x/text/language"
)

// eea stands for the countries of the European Economic Area, where the GDPR applies.
const eea = "EEA"

// eeaCountries are the members of the European Union with their parts that have codes of their own (Åland, and those of France
// overseas that belong to the Union), and Iceland, Liechtenstein and Norway.
var eeaCountries = []string{
	"AX", "GF", "GP", "MF", "MQ", "RE", "YT",
	"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT", "LU",
	"LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
}

var subdivision = regexp.MustCompile(`^[A-Z]{2}-[A-Z0-9]{1,3}$`)

// PrivacyIn returns the mode for a visitor in a country (ISO 3166-1) and a region of it (ISO 3166-2 without the country), ""
// where they are not known.
func (s *Site) PrivacyIn(country, region string) Privacy {
	if mode, ok := s.Regions[country+"-"+region]; ok {
		return mode
	}
	if mode, ok := s.Regions[country]; ok {
		return mode
	}
	return s.Privacy
}

// HasCookies tells whether there is a place where a visitor may get a cookie.
func (s *Site) HasCookies() bool {
	for _, mode := range s.Regions {
		if mode != PrivacyCookieless {
			return true
		}
	}
	return s.Privacy != PrivacyCookieless
}

func readPrivacy(p *problems, path string, node ast.Node, s *Site) {
	s.Privacy = readWord(p, path, node, "a privacy mode", Modes)
}

func readWithoutConsent(p *problems, path string, node ast.Node, s *Site) {
	s.WithoutConsent = readWord(p, path, node, "what can become of an event",
		[]WithoutConsent{WithoutConsentAnonymous, WithoutConsentCount, WithoutConsentNothing})
}

// regionFields are the keys of consent.regions: the modes, each with a list of places.
var regionFields = func() (fields []field[Site]) {
	for _, mode := range Modes {
		fields = append(fields, field[Site]{name: string(mode), read: func(p *problems, path string, node ast.Node, s *Site) {
			readList(p, path, node, func(path string, element ast.Node) {
				place, _ := readText(p, path, element)
				for _, code := range places(p, path, element, place) {
					if _, taken := s.Regions[code]; taken {
						p.add(start(element), path, "%s is here for the second time", code)
					}
					s.Regions[code] = mode
				}
			})
		}})
	}
	return fields
}()

func readRegions(p *problems, path string, node ast.Node, s *Site) {
	s.Regions = map[string]Privacy{}
	readMapping(p, path, node, regionFields, s)
}

// places returns the codes that a text stands for, or none after adding a problem.
func places(p *problems, path string, node ast.Node, text string) []string {
	if text == eea {
		return eeaCountries
	}
	country := text
	if subdivision.MatchString(text) {
		country = text[:2]
	}
	if region, err := language.ParseRegion(country); err == nil && len(country) == 2 && region.IsCountry() && region.String() == country {
		return []string{text}
	}
	if text != "" {
		p.add(start(node), path, "%s is not a place; write a country (DE), a part of one (US-CA) or EEA", quoted(text))
	}
	return nil
}
