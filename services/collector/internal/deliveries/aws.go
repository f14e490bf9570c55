package deliveries

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// Limits of what is fetched. The names of certificates stand in what anybody may send, so nobody is to make us fetch many.
const (
	fetchTimeout    = 5 * time.Second
	maxFetched      = 64 << 10 // bytes
	fetchesBurst    = 20
	maxCertificates = 64
)

var (
	// errNotAWS means that a URL leads somewhere else than to Amazon SNS in the topic's region.
	errNotAWS = errors.New("not a URL of Amazon SNS in the region of the topic")
	// errUnreachable means that it could not be fetched.
	errUnreachable = errors.New("no answer of Amazon SNS")
)

// awsClient fetches from Amazon SNS.
type awsClient struct {
	http    *http.Client
	now     func() time.Time
	limit   *rate.Limiter
	flights singleflight.Group

	mu           sync.Mutex
	certificates map[string]*x509.Certificate // by URL
}

func newAWSClient(cfg Config) *awsClient {
	return &awsClient{
		http: &http.Client{
			Transport: cfg.Transport, Timeout: fetchTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		now: cfg.Now, limit: rate.NewLimiter(rate.Every(time.Second), fetchesBurst), certificates: map[string]*x509.Certificate{},
	}
}

// certificatePath is what paths of certificates look like.
var certificatePath = regexp.MustCompile(`^/SimpleNotificationService-[0-9A-Za-z]{1,64}\.pem$`)

// signer returns the key of the certificate at the URL, which must be in force. It is fetched once.
func (c *awsClient) signer(ctx context.Context, topic, address string) (*rsa.PublicKey, error) {
	u, err := ofSNS(topic, address)
	if err != nil || !certificatePath.MatchString(u.Path) || u.RawQuery != "" {
		return nil, errNotAWS
	}
	certificate, err := c.certificate(ctx, u.String())
	if err != nil {
		return nil, err
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if now := c.now(); !ok || now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return nil, errNotAWS
	}
	return key, nil
}

func (c *awsClient) certificate(ctx context.Context, address string) (*x509.Certificate, error) {
	c.mu.Lock()
	known := c.certificates[address]
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	fetched, err, _ := c.flights.Do(address, func() (any, error) {
		body, err := c.get(context.WithoutCancel(ctx), address) // others wait for it too
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(body)
		if block == nil {
			return nil, fmt.Errorf("%w: no PEM", errUnreachable)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnreachable, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.certificates) == maxCertificates {
			clear(c.certificates)
		}
		c.certificates[address] = certificate
		return certificate, nil
	})
	certificate, _ := fetched.(*x509.Certificate)
	return certificate, err
}

// confirm asks for the URL that makes a subscription of the topic hold.
func (c *awsClient) confirm(ctx context.Context, topic, address string) error {
	u, err := ofSNS(topic, address)
	if err != nil || u.Path != "" && u.Path != "/" {
		return errNotAWS
	}
	if query := u.Query(); query.Get("Action") != "ConfirmSubscription" || query.Get("TopicArn") != topic {
		return errNotAWS
	}
	_, err = c.get(ctx, u.String())
	return err
}

// ofSNS reads a URL that must lead to Amazon SNS in the topic's region, by https. The region is that of the topic, which the operator
// has written: a pattern of hosts would let in names of buckets, such as sns.s3-us-west-2.amazonaws.com.
func ofSNS(topic, address string) (*url.URL, error) {
	parts := strings.Split(topic, ":") // arn:partition:sns:region:account:name
	if len(parts) != 6 {
		return nil, errNotAWS
	}
	host := "sns." + parts[3] + ".amazonaws.com"
	if parts[1] == "aws-cn" {
		host += ".cn"
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host != host || u.User != nil || u.Fragment != "" {
		return nil, errNotAWS
	}
	return u, nil
}

// get fetches a URL that has been checked.
func (c *awsClient) get(ctx context.Context, address string) ([]byte, error) {
	if !c.limit.AllowN(c.now(), 1) {
		return nil, fmt.Errorf("%w: too many fetches", errUnreachable)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFetched+1))
	if err != nil || response.StatusCode != http.StatusOK || len(body) > maxFetched {
		return nil, fmt.Errorf("%w: status %d, %d bytes", errUnreachable, response.StatusCode, len(body))
	}
	return body, nil
}
