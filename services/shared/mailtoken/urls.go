package mailtoken

import (
	"fmt"
	"net/url"
	"strings"
)

// The paths of the collector that tokens stand in.
const (
	OpenPath        = "/o/"
	OpenSuffix      = ".gif"
	ClickPath       = "/c/"
	UnsubscribePath = "/u/"
)

// URLs makes the URLs of a mail.
type URLs struct {
	base string
	ring *Ring
}

// NewURLs returns what makes URLs of the collector at base, such as https://px.shop.example.
func NewURLs(base string, ring *Ring) (*URLs, error) {
	u, err := url.Parse(base)
	if err != nil || CheckTarget(base) != nil || strings.TrimRight(base, "/") != u.Scheme+"://"+u.Host {
		return nil, fmt.Errorf("the collector's URL is %q; write scheme and host, such as https://px.shop.example", base)
	}
	return &URLs{strings.TrimRight(base, "/"), ring}, nil
}

// Base is the collector's scheme and host, without a slash at the end.
func (u *URLs) Base() string { return u.base }

// Open is the URL of the open pixel. The token needs no kind; errors are those of Ring.Sign.
func (u *URLs) Open(t Token) (string, error) {
	t.Kind = Open
	token, err := u.ring.Sign(t, "")
	return u.base + OpenPath + token + OpenSuffix, err
}

// Click is the URL that leads through the collector to the target, on the terms of Open; link says which link it is.
func (u *URLs) Click(t Token, link, target string) (string, error) {
	t.Kind, t.Link = Click, link
	token, err := u.ring.Sign(t, target)
	return u.base + ClickPath + token + "/" + EncodeTarget(target), err
}

// Unsubscribe is the URL of the page, and of the one-click POST of RFC 8058, that ends a recipient's subscription, on the terms
// of Open.
func (u *URLs) Unsubscribe(t Token) (string, error) {
	t.Kind = Unsubscribe
	token, err := u.ring.Sign(t, "")
	return u.base + UnsubscribePath + token, err
}
