package siteconfig

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"regexp"

	"github.com/goccy/go-yaml/ast"
)

// MaxMailCredentials is how many topics or keys a site may have of one provider of mail: enough to change one for another.
const MaxMailCredentials = 10

// MailProviders says by what the collector knows the webhooks of those that deliver the site's mail; docs/mail.md has how to set
// them up. A provider without any tells nothing.
type MailProviders struct {
	// SESTopics are ARNs of the Amazon SNS topics that Amazon SES publishes to.
	SESTopics []string
	// SendGridKeys are the verification keys of signed event webhooks.
	SendGridKeys []*ecdsa.PublicKey
	// MailgunSecretEnvs name the environment variables of the collector that hold HTTP webhook signing keys.
	MailgunSecretEnvs []string
	// PostmarkCredentials are the hashes of `user:password` of basic authentication. Ask AcceptsPostmark.
	PostmarkCredentials []KeyHash
}

// AcceptsPostmark tells whether user and password are those of the site's webhook at Postmark.
func (m *MailProviders) AcceptsPostmark(user, password string) bool {
	return acceptsKey(m.PostmarkCredentials, user+":"+password)
}

// mailProviderFields are the keys of mail_providers.
var mailProviderFields = []field[MailProviders]{
	{name: "ses_topics", read: credentials(func(p *problems, path string, node ast.Node, m *MailProviders) {
		text, ok := readText(p, path, node)
		switch {
		case !ok:
		case !topicPattern.MatchString(text):
			p.add(start(node), path, "%s is not the ARN of a topic; write one such as arn:aws:sns:eu-west-1:123456789012:mail", quoted(text))
		default:
			m.SESTopics = append(m.SESTopics, text)
		}
	})},
	{name: "sendgrid_public_keys", read: credentials(func(p *problems, path string, node ast.Node, m *MailProviders) {
		text, _ := textOf(node)
		key, ok := parseECDSA(text)
		if !ok {
			p.add(start(node), path, "is not a verification key; write what SendGrid shows for the signed event webhook, which begins with MF")
			return
		}
		m.SendGridKeys = append(m.SendGridKeys, key)
	})},
	{name: "mailgun_secret_envs", read: credentials(func(p *problems, path string, node ast.Node, m *MailProviders) {
		if name := readEnvName(p, path, node); name != "" {
			m.MailgunSecretEnvs = append(m.MailgunSecretEnvs, name)
		}
	})},
	{name: "postmark_credentials", read: credentials(func(p *problems, path string, node ast.Node, m *MailProviders) {
		text, _ := textOf(node)
		hash, ok := parseKeyHash(text)
		if !ok { // the value is not shown: it may be the password itself
			p.add(start(node), path, "is not a hash; write %s and the 64 lower-case hex digits of the SHA-256 of user:password, never the password", keyHashPrefix)
			return
		}
		m.PostmarkCredentials = append(m.PostmarkCredentials, hash)
	})},
}

// topicPattern is that of ARNs of SNS topics in all partitions; FIFO topics have no webhooks.
var topicPattern = regexp.MustCompile(`^arn:aws(-[a-z]+)*:sns:[a-z0-9-]{1,32}:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)

func readMailProviders(p *problems, path string, node ast.Node, s *Site) {
	readMapping(p, path, node, mailProviderFields, &s.MailProviders)
}

// credentials reads a list of one to MaxMailCredentials.
func credentials(read func(*problems, string, ast.Node, *MailProviders)) func(*problems, string, ast.Node, *MailProviders) {
	return func(p *problems, path string, node ast.Node, m *MailProviders) {
		readList(p, path, node, func(path string, element ast.Node) { read(p, path, element, m) })
		if list, ok := node.(*ast.SequenceNode); ok && (len(list.Values) == 0 || len(list.Values) > MaxMailCredentials) {
			p.add(start(node), path, "has %d elements; 1 to %d are allowed", len(list.Values), MaxMailCredentials)
		}
	}
}

// parseECDSA reads a public key as SendGrid shows it: SubjectPublicKeyInfo (RFC 5480) in base64.
func parseECDSA(text string) (*ecdsa.PublicKey, bool) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, ok := parsed.(*ecdsa.PublicKey)
	return key, err == nil && ok
}
