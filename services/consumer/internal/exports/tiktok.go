package exports

import (
	"regexp"
	"strings"

	"github.com/onepx/onepx/services/consumer/internal/imports"
)

// tikTokHeader are the names of hashed columns (https://ads.tiktok.com/help/article/list-of-supported-ids-and-formats-for-a-customer-file).
// A name may stand in a header up to three times; each stands once.
var tikTokHeader = []string{"Email_SHA256", "Phone_SHA256"}

// tikTokLine is a line of a customer file.
func tikTokLine(line *cells, c *imports.Contact) bool {
	line.add(c.Email, hexHash(tikTokEmail(c.Email)))
	line.add(c.Phone, hexHash(tikTokPhone(c.Phone, c.Country)))
	return line.values[0] != "" || line.values[1] != ""
}

// tikTokStart is how an address may begin.
var tikTokStart = regexp.MustCompile(`^[a-z0-9]`)

// tikTokEmail is an address in lower case without spaces, and without a + before the @ and what follows it. Dots stay: only
// older states of the page take them out.
func tikTokEmail(text string) string {
	local, domain, ok := mailbox(strings.ToLower(withoutSpaces(text)))
	if !ok || !tikTokStart.MatchString(local) {
		return ""
	}
	local, _, _ = strings.Cut(local, "+")
	return local + "@" + domain
}

// tikTokPhone is a number with the code of its country, digits only. TikTok's pages disagree about a + before it; the hash
// that they give as an example (65b7e6dc… of 37493828222) is of digits.
func tikTokPhone(phone, country string) string { return strings.TrimPrefix(e164(phone, country), "+") }
