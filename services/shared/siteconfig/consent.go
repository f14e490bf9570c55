package siteconfig

import "github.com/goccy/go-yaml/ast"

// Bounds of TCF.
const (
	// MinVendor and MaxVendor bound TCF.Vendor.
	MinVendor = 0
	MaxVendor = 65535
	// MinProvider and MaxProvider bound TCF.ACProvider.
	MinProvider = 0
	MaxProvider = 999_999
	// MinPurpose and MaxPurpose are the first and the last purpose that the framework defines.
	MinPurpose = 1
	MaxPurpose = 11
)

// TCF says how consent strings of IAB Europe's Transparency & Consent Framework are read for the site.
type TCF struct {
	// Vendor is the id in the Global Vendor List under which the operator processes data, or 0 where the site's publisher
	// does so itself, which is the default.
	Vendor int
	// Measure, Profile and Share are the purposes (MinPurpose to MaxPurpose) that must all be allowed for the effect; unless set
	// 8 (measure content), 3 and 4 (make and use profiles for ads), 2, 3 and 4. A cookie always needs purpose 1.
	Measure, Profile, Share []int
	// ACProvider is the id under which Google's list of ad technology providers has the operator, for one who is not in the
	// Global Vendor List: audiences and sharing then need additional consent too. 0, the default, is none.
	ACProvider int
}

func defaultTCF() TCF {
	return TCF{Measure: []int{8}, Profile: []int{3, 4}, Share: []int{2, 3, 4}}
}

// consentFields are the keys of consent.
var consentFields = []field[Site]{
	{name: "regions", read: readRegions},
	{name: "without", read: readWithoutConsent},
	{name: "tcf", read: func(p *problems, path string, node ast.Node, s *Site) {
		readMapping(p, path, node, tcfFields, &s.TCF)
	}},
}

// tcfFields are the keys of consent.tcf.
var tcfFields = []field[TCF]{
	{name: "vendor", read: func(p *problems, path string, node ast.Node, t *TCF) {
		if id, ok := readWholeNumber(p, path, node, MinVendor, MaxVendor); ok {
			t.Vendor = id
		}
	}},
	{name: "ac_provider", read: func(p *problems, path string, node ast.Node, t *TCF) {
		if id, ok := readWholeNumber(p, path, node, MinProvider, MaxProvider); ok {
			t.ACProvider = id
		}
	}},
	{name: "measure", read: purposeReader(func(t *TCF) *[]int { return &t.Measure })},
	{name: "profile", read: purposeReader(func(t *TCF) *[]int { return &t.Profile })},
	{name: "share", read: purposeReader(func(t *TCF) *[]int { return &t.Share })},
}

func readConsent(p *problems, path string, node ast.Node, s *Site) {
	readMapping(p, path, node, consentFields, s)
}

func purposeReader(of func(*TCF) *[]int) func(*problems, string, ast.Node, *TCF) {
	return func(p *problems, path string, node ast.Node, t *TCF) {
		var purposes []int
		readList(p, path, node, func(path string, element ast.Node) {
			if purpose, ok := readWholeNumber(p, path, element, MinPurpose, MaxPurpose); ok {
				purposes = append(purposes, purpose)
			}
		})
		if list, ok := node.(*ast.SequenceNode); ok && len(list.Values) == 0 {
			p.add(start(node), path, "is empty; write the purposes that must be allowed, from %d to %d", MinPurpose, MaxPurpose)
		}
		*of(t) = purposes
	}
}
