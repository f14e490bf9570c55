package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/collector/internal/identity"
)

// optoutLinkCmd makes links for mailings.
type optoutLinkCmd struct {
	URL       string        `required:"" placeholder:"URL" help:"Where visitors reach the collector, such as https://px.shop.example."`
	Site      string        `required:"" placeholder:"ID" help:"The site that sends the links, as in onepx.yaml."`
	As        string        `enum:"user,recipient" default:"user" help:"What the names are: user, customer ids or e-mail addresses as events have them in uid; or recipient, addresses that mail is sent to, with or without a name beside them."`
	Valid     time.Duration `default:"9600h" help:"How long the links work: 400 days unless set. Mail is read late."`
	Names     []string      `arg:"" optional:"" help:"Customer ids or addresses; without any they are read from standard input, one a line."`
	secretKey `embed:""`
}

// Help is the command's long help.
func (*optoutLinkCmd) Help() string {
	return "Prints one link for each name, in their order. A link does not show the name, and can't be changed to another's.\n\n" +
		"Example: ONEPX_SECRET=… collector optout-link --url https://px.shop.example --site shop < customers.txt > links.txt"
}

// Validate says what is wrong with the command line.
func (c *optoutLinkCmd) Validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "" {
		return fmt.Errorf("--url is %q; write scheme and host, such as https://px.shop.example", c.URL)
	}
	if c.Valid <= 0 {
		return fmt.Errorf("--valid is %s; it must be more than 0", c.Valid)
	}
	return c.secretKey.Validate()
}

// Run prints the links.
func (c *optoutLinkCmd) Run(k *kong.Kong) error { return c.write(os.Stdin, k.Stdout, time.Now()) }

func (c *optoutLinkCmd) write(names io.Reader, to io.Writer, now time.Time) error {
	maker, out := identity.New(c.Secret.Reveal()), bufio.NewWriter(to)
	if len(c.Names) > 0 {
		names = strings.NewReader(strings.Join(c.Names, "\n"))
	}
	lines := bufio.NewScanner(names)
	for n := 1; lines.Scan(); n++ {
		link := identity.Link{Kind: identity.LinkUser, Key: maker.UserKey(c.Site, lines.Text()), Expires: now.Add(c.Valid)}
		if c.As == "recipient" {
			link.Kind, link.Key = identity.LinkRecipient, maker.RecipientKey(c.Site, lines.Text())
		}
		if link.Key == nil {
			problem := fmt.Errorf("name %d is blank", n)
			if c.As == "recipient" {
				problem = fmt.Errorf("name %d is no e-mail address", n)
			}
			return errors.Join(problem, out.Flush()) // a line left out would shift all that follow
		}
		query := url.Values{"site": {c.Site}, "link": {maker.SignLink(c.Site, link)}}
		if _, err := fmt.Fprintf(out, "%s/optout?%s\n", strings.TrimRight(c.URL, "/"), query.Encode()); err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), out.Flush())
}
