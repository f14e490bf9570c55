package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/onepx/onepx/services/collector/internal/client"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/mailtoken"
	secret "github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// settings are all settings of `collector run`.
type settings struct {
	Listen      string `env:"ONEPX_COLLECTOR_LISTEN" default:":8080" help:"Address for visitors."`
	AdminListen string `env:"ONEPX_COLLECTOR_ADMIN_LISTEN" default:":9090" help:"Address for /livez, /readyz, /status, /metrics and profiles. Must not be reachable from outside."`
	Config      string `env:"ONEPX_CONFIG" required:"" placeholder:"FILE" help:"Site configuration (onepx.yaml). Changes are taken over while running, also on SIGHUP."`
	secretKey   `embed:""`

	MailKeys secret.Secret `env:"ONEPX_MAIL_KEYS" placeholder:"KEYS" help:"Keys of the tokens in the URLs of e-mails, as console mail keys makes them: the same in all collectors and wherever mails are made. Without them such URLs lead nowhere. Give them in the environment: a command line can be seen by other users."`

	TrustedProxies []string `env:"ONEPX_TRUSTED_PROXIES" placeholder:"CIDR" help:"Addresses or prefixes of load balancers whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas. None means the peer is the visitor."`
	GeoFile        string   `env:"ONEPX_GEO_FILE" placeholder:"FILE" help:"City database in MaxMind's format for country and region; without it they stay empty. Read once at start."`
	DatacenterFile string   `env:"ONEPX_DATACENTER_FILE" placeholder:"FILE" help:"Address ranges of data centres, a prefix such as 192.0.2.0/24 a line (IPv4 or IPv6; # starts a comment): browsers that come from them count as machines; without it none do. Read once at start. docs/quality.md says where to get one."`

	MaxConnections  int           `env:"ONEPX_MAX_CONNECTIONS" default:"8192" bounds:"16 to 1000000" help:"Connections of visitors at once. When there are as many, a new one takes the place of the one that has been idle for longest, or waits. Must be below the limit of open files."`
	PublishInFlight int           `env:"ONEPX_PUBLISH_IN_FLIGHT" default:"1024" bounds:"1 to 65536" help:"Events that may be on their way to Kafka at once; more go to the spool, or without one are refused as overloaded. No site gets more than four times as many places as are free. Bounds the memory, whatever Kafka does."`
	PublishTimeout  time.Duration `env:"ONEPX_PUBLISH_TIMEOUT" default:"5s" bounds:"100ms to 30s" help:"How long a visitor waits for Kafka before the event goes to the spool, or without one the answer is 503. Longer than a leader election takes, shorter than a page is looked at."`
	eventLimit      `embed:""`
	Spool           spoolSettings `embed:""`
	StopGrace       time.Duration `env:"ONEPX_STOP_GRACE" default:"5s" bounds:"0s to 5m" help:"How long to go on serving after SIGTERM while not ready, so that load balancers notice first."`
	StopTimeout     time.Duration `env:"ONEPX_STOP_TIMEOUT" default:"15s" bounds:"1s to 5m" help:"How long requests at work, and then events on their way to Kafka, may take when stopping."`

	Kafka     kafkaconn.Settings `embed:"" prefix:"kafka-"`
	Telemetry telemetry.Settings `embed:""`
	Sampling  telemetry.Sampling `embed:""`
}

// secretKey is the setting that all have who make keys of people.
type secretKey struct {
	Secret secret.Secret `env:"ONEPX_SECRET" required:"" placeholder:"TEXT" bounds:"at least 32 bytes" help:"Key of visitor ids, user keys, daily hashes and links to /optout: the same in all collectors, kept for ever. Changing it makes new visitors of all. Give it in the environment: a command line can be seen by other users."`
}

// Validate says whether the secret is long enough.
func (s *secretKey) Validate() error {
	if n := len(s.Secret.Reveal()); n < minSecret {
		return fmt.Errorf("ONEPX_SECRET has %d bytes; at least %d are needed", n, minSecret)
	}
	return nil
}

// minSecret is the shortest secret in bytes: as much as a SHA-256 key can use.
const minSecret = 32

// Validate says what is out of bounds, all of it in one error.
func (s *settings) Validate() error {
	var errs []error
	refuse := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(s.MaxConnections >= 16 && s.MaxConnections <= 1_000_000, "ONEPX_MAX_CONNECTIONS is %d; allowed are 16 to 1000000", s.MaxConnections)
	refuse(s.PublishInFlight >= 1 && s.PublishInFlight <= 65536, "ONEPX_PUBLISH_IN_FLIGHT is %d; allowed are 1 to 65536", s.PublishInFlight)
	refuse(s.PublishTimeout >= 100*time.Millisecond && s.PublishTimeout <= 30*time.Second, "ONEPX_PUBLISH_TIMEOUT is %s; allowed are 100ms to 30s", s.PublishTimeout)
	refuse(s.MaxEventBytes >= 1024 && s.MaxEventBytes <= 10_000_000, "ONEPX_MAX_EVENT_BYTES is %d; allowed are 1024 to 10000000", s.MaxEventBytes)
	refuse(s.StopGrace >= 0 && s.StopGrace <= 5*time.Minute, "ONEPX_STOP_GRACE is %s; allowed are 0s to 5m", s.StopGrace)
	refuse(s.StopTimeout >= time.Second && s.StopTimeout <= 5*time.Minute, "ONEPX_STOP_TIMEOUT is %s; allowed are 1s to 5m", s.StopTimeout)
	_, err := client.ParsePrefixes(s.TrustedProxies)
	refuse(err == nil, "ONEPX_TRUSTED_PROXIES: %w", err)
	_, err = s.mailTokens()
	refuse(err == nil, "ONEPX_MAIL_KEYS: %w", err)
	return errors.Join(append(errs, s.secretKey.Validate(), s.Spool.Validate(), s.Kafka.Validate(), s.Sampling.Validate())...)
}

// mailTokens has the keys of mails, or is nil if there are none.
func (s *settings) mailTokens() (*mailtoken.Ring, error) {
	if s.MailKeys.Reveal() == "" {
		return nil, nil //nolint:nilnil // as documented
	}
	return mailtoken.ParseRing(s.MailKeys.Reveal())
}

// eventLimit is the setting that all who publish have.
type eventLimit struct {
	MaxEventBytes int `env:"ONEPX_MAX_EVENT_BYTES" default:"1000000" bounds:"1024 to 10000000" help:"Largest event. Must be below the topic's max.message.bytes (1048588 unless changed)."`
}

// spoolSettings say where events wait while Kafka is away.
type spoolSettings struct {
	Dir        string `name:"spool-dir" env:"ONEPX_SPOOL_DIR" placeholder:"DIR" help:"Folder of this collector alone, on a disk that outlives it, where events wait while Kafka is away; it is made if its parent is there. Without it an event that Kafka does not take in time is answered with 503."`
	QuotaBytes int64  `name:"spool-quota-bytes" env:"ONEPX_SPOOL_QUOTA_BYTES" default:"1073741824" bounds:"16777216 to 1099511627776" help:"Disk space the spool may take. An event takes some 500 bytes. When it is full, events are answered with 503."`
}

// Bounds of the quota: enough segments for several of the largest events, and a terabyte.
const (
	minSpoolQuota = 16 << 20
	maxSpoolQuota = 1 << 40
)

// Validate says what is out of bounds.
func (s *spoolSettings) Validate() error {
	if s.QuotaBytes < minSpoolQuota || s.QuotaBytes > maxSpoolQuota {
		return fmt.Errorf("ONEPX_SPOOL_QUOTA_BYTES is %d; allowed are %d to %d", s.QuotaBytes, minSpoolQuota, int64(maxSpoolQuota))
	}
	return nil
}
