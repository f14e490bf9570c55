package enrich

import (
	"strconv"
	"strings"
)

// impossibility is a rule by which a user agent can't be a browser's, whatever it says. A rule is here only when no browser of
// today or of the past breaks it; docs/quality.md lists them.
type impossibility struct {
	id string
	// holds gets the user agent, and what stands in its first brackets: the system, as far as it is a browser's.
	holds func(userAgent, system string) bool
}

var impossibilities = []impossibility{
	{"browser_version", func(userAgent, _ string) bool {
		for _, marker := range versionMarkers {
			if major(userAgent, marker) >= impossibleVersion {
				return true
			}
		}
		return false
	}},
	{"windows_version", func(userAgent, system string) bool {
		return strings.HasPrefix(userAgent, "Mozilla/") && major(system, "Windows NT ") > 10
	}},
	{"two_systems", func(_, system string) bool {
		return strings.Contains(system, "Windows NT ") && containsAny(system, "Android", "iPhone", "iPad", "Macintosh", "CrOS ")
	}},
	{"internet_explorer", func(userAgent, system string) bool {
		return containsAny(system, "MSIE ", "Trident/") && containsAny(system, "Android", "iPhone", "iPad", "CrOS ") &&
			!containsAny(userAgent, "Windows", "Opera")
	}},
	{"safari_on_windows", func(userAgent, system string) bool {
		return strings.Contains(system, "Windows NT ") && strings.Contains(userAgent, " Safari/") && major(userAgent, " Version/") > 5 &&
			!containsAny(userAgent, "Chrome/", "Chromium/", "Edg")
	}},
	{"blink_on_ios", func(userAgent, system string) bool {
		return strings.HasPrefix(system, "iP") && strings.Contains(userAgent, "AppleWebKit/537.36 ") && strings.Contains(userAgent, " Chrome/")
	}},
	{"no_system", func(userAgent, system string) bool {
		return strings.HasPrefix(userAgent, "Mozilla/5.0 (") && strings.TrimSpace(system) == ""
	}},
	{"header_name", func(userAgent, _ string) bool {
		const name = "user-agent:"
		return len(userAgent) > len(name) && strings.EqualFold(userAgent[:len(name)], name) || strings.HasPrefix(userAgent, `"`) || strings.HasPrefix(userAgent, "'")
	}},
}

// versionMarkers stand before the version of browsers that count in whole numbers.
var versionMarkers = []string{"Chrome/", "CriOS/", "Edg/", "EdgA/", "EdgiOS/", "Firefox/", "FxiOS/", "OPR/"}

// impossibleVersion is one that no browser reaches before 2039, with a new one every two weeks from 154 in 2026 on.
const impossibleVersion = 500

// impossible returns the id of the first rule that holds, or the empty text.
func impossible(userAgent string) string {
	_, system, _ := strings.Cut(userAgent, "(")
	system, _, closed := strings.Cut(system, ")")
	if !closed {
		system = "cut off"
	}
	for _, rule := range impossibilities {
		if rule.holds(userAgent, system) {
			return rule.id
		}
	}
	return ""
}

// major is the number after the marker, 0 when there is none; what is too long for a version is the largest.
func major(text, marker string) int {
	_, after, _ := strings.Cut(text, marker)
	end := 0
	for end < len(after) && after[end] >= '0' && after[end] <= '9' {
		end++
	}
	if end == 0 {
		return 0
	}
	n, _ := strconv.Atoi(after[:end]) // out of range: the largest
	return n
}

func containsAny(text string, parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
