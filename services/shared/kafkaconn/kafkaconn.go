// Package kafkaconn holds the settings of the connection to Kafka and builds
// kafka-go's connection types from them, so that every part of every service
// speaks to Kafka with the same addresses, TLS, credentials and time limits.
//
// A service embeds Settings in its command line; once they are parsed and
// validated it asks for what it needs: Transport for a Writer, Dialer for a Reader
// or ConsumerGroup, Client for single requests.
package kafkaconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/onepx/onepx/services/shared/settings"
)

// Time limits of all connections. They are not settings: a broker that needs
// longer is as good as away, and callers have deadlines and retries of their own.
const (
	// DialTimeout bounds making a connection, TLS and SASL included.
	DialTimeout = 5 * time.Second
	// RequestTimeout bounds one request of Client. Brokers may hold a join of a
	// group for longer; the consumer group has its own limits for that.
	RequestTimeout = 10 * time.Second
	// idleTimeout closes unused connections well before brokers do (10 minutes).
	idleTimeout = time.Minute
	// keepAlive finds out that a silent broker is gone.
	keepAlive = 30 * time.Second
)

// Settings are the settings of the connection to Kafka. Embed them with
// `embed:"" prefix:"kafka-"`.
type Settings struct {
	Brokers       []string        `env:"ONEPX_KAFKA_BROKERS" required:"" placeholder:"HOST:PORT" bounds:"at least one host:port" help:"Kafka brokers to start from, separated by commas."`
	ClientID      string          `name:"client-id" env:"ONEPX_KAFKA_CLIENT_ID" default:"onepx" help:"Name in the brokers' logs and quotas."`
	TLS           bool            `name:"tls" env:"ONEPX_KAFKA_TLS" help:"Encrypt connections (TLS 1.2 or newer) and check the brokers' certificates."`
	TLSCAFile     string          `name:"tls-ca-file" env:"ONEPX_KAFKA_TLS_CA_FILE" help:"PEM file of the authorities to trust instead of the system's."`
	TLSCertFile   string          `name:"tls-cert-file" env:"ONEPX_KAFKA_TLS_CERT_FILE" help:"PEM file of the client certificate."`
	TLSKeyFile    string          `name:"tls-key-file" env:"ONEPX_KAFKA_TLS_KEY_FILE" help:"PEM file of the client certificate's key."`
	TLSServerName string          `name:"tls-server-name" env:"ONEPX_KAFKA_TLS_SERVER_NAME" help:"Name the brokers' certificates must carry instead of the host connected to."`
	SASLMechanism string          `name:"sasl-mechanism" env:"ONEPX_KAFKA_SASL_MECHANISM" default:"" enum:",plain,scram-sha-256,scram-sha-512" help:"How to log in; empty means not at all. plain shows the password to whoever reads the connection: use it with TLS only."`
	SASLUsername  string          `name:"sasl-username" env:"ONEPX_KAFKA_SASL_USERNAME" help:"User to log in as."`
	SASLPassword  settings.Secret `name:"sasl-password" env:"ONEPX_KAFKA_SASL_PASSWORD" help:"Password to log in with. Give it in the environment: a command line can be seen by other users."`
}

// Validate says what is wrong with the settings, all of it in one error. It does
// not read files.
func (s Settings) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(s.Brokers) == 0 {
		refuse("ONEPX_KAFKA_BROKERS is empty; give at least one host:port")
	}
	for _, broker := range s.Brokers {
		if !isHostPort(broker) {
			refuse("ONEPX_KAFKA_BROKERS: %q is not host:port", broker)
		}
	}
	if !s.TLS && s.TLSCAFile+s.TLSCertFile+s.TLSKeyFile+s.TLSServerName != "" {
		refuse("ONEPX_KAFKA_TLS_… is set but TLS is off; set ONEPX_KAFKA_TLS=true too")
	}
	if (s.TLSCertFile == "") != (s.TLSKeyFile == "") {
		refuse("ONEPX_KAFKA_TLS_CERT_FILE and ONEPX_KAFKA_TLS_KEY_FILE go together; one is missing")
	}
	hasUser, hasPassword := s.SASLUsername != "", s.SASLPassword != ""
	switch {
	case s.SASLMechanism == "" && (hasUser || hasPassword):
		refuse("a Kafka user or password is set without a mechanism; set ONEPX_KAFKA_SASL_MECHANISM")
	case s.SASLMechanism != "" && !(hasUser && hasPassword):
		refuse("ONEPX_KAFKA_SASL_MECHANISM needs ONEPX_KAFKA_SASL_USERNAME and ONEPX_KAFKA_SASL_PASSWORD")
	}
	return errors.Join(errs...)
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// Addr returns the brokers to start from, for a Writer or a Client.
func (s Settings) Addr() net.Addr { return kafka.TCP(s.Brokers...) }

// Transport returns a pool of connections for a Writer or Clients. Whoever closes
// those calls its CloseIdleConnections after them. It fails if a TLS file can't be
// read or the SASL settings can't be used.
func (s Settings) Transport() (*kafka.Transport, error) {
	tlsConfig, mechanism, err := s.security()
	if err != nil {
		return nil, err
	}
	return &kafka.Transport{
		Dial:        (&net.Dialer{Timeout: DialTimeout, KeepAlive: keepAlive}).DialContext,
		DialTimeout: DialTimeout,
		IdleTimeout: idleTimeout,
		ClientID:    s.ClientID,
		TLS:         tlsConfig,
		SASL:        mechanism,
	}, nil
}

// Dialer returns what a Reader or a ConsumerGroup makes its connections with. It
// fails as Transport does.
func (s Settings) Dialer() (*kafka.Dialer, error) {
	tlsConfig, mechanism, err := s.security()
	if err != nil {
		return nil, err
	}
	return &kafka.Dialer{
		ClientID:      s.ClientID,
		Timeout:       DialTimeout,
		KeepAlive:     keepAlive,
		DualStack:     true,
		TLS:           tlsConfig,
		SASLMechanism: mechanism,
	}, nil
}

// Client returns a client for single requests with a Transport of its own, which
// Close closes. It fails as Transport does.
func (s Settings) Client() (*kafka.Client, error) {
	transport, err := s.Transport()
	if err != nil {
		return nil, err
	}
	return &kafka.Client{Addr: s.Addr(), Timeout: RequestTimeout, Transport: transport}, nil
}

// Close closes the unused connections of a client that Client returned. Those still
// in use close when their requests end.
func Close(client *kafka.Client) {
	if transport, ok := client.Transport.(*kafka.Transport); ok {
		transport.CloseIdleConnections()
	}
}

func (s Settings) security() (*tls.Config, sasl.Mechanism, error) {
	tlsConfig, err := s.tlsConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("kafka tls: %w", err)
	}
	mechanism, err := s.mechanism()
	if err != nil {
		return nil, nil, fmt.Errorf("kafka sasl: %w", err)
	}
	return tlsConfig, mechanism, nil
}

// tlsConfig returns nil if TLS is off.
func (s Settings) tlsConfig() (*tls.Config, error) {
	if !s.TLS {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.TLSServerName}
	if s.TLSCAFile != "" {
		pem, err := os.ReadFile(s.TLSCAFile)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities: %s holds no PEM certificate", s.TLSCAFile)
		}
	}
	if s.TLSCertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.TLSCertFile, s.TLSKeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// mechanism returns nil if SASL is off.
func (s Settings) mechanism() (sasl.Mechanism, error) {
	switch s.SASLMechanism {
	case "":
		return nil, nil
	case "plain":
		return plain.Mechanism{Username: s.SASLUsername, Password: s.SASLPassword.Reveal()}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, s.SASLUsername, s.SASLPassword.Reveal())
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, s.SASLUsername, s.SASLPassword.Reveal())
	}
	return nil, fmt.Errorf("mechanism %q is not one of plain, scram-sha-256, scram-sha-512", s.SASLMechanism)
}
