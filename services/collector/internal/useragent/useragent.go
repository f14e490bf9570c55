// Package useragent takes out of a user agent what tells one device from others of its kind: what stays is the browser (or
// app), its major version and the family of the operating system, in a text of the same form, so that whoever reads it finds
// the same browser, kind of device and class of traffic. Programs that say who they are (crawlers) keep what they say of it.
package useragent

import (
	"regexp"
	"slices"
	"strings"
)

// Reduce returns the reduced text. It keeps valid UTF-8 valid, and is at most some bytes longer. The forms that it knows are
// those of testdata/reduced.tsv, with which the consumer's test compares what it reads in both.
func Reduce(text string) string {
	if strings.Count(text, "Mozilla/") > 1 {
		return text // no browser's: scanners of mail are known by such texts as a whole
	}
	var words []string
	for rest := text; rest != ""; {
		var word string
		switch word, rest = next(rest); {
		case word == "" || word[0] == '[':
		case word[0] != '(':
			word = product(word, len(words) == 0)
		default:
			word = comment(word, len(words) == 1)
		}
		if word != "" && word[0] != '[' {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// next cuts the first word off: a comment in its brackets, or what stands before the next space or comment.
func next(text string) (word, rest string) {
	closing := byte(0)
	switch text[0] {
	case ' ':
		return "", text[1:]
	case '(':
		closing = ')'
	case '[':
		closing = ']'
	}
	if closing == 0 {
		if end := strings.IndexAny(text[1:], " (["); end >= 0 {
			return text[:end+1], text[end+1:]
		}
		return text, ""
	}
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case text[0]:
			depth++
		case closing:
			if depth--; depth == 0 {
				return text[:i+1], text[i+1:]
			}
		}
	}
	return text, "" // it was cut off
}

// product reduces Name/version to Name/major, and versions that stand alone likewise; it leaves out names of devices, which
// have digits. The first word of a text is a name whatever it looks like.
func product(word string, first bool) string {
	name, version, has := strings.Cut(word, "/")
	switch n := digits(version); {
	case said(word), name == "Mozilla", !hasDigit(word), first && !has:
		return word
	case !has:
		return major(word)
	case name == "Mobile":
		return "Mobile/15E148" // the build that Safari gives on every system
	case n > 0:
		return name + "/" + major(version)
	case !hasDigit(version):
		return word
	}
	return name
}

// said tells that a program says here who it is.
func said(text string) bool {
	return strings.Contains(text, "://") || strings.Contains(text, "www.") || strings.Contains(text, "@") || robot.MatchString(text)
}

// robot are words by which programs say what they are.
var robot = regexp.MustCompile(`(?i)(bot|crawler|spider|preview|scan|monitor|checker|fetcher|scraper|agent|HttpUrlConnection)\b|nutch`)

// comment reduces a comment, given with its brackets, to the systems that it names and what has no digits. Of the first one,
// by which a browser says what it runs on, something stays.
func comment(text string, first bool) string {
	inner := strings.TrimSuffix(text[1:], ")")
	if strings.HasPrefix(inner, "KHTML") || said(inner) || strings.HasPrefix(inner, "compatible") && !strings.Contains(inner, "MSIE") {
		return text
	}
	device := false // what comes after Android is the model
	var parts []string
	for part := range strings.FieldsFuncSeq(inner, func(r rune) bool { return r == ';' || r == ',' }) {
		part = strings.TrimSpace(part)
		kept := system(part)
		switch {
		case kept != "" || device || locale.MatchString(part):
		case !hasDigit(part):
			kept = part
		case strings.Contains(part, "/") && digits(part) == 0:
			kept = product(part, false)
		}
		if kept != "" {
			parts = append(parts, kept)
		}
		device = device || strings.HasPrefix(part, "Android")
	}
	switch {
	case len(parts) > 0:
		return "(" + strings.Join(parts, "; ") + ")"
	case first:
		return "(other)"
	}
	return ""
}

// locale is a language, as older browsers give it, or a letter that says nothing.
var locale = regexp.MustCompile(`^[A-Za-z]{0,3}([-_][A-Za-z]{2,4})?$`)

func hasDigit(text string) bool { return strings.ContainsAny(text, "0123456789") }

// systems are the beginnings of the parts of a comment that stay, with nothing after them.
var systems = []string{
	"Windows Phone", "Windows NT", "Windows", "Macintosh", "Intel Mac OS X", "PPC Mac OS X", "iPhone", "iPad", "iPod", "iOS", "CPU iPhone OS", "CPU OS",
	"Linux/SmartTV", "Linux", "Android", "X11", "CrOS x86_64", "CrOS aarch64", "CrOS", "Ubuntu", "FreeBSD amd64", "FreeBSD", "OpenBSD amd64", "OpenBSD", "NetBSD", "SunOS", "Tizen", "Web0S", "SMART-TV", "SmartTV", "AFT",
	"Mobile", "Tablet", "Touch", "PlayStation", "Nintendo", "Xbox", "KAIOS", "HarmonyOS", "SymbianOS", "BlackBerry", "BB", "compatible", "other",
}

// plain are parts that stay where they are all of the part: they tell few devices apart, and readers look for them.
var plain = []string{"U", "Win64", "x64", "WOW64", "Linux x86_64", "Linux i686", "Linux aarch64", "Java", "wv", "K"}

// versioned are those of which the major version stays: it is that of the browser.
var versioned = []string{"MSIE ", "Trident/", "rv:"}

func system(part string) string {
	for _, name := range versioned {
		if version, is := strings.CutPrefix(part, name); is && digits(version) > 0 {
			return name + major(version)
		}
	}
	if slices.Contains(plain, part) {
		return part
	}
	for _, name := range systems {
		if strings.HasPrefix(part, name) {
			switch {
			case name == "Android":
				return "Android; K" // as Chrome does; readers look for a model after it
			case strings.HasSuffix(part, " like Mac OS X"):
				return name + " like Mac OS X"
			}
			return name
		}
	}
	return ""
}

// major is the number that the version begins with, in the form that browsers have which don't say more.
func major(version string) string {
	n := digits(version)
	if strings.HasPrefix(version[n:], ".") {
		return version[:n] + ".0"
	}
	return version[:n]
}

// digits is how many digits the text begins with.
func digits(text string) int {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}
