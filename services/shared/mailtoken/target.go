package mailtoken

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// MaxTarget is how long a target is at most, in bytes: as long as a URL that the collector stores, and short enough that the
// URL with target and token stays below the collector's 16 KiB.
const MaxTarget = 8 << 10

// CheckTarget says what is wrong with a target, by an error that is ErrTarget; nil if a click may lead there. A target is an
// absolute http or https URL in printable ASCII, without spaces, backslashes, user or password, at most MaxTarget bytes: what
// every browser, server and proxy reads in the same way.
func CheckTarget(target string) error {
	refuse := func(problem string) error { return fmt.Errorf("%w: %s", ErrTarget, problem) }
	if len(target) > MaxTarget {
		return refuse("longer than " + strconv.Itoa(MaxTarget) + " bytes")
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return refuse("spaces, control characters, backslashes and characters beyond ASCII must be percent-encoded")
		}
	}
	scheme, rest, found := strings.Cut(target, "://")
	if !found || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return refuse("not an absolute http or https URL")
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if !isAuthority(rest) {
		return refuse("no host, or more than host and port")
	}
	return nil
}

// isAuthority tells whether the text is a host name or address, with or without a port.
func isAuthority(text string) bool {
	host, port := text, ""
	if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, ']') {
		host, port = text[:colon], text[colon+1:]
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
	}
	if inner, isIPv6 := strings.CutPrefix(host, "["); isIPv6 {
		inner, closed := strings.CutSuffix(inner, "]")
		address, err := netip.ParseAddr(inner)
		return closed && err == nil && address.Is6() && address.Zone() == ""
	}
	for i := range len(host) {
		if c := host[i] | 0x20; (c < 'a' || c > 'z') && (host[i] < '0' || host[i] > '9') && strings.IndexByte("-._", host[i]) < 0 {
			return false
		}
	}
	return strings.Trim(host, ".") != "" && host[0] != '.'
}

// EncodeTarget is the target as it stands beside a token in a URL.
func EncodeTarget(target string) string { return base64.RawURLEncoding.EncodeToString([]byte(target)) }

// DecodeTarget reads what EncodeTarget writes, and nothing else. The error is ErrTarget. Whether a click may lead there, Verify
// says.
func DecodeTarget(text string) (string, error) {
	if base64.RawURLEncoding.DecodedLen(len(text)) > MaxTarget {
		return "", ErrTarget
	}
	target, ok := decode(make([]byte, base64.RawURLEncoding.DecodedLen(len(text))), text)
	if !ok {
		return "", ErrTarget
	}
	return string(target), nil
}
