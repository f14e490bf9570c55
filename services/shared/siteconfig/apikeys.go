package siteconfig

import (
	"crypto/subtle"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Right is what the holder of an API key may do with the site's data.
type Right string

// The rights.
const (
	// RightAudiences allows to look up and list audiences and their members.
	RightAudiences Right = "audiences"
	// RightSegments allows to try rules of segments on what is stored.
	RightSegments Right = "segments"
	// RightExports allows to have audiences exported.
	RightExports Right = "exports"
	// RightMail allows to have mail rewritten.
	RightMail Right = "mail"
	// RightPrivacy allows to ask for what is stored about people, and for its erasure.
	RightPrivacy Right = "privacy"
	// RightReports allows to read reports.
	RightReports Right = "reports"
)

// Rights are all rights.
var Rights = []Right{RightAudiences, RightSegments, RightExports, RightMail, RightPrivacy, RightReports}

// DefaultKeyRateLimit is how many requests a second an API key may make of each console, unless set.
const DefaultKeyRateLimit = 100

// APIKey is a key for the console, of one site.
type APIKey struct {
	// Name says who has it, in logs: ^[a-z0-9][a-z0-9_-]{0,31}$, unique in the site.
	Name string
	// Hash is that of the key; no two keys of all sites are equal, write keys included.
	Hash KeyHash
	// Rights are what it allows; at least one.
	Rights []Right
	// RateLimit is how many requests a second each console takes with it: MinRateLimit to MaxRateLimit.
	RateLimit int
}

// Has tells whether the key has the right.
func (k *APIKey) Has(right Right) bool { return slices.Contains(k.Rights, right) }

// APIKey returns the API key that the text is, and its site; nil if it is none. It asks all keys of all sites whatever the
// answers, so that its time says nothing about them.
func (c *Config) APIKey(text string) (*Site, *APIKey) {
	var site *Site
	var key *APIKey
	hash := HashKey(text)
	for i := range c.Sites {
		for j := range c.Sites[i].APIKeys {
			if k := &c.Sites[i].APIKeys[j]; subtle.ConstantTimeCompare(hash[:], k.Hash[:]) == 1 {
				site, key = &c.Sites[i], k
			}
		}
	}
	return site, key
}

// apiKeyFields are the keys of an API key.
var apiKeyFields = []field[APIKey]{
	{name: "name", required: true, read: readKeyName},
	{name: "key", required: true, read: readKeyHash},
	{name: "rights", required: true, read: readRights},
	{name: "rate_limit", read: readKeyRateLimit},
}

var keyNamePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

func readAPIKeys(p *problems, path string, node ast.Node, s *Site) {
	firstWith := map[string]string{} // name to the path of its key
	readList(p, path, node, func(path string, element ast.Node) {
		key := APIKey{RateLimit: DefaultKeyRateLimit}
		readMapping(p, path, element, apiKeyFields, &key)
		s.APIKeys = append(s.APIKeys, key)
		if key.Name == "" {
			return
		}
		if first, taken := firstWith[key.Name]; taken {
			p.add(start(element), path+".name", "%s is the name of %s already", quoted(key.Name), first)
			return
		}
		firstWith[key.Name] = path
	})
}

func readKeyName(p *problems, path string, node ast.Node, k *APIKey) {
	name, ok := readText(p, path, node)
	if !ok {
		return
	}
	if !keyNamePattern.MatchString(name) {
		p.add(start(node), path, "%s is not a name; write 1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit", quoted(name))
		return
	}
	k.Name = name
}

func readKeyHash(p *problems, path string, node ast.Node, k *APIKey) {
	text, _ := textOf(node)
	hash, ok := parseKeyHash(text)
	if !ok { // the value is not shown: it may be the key itself
		p.add(start(node), path, "is not the hash of a key; write %s and the 64 lower-case hex digits of the key's SHA-256, never the key", keyHashPrefix)
		return
	}
	k.Hash = hash
}

func readRights(p *problems, path string, node ast.Node, k *APIKey) {
	readList(p, path, node, func(path string, element ast.Node) {
		right := readWord(p, path, element, "a right", Rights)
		switch {
		case right == "":
		case k.Has(right):
			p.add(start(element), path, "is here for the second time")
		default:
			k.Rights = append(k.Rights, right)
		}
	})
	if list, ok := node.(*ast.SequenceNode); ok && len(list.Values) == 0 {
		p.add(start(node), path, "is empty; a key needs at least one right")
	}
}

func readKeyRateLimit(p *problems, path string, node ast.Node, k *APIKey) {
	if rate, ok := readWholeNumber(p, path, node, MinRateLimit, MaxRateLimit); ok {
		k.RateLimit = rate
	}
}

// keyUses tells which site has which key, so that each tells whose request it is: the path of the site, by write key and by
// API key.
type keyUses struct{ write, api map[KeyHash]string }

// check adds a problem for each key of a site that another site has, or that is used twice.
func (u keyUses) check(p *problems, path string, element ast.Node, s *Site) {
	const both = "has %s of %s; whoever may send events must not be able to read, so use two keys"
	for _, key := range s.WriteKeys {
		if first, taken := u.write[key]; taken && first != path {
			p.add(start(element), path+".write_keys", "has a key of %s; the key tells whose events come, so give each site its own", first)
		} else if first, taken = u.api[key]; taken {
			p.add(start(element), path+".write_keys", both, "an API key", first)
		} else {
			u.write[key] = path
		}
	}
	for _, key := range s.APIKeys {
		if key.Hash == (KeyHash{}) {
			continue // told already
		}
		if first, taken := u.api[key.Hash]; taken {
			p.add(start(element), path+".api_keys", "has a key of %s; the key tells who asks, so give everybody another one", first)
		} else if first, taken = u.write[key.Hash]; taken {
			p.add(start(element), path+".api_keys", both, "a write key", first)
		} else {
			u.api[key.Hash] = path
		}
	}
}
