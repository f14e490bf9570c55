package client

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/gaissmai/bart"
)

// Datacenters are the address ranges of data centres, where servers are and people seldom. A nil Datacenters has none.
type Datacenters struct{ prefixes *bart.Lite }

// The widest ranges that are believed: no data centre has more, and a list with 0.0.0.0/0 would make machines of everybody.
const (
	widestIPv4 = 8
	widestIPv6 = 16
)

// maxMistakes is how many mistakes of a file are named.
const maxMistakes = 10

// OpenDatacenters reads the file: a prefix or an address a line, of IPv4 or IPv6, in any order and overlapping as they like; #
// starts a comment. Its error names the lines with mistakes, and a file without a prefix is one: it is no list at all, or a
// download that failed. Without a path it returns nil.
func OpenDatacenters(path string) (*Datacenters, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data-centre file: %w", err)
	}
	prefixes, err := readPrefixes(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("data-centre file %s: %w", path, err)
	}
	return &Datacenters{prefixes: table(prefixes)}, nil
}

func readPrefixes(r io.Reader) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	var mistakes []error
	lines := bufio.NewScanner(r)
	number := 0
	for lines.Scan() && len(mistakes) < maxMistakes {
		number++
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		parsed, err := ParsePrefixes([]string{text})
		if err == nil {
			err = notTooWide(parsed[0])
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("line %d: %w", number, err))
		}
		prefixes = append(prefixes, parsed...)
	}
	if err := lines.Err(); err != nil {
		mistakes = append(mistakes, fmt.Errorf("line %d: %w", number+1, err))
	}
	if len(mistakes) == 0 && len(prefixes) == 0 {
		return nil, errors.New("no prefix in it")
	}
	return prefixes, errors.Join(mistakes...)
}

func notTooWide(prefix netip.Prefix) error {
	widest := widestIPv6
	if prefix.Addr().Is4() {
		widest = widestIPv4
	}
	if prefix.Bits() < widest {
		return fmt.Errorf("%s is wider than a /%d, which is more than a data centre has", prefix, widest)
	}
	return nil
}

// Len is the number of different ranges.
func (d *Datacenters) Len() int {
	if d == nil {
		return 0
	}
	return d.prefixes.Size()
}

func (d *Datacenters) has(addr netip.Addr) bool { return d != nil && d.prefixes.Lookup(addr) }
