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
	// From where on a JWT, and a key, may begin again. One that is not there for want of segments, or of a digit, is not there
	// later in its word either, which is not read again for each prefix in it.
	var nextJWT, nextKey int
	for i := 0; i+minToken <= len(text); i++ {
		if class[text[i]] != letter || i > 0 && alphanumeric(text[i-1]) {
			continue
		}
		size, rest := 0, text[i:]
		switch {
		case strings.HasPrefix(rest, jwt):
			if i < nextJWT {
				continue
			}
			if size = dotted(rest, []int{10, 0, 0}); size == 0 { // the signature may be empty, and the key of a JWE
				nextJWT = i + wordSize(rest)
			}
		case strings.HasPrefix(rest, sendGrid):
			size = dotted(rest, []int{2, 20, 40})
		case i >= nextKey:
			var digitless bool
			if size, digitless = keyAt(rest); digitless {
				nextKey = i + wordSize(rest)
			}
		}
		if size > 0 {
			spans = append(spans, span{i, i + size, Token})
			i += size - 1
		}
	}
	return spans
}

// keyAt returns the length of the key with a prefix that the text begins with, or 0; digitless tells that there is no digit
// to the end of the word.
func keyAt(text string) (size int, digitless bool) {
	for _, f := range byFirst[text[0]] {
		rest, is := strings.CutPrefix(text, f.prefix)
		if !is {
			continue
		}
		size, digits := word(rest, f.wide)
		if size < f.least || !digits {
			return 0, f.wide && !digits
		}
		return len(f.prefix) + wordSize(rest), false
	}
	return 0, false
}

// wordSize is how many bytes the word has, - and _ included, that the text begins with.
func wordSize(text string) int {
	size, _ := word(text, true)
	return size
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
