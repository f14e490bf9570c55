package hygiene

import "strings"

// minToken is the length of the shortest token of the list.
const minToken = 20

// format is how one issuer made its tokens recognisable: a prefix, and after it at least so many characters: letters and
// digits, and where wide is set also - and _. There is at least one digit among them, so that no word of a language is taken
// for one.
type format struct {
	prefix string
	least  int
	wide   bool
}

var formats = []format{
	{"AKIA", 16, false}, {"ASIA", 16, false}, // AWS
	{"AIza", 35, true}, {"GOCSPX-", 28, true}, {"ya29.", 20, true}, // Google
	{"dop_v1_", 64, false},                                                                                  // DigitalOcean
	{"ghp_", 36, false}, {"gho_", 36, false}, {"ghu_", 36, false}, {"ghs_", 36, false}, {"ghr_", 36, false}, // GitHub
	{"github_pat_", 40, true},                                                                  // GitHub
	{"glpat-", 20, true},                                                                       // GitLab
	{"hf_", 34, false},                                                                         // Hugging Face
	{"npm_", 36, false},                                                                        // npm
	{"pypi-", 50, true},                                                                        // PyPI
	{"shpat_", 32, false}, {"shpca_", 32, false}, {"shppa_", 32, false}, {"shpss_", 32, false}, // Shopify
	{"sk-ant-", 40, true}, {"sk-proj-", 40, true}, // Anthropic, OpenAI
	{"sk_live_", 16, false}, {"sk_test_", 16, false}, {"rk_live_", 16, false}, {"rk_test_", 16, false}, // Stripe
	{"whsec_", 24, false},                                                                                   // Stripe
	{"xoxa-", 20, true}, {"xoxb-", 20, true}, {"xoxe-", 20, true}, {"xoxp-", 20, true}, {"xoxr-", 20, true}, // Slack
	{"xoxs-", 20, true}, // Slack
}

// byFirst are the formats by the first byte of the prefix.
var byFirst = func() (table [256][]format) {
	for _, f := range formats {
		table[f.prefix[0]] = append(table[f.prefix[0]], f)
	}
	return table
}()

const (
	jwt      = "eyJ" // a JSON object in base64
	sendGrid = "SG."
)

// tokens adds the tokens of the text. A token begins where a word does, and is masked to the end of the word.
func tokens(text string, spans []span) []span {
	for i := 0; i+minToken <= len(text); i++ {
		if class[text[i]] != letter || i > 0 && alphanumeric(text[i-1]) {
			continue
		}
		if size := tokenAt(text[i:]); size > 0 {
			spans = append(spans, span{i, i + size, Token})
			i += size - 1
		}
	}
	return spans
}

// tokenAt returns the length of the token that the text begins with, or 0.
func tokenAt(text string) int {
	if strings.HasPrefix(text, jwt) {
		return dotted(text, []int{10, 0, 0}) // the signature may be empty, and the key of a JWE
	}
	if strings.HasPrefix(text, sendGrid) {
		return dotted(text, []int{2, 20, 40})
	}
	for _, f := range byFirst[text[0]] {
		rest, is := strings.CutPrefix(text, f.prefix)
		if !is {
			continue
		}
		size, digits := word(rest, f.wide)
		if size < f.least || !digits {
			return 0
		}
		size, _ = word(rest, true)
		return len(f.prefix) + size
	}
	return 0
}

// dotted returns the length of words joined by dots, if they are at least so long each, or 0. More words belong to it.
func dotted(text string, least []int) int {
	size := 0
	for i := 0; ; i++ {
		n, _ := word(text[size:], true)
		if i < len(least) && n < least[i] {
			return 0
		}
		size += n
		if size == len(text) || text[size] != '.' {
			if i+1 < len(least) {
				return 0
			}
			return size
		}
		size++
	}
}

// word returns how many bytes the text begins with that tokens have, and whether there is a digit among them.
func word(text string, wide bool) (size int, digits bool) {
	for ; size < len(text); size++ {
		c := text[size]
		if !alphanumeric(c) && (!wide || c != '-' && c != '_') {
			break
		}
		digits = digits || class[c] == digit
	}
	return size, digits
}
