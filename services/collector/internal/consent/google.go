package consent

import (
	"regexp"
	"strings"
)

// Google is what Google's consent mode says. Tags send `gcs`, since version 2 also `gcd`; where several speak of the same
// kind, one that denies it is enough. Google publishes no format; this is what its tags are seen to send.
type Google struct {
	// Given tells that consent mode is in use on the page.
	Given bool
	// Which kinds are not granted: storage for ads and for analytics, handing data of a person to ads, ads made for a person.
	NoAdStorage, NoAnalyticsStorage, NoAdUserData, NoAdPersonalization bool
}

var (
	gcs = regexp.MustCompile(`^G1[01-]{2}$`)
	// gcd is a letter for each kind between digits that tell of the page; newer tags append more.
	gcd = regexp.MustCompile(`^1\d([a-z])\d([a-z])\d([a-z])\d([a-z])\d([a-z]\d){0,8}$`)
)

// AddGCS reads `gcs`: G1, ad storage, analytics storage. It returns false if the text is none.
func (g *Google) AddGCS(text string) bool {
	if !gcs.MatchString(text) {
		return false
	}
	if text == "G1--" { // consent mode is not in use
		return true
	}
	g.Given = true
	g.NoAdStorage = g.NoAdStorage || text[2] != '1'
	g.NoAnalyticsStorage = g.NoAnalyticsStorage || text[3] != '1'
	return true
}

// granted are the letters of gcd that end in a grant: by default, by the visitor's choice, or both. The others are denials,
// and l: not set, which counts as denied once another kind is set.
const granted = "trnv"

// AddGCD reads `gcd`: ad storage, analytics storage, ad user data, ad personalization. It returns false if the text is none.
func (g *Google) AddGCD(text string) bool {
	m := gcd.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	letters := m[1:5]
	if strings.Join(letters, "") == "llll" { // consent mode is not in use
		return true
	}
	g.Given = true
	for i, denied := range []*bool{&g.NoAdStorage, &g.NoAnalyticsStorage, &g.NoAdUserData, &g.NoAdPersonalization} {
		*denied = *denied || !strings.Contains(granted, letters[i])
	}
	return true
}
