package localstack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// KafkaSecurity gives a broker a further listener (SecureAddr) on which users log in over TLS and may do only what an ACL
// allows. Whoever comes by the other listeners may do everything: so rights are set there.
type KafkaSecurity struct {
	// KeyStore is a PEM file with the broker's key (PKCS #8) and certificate; TrustStore has the authorities of clients, who
	// need a certificate of their own.
	KeyStore, TrustStore string
	// Users are passwords by name. They log in by SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN.
	Users map[string]string
}

// secureListener is the name of the listener in the broker's configuration.
const secureListener = "SECURE"

// SecureAddr returns the host:port of KafkaConfig.Security's listener.
func (k *Kafka) SecureAddr() string { return Loopback(k.ports.Numbers[len(k.ports.Numbers)-1]) }

// properties are those of the listener and of the rights.
func (s *KafkaSecurity) properties() []string {
	var plain strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.Users)) {
		fmt.Fprintf(&plain, " user_%s=%q", name, s.Users[name])
	}
	const (
		prefix = "listener.name.secure."
		login  = "org.apache.kafka.common.security."
		scram  = login + "scram.ScramLoginModule required;"
	)
	return []string{
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS", // the controller, and whoever comes by a listener without a login
		prefix + "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		prefix + "plain.sasl.jaas.config=" + login + "plain.PlainLoginModule required" + plain.String() + ";",
		prefix + "scram-sha-256.sasl.jaas.config=" + scram,
		prefix + "scram-sha-512.sasl.jaas.config=" + scram,
		prefix + "ssl.keystore.type=PEM",
		prefix + "ssl.keystore.location=" + s.KeyStore,
		prefix + "ssl.truststore.type=PEM",
		prefix + "ssl.truststore.location=" + s.TrustStore,
		prefix + "ssl.client.auth=required",
	}
}

// formatArgs write the users' SCRAM credentials into a new data directory.
func (s *KafkaSecurity) formatArgs() (args []string) {
	if s == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Users)) {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, fmt.Sprintf("--add-scram=%s=[name=%s,password=%s]", mechanism, name, s.Users[name]))
		}
	}
	return args
}
