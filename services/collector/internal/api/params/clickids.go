package params

import "strings"

// ClickID is a parameter in which an ad network or a mailer sends the id of a click.
type ClickID struct {
	// Name is the parameter as the network spells it; it is read in any case.
	Name string
	// Network is the word stored as click_network.
	Network string
}

// ClickIDs is the order of preference: of several, the first here becomes the event's click id, the others become
// properties. Names are those that the networks' own tags and link builders use.
var ClickIDs = []ClickID{
	{"gclid", "google"},
	{"wbraid", "google"},
	{"gbraid", "google"},
	{"dclid", "google"},
	{"msclkid", "microsoft"},
	{"fbclid", "meta"},
	{"ttclid", "tiktok"},
	{"twclid", "x"},
	{"li_fat_id", "linkedin"},
	{"ScCid", "snapchat"},
	{"epik", "pinterest"},
	{"rdt_cid", "reddit"},
	{"yclid", "yandex"},
	{"irclickid", "impact"},
	{"mc_eid", "mailchimp"},
	{"_hsenc", "hubspot"},
	{"mkt_tok", "marketo"},
	{"vero_id", "vero"},
	{"ml_subscriber", "mailerlite"},
}

// StrippedParams are left out of stored URLs besides utm parameters and click ids: what networks add to a click id, and
// what a visitor could be impersonated with. Read in any case.
var StrippedParams = []string{
	"gclsrc", "gad_source", "gad_campaignid", "srsltid", "_gl", "pk_vid", "mc_cid", "_hsmi",
	"token", "access_token", "refresh_token", "id_token", "auth_token", "csrf_token", "auth", "authorization",
	"password", "passwd", "pwd", "pass", "secret", "client_secret", "api_key", "apikey",
	"code", "otp", "pin", "signature", "sig",
	"session", "session_id", "sessionid", "sid", "phpsessid", "jsessionid",
}

var (
	clickRank = func() map[string]int {
		ranks := map[string]int{}
		for i, id := range ClickIDs {
			ranks[strings.ToLower(id.Name)] = i
		}
		return ranks
	}()
	stripped = func() map[string]bool {
		set := map[string]bool{}
		for _, name := range StrippedParams {
			set[name] = true
		}
		return set
	}()
)

// canonical spells the names that are read in any case (utm and click ids) in the one way they are stored; all others are
// as they are.
func canonical(name string) string {
	lower := strings.ToLower(name)
	if rank, ok := clickRank[lower]; ok {
		return ClickIDs[rank].Name
	}
	if strings.HasPrefix(lower, "utm_") {
		return lower
	}
	return name
}

// clicks are the click ids of one place (parameters or page URL), in the order they came, the first of each name.
type clicks []struct {
	rank  int
	value string
}

// add notes the parameter if it is a click id, and tells whether it is one.
func (c *clicks) add(name, value string) bool {
	rank, ok := clickRank[strings.ToLower(name)]
	if !ok {
		return false
	}
	for _, known := range *c {
		if known.rank == rank {
			return true
		}
	}
	*c = append(*c, struct {
		rank  int
		value string
	}{rank, value})
	return true
}

// best is the index of the preferred one; there must be one.
func (c clicks) best() int {
	best := 0
	for i := range c {
		if c[i].rank < c[best].rank {
			best = i
		}
	}
	return best
}
