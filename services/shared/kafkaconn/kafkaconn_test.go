package kafkaconn_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect writes one message through Transport, reads it through Dialer, and asks
// Client for the topic: all three ways of connecting. It returns the first error.
func connect(t *testing.T, s kafkaconn.Settings) error {
	t.Helper()
	require.NoError(t, s.Validate())
	transport, err := s.Transport()
	require.NoError(t, err)
	defer transport.CloseIdleConnections()
	writer := &kafka.Writer{Addr: s.Addr(), Topic: "events", RequiredAcks: kafka.RequireAll, BatchSize: 1, MaxAttempts: 1, Transport: transport}
	defer func() { require.NoError(t, writer.Close()) }()
	if err := writer.WriteMessages(t.Context(), kafka.Message{Value: []byte("hello")}); err != nil {
		return fmt.Errorf("write: %w", err)
	}

	dialer, err := s.Dialer()
	require.NoError(t, err)
	conn, err := dialer.DialLeader(t.Context(), "tcp", s.Brokers[0], "events", 0)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer func() { require.NoError(t, conn.Close()) }()
	message, err := conn.ReadMessage(1 << 10)
	require.NoError(t, err)
	require.Equal(t, "hello", string(message.Value))

	client, err := s.Client()
	require.NoError(t, err)
	defer kafkaconn.Close(client)
	metadata, err := client.Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{"events"}})
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	require.Len(t, metadata.Topics, 1)
	return nil
}

// requireRefused checks that each of the three ways of connecting fails.
func requireRefused(t *testing.T, s kafkaconn.Settings, because string) {
	t.Helper()
	require.ErrorContains(t, connect(t, s), because)
	dialer, err := s.Dialer()
	require.NoError(t, err)
	_, err = dialer.LookupPartitions(t.Context(), "tcp", s.Brokers[0], "events")
	require.ErrorContains(t, err, because)
	client, err := s.Client()
	require.NoError(t, err)
	defer kafkaconn.Close(client)
	_, err = client.Metadata(t.Context(), &kafka.MetadataRequest{})
	require.ErrorContains(t, err, because)
}

func TestPlainConnection(t *testing.T) {
	b := kafkatest.Start(t, map[string]int{"events": 1})
	require.NoError(t, connect(t, kafkaconn.Settings{Brokers: []string{b.Addr()}, ClientID: "onepx"}))
}

func TestTLSWithAnOwnAuthority(t *testing.T) {
	ca := newAuthority(t)
	b := kafkatest.Start(t, map[string]int{"events": 1}, kfake.TLS(ca.server(t, "127.0.0.1")))
	s := kafkaconn.Settings{Brokers: []string{b.Addr()}, TLS: true, TLSCAFile: ca.file}
	require.NoError(t, connect(t, s))

	s.TLSCAFile = ""
	requireRefused(t, s, "certificate")
	s.TLSCAFile = newAuthority(t).file
	requireRefused(t, s, "unknown authority")
}

func TestTLSServerNameReplacesTheHostConnectedTo(t *testing.T) {
	ca := newAuthority(t)
	b := kafkatest.Start(t, map[string]int{"events": 1}, kfake.TLS(ca.server(t, "kafka.example.com")))
	s := kafkaconn.Settings{Brokers: []string{b.Addr()}, TLS: true, TLSCAFile: ca.file}
	requireRefused(t, s, "127.0.0.1")
	s.TLSServerName = "kafka.example.com"
	require.NoError(t, connect(t, s))
}

func TestTLSClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	server := ca.server(t, "127.0.0.1")
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.pool
	b := kafkatest.Start(t, map[string]int{"events": 1}, kfake.TLS(server))
	s := kafkaconn.Settings{Brokers: []string{b.Addr()}, TLS: true, TLSCAFile: ca.file}
	requireRefused(t, s, "certificate required")
	s.TLSCertFile, s.TLSKeyFile = ca.client(t)
	require.NoError(t, connect(t, s))
}

func TestSASLOverTLS(t *testing.T) {
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		t.Run(mechanism, func(t *testing.T) {
			ca := newAuthority(t)
			b := kafkatest.Start(t, map[string]int{"events": 1}, kfake.TLS(ca.server(t, "127.0.0.1")),
				kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "collector", "s3cret"))
			s := kafkaconn.Settings{
				Brokers: []string{b.Addr()}, TLS: true, TLSCAFile: ca.file,
				SASLMechanism: mechanism, SASLUsername: "collector", SASLPassword: "s3cret",
			}
			require.NoError(t, connect(t, s))
			s.SASLPassword = "wrong"
			requireRefused(t, s, "") // this broker only hangs up, Kafka says why
		})
	}
}

func TestSettingsAreReadFromTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"BROKERS": "a:9092,b:9093", "CLIENT_ID": "edge", "TLS": "true", "TLS_CA_FILE": "ca.pem", "TLS_CERT_FILE": "cert.pem",
		"TLS_KEY_FILE": "key.pem", "TLS_SERVER_NAME": "kafka", "SASL_MECHANISM": "plain", "SASL_USERNAME": "user", "SASL_PASSWORD": "s3cret",
	} {
		t.Setenv("ONEPX_KAFKA_"+name, value)
	}
	s, err := parse(t)
	require.NoError(t, err)
	require.Equal(t, kafkaconn.Settings{
		Brokers: []string{"a:9092", "b:9093"}, ClientID: "edge", TLS: true, TLSCAFile: "ca.pem", TLSCertFile: "cert.pem",
		TLSKeyFile: "key.pem", TLSServerName: "kafka", SASLMechanism: "plain", SASLUsername: "user", SASLPassword: "s3cret",
	}, s)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", s, s, s), "s3cret")

	t.Setenv("ONEPX_KAFKA_BROKERS", "a")
	_, err = parse(t)
	require.ErrorContains(t, err, `ONEPX_KAFKA_BROKERS: "a" is not host:port`)
}

func TestBrokersAreRequiredAndTheRestIsNot(t *testing.T) {
	_, err := parse(t)
	require.ErrorContains(t, err, "ONEPX_KAFKA_BROKERS")
	s, err := parse(t, "--kafka-brokers=kafka:9092")
	require.NoError(t, err)
	require.Equal(t, kafkaconn.Settings{Brokers: []string{"kafka:9092"}, ClientID: "onepx"}, s)
}

func TestSettingsThatContradictEachOtherAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*kafkaconn.Settings)
		want   string
	}{
		"no broker":                      {func(s *kafkaconn.Settings) { s.Brokers = nil }, "BROKERS is empty"},
		"broker without host":            {func(s *kafkaconn.Settings) { s.Brokers = []string{":9092"} }, `":9092" is not host:port`},
		"broker with port zero":          {func(s *kafkaconn.Settings) { s.Brokers = []string{"a:0"} }, `"a:0" is not host:port`},
		"broker with a service name":     {func(s *kafkaconn.Settings) { s.Brokers = []string{"a:kafka"} }, `"a:kafka" is not host:port`},
		"authority without TLS":          {func(s *kafkaconn.Settings) { s.TLSCAFile = "ca.pem" }, "TLS is off"},
		"certificate without key":        {func(s *kafkaconn.Settings) { s.TLS, s.TLSCertFile = true, "c.pem" }, "go together"},
		"key without certificate":        {func(s *kafkaconn.Settings) { s.TLS, s.TLSKeyFile = true, "k.pem" }, "go together"},
		"user without mechanism":         {func(s *kafkaconn.Settings) { s.SASLUsername = "u" }, "without a mechanism"},
		"password without mechanism":     {func(s *kafkaconn.Settings) { s.SASLPassword = "p" }, "without a mechanism"},
		"mechanism without user":         {func(s *kafkaconn.Settings) { s.SASLMechanism, s.SASLPassword = "plain", "p" }, "needs"},
		"mechanism without password":     {func(s *kafkaconn.Settings) { s.SASLMechanism, s.SASLUsername = "plain", "u" }, "needs"},
		"everything wrong, first of all": {func(s *kafkaconn.Settings) { s.Brokers, s.SASLUsername = nil, "u" }, "BROKERS is empty"},
		"everything wrong, last of all":  {func(s *kafkaconn.Settings) { s.Brokers, s.SASLUsername = nil, "u" }, "without a mechanism"},
	} {
		t.Run(name, func(t *testing.T) {
			s := kafkaconn.Settings{Brokers: []string{"kafka:9092"}}
			require.NoError(t, s.Validate())
			c.change(&s)
			require.ErrorContains(t, s.Validate(), c.want)
		})
	}
}

func TestFilesThatCannotBeUsedAreNamed(t *testing.T) {
	dir := t.TempDir()
	notPEM := filepath.Join(dir, "not.pem")
	require.NoError(t, os.WriteFile(notPEM, []byte("text"), 0o600))
	for name, s := range map[string]kafkaconn.Settings{
		"authority missing":       {TLS: true, TLSCAFile: filepath.Join(dir, "none.pem")},
		"authority not PEM":       {TLS: true, TLSCAFile: notPEM},
		"client certificate gone": {TLS: true, TLSCertFile: filepath.Join(dir, "none.pem"), TLSKeyFile: notPEM},
		"unknown mechanism":       {SASLMechanism: "gssapi"},
	} {
		t.Run(name, func(t *testing.T) {
			_, transportErr := s.Transport()
			require.Error(t, transportErr)
			_, err := s.Dialer()
			require.EqualError(t, err, transportErr.Error())
			_, err = s.Client()
			require.EqualError(t, err, transportErr.Error())
		})
	}
}

func parse(t *testing.T, args ...string) (kafkaconn.Settings, error) {
	t.Helper()
	var cli struct {
		Kafka kafkaconn.Settings `embed:"" prefix:"kafka-"`
	}
	parser, err := kong.New(&cli)
	require.NoError(t, err)
	_, err = parser.Parse(args)
	return cli.Kafka, err
}
