package exports

import (
	"strings"

	"github.com/onepx/onepx/services/consumer/internal/imports"
)

// tradeDeskLine is a line of CRM data for The Trade Desk: one hashed address a line and no header, as its type
// EmailHashedUnifiedId2 has it. Telephone numbers are data of another type, and are not taken in the EU.
func tradeDeskLine(line *cells, c *imports.Contact) bool {
	line.add(c.Email, base64Hash(tradeDeskEmail(c.Email)))
	return line.values[0] != ""
}

// tradeDeskEmail is an address as UID2 has it (https://unifiedid.com/docs/getting-started/gs-normalization-encoding): in lower
// case without spaces around it; of gmail.com without dots before the @, and without a + and what follows it.
func tradeDeskEmail(text string) string {
	local, domain, ok := mailbox(strings.ToLower(strings.TrimSpace(text)))
	if !ok {
		return ""
	}
	if domain == "gmail.com" {
		local, _, _ = strings.Cut(local, "+")
		if local = strings.ReplaceAll(local, ".", ""); local == "" {
			return ""
		}
	}
	return local + "@" + domain
}
