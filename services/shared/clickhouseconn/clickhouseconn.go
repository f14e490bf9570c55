// Package clickhouseconn is the connection to ClickHouse: its settings, and the pool that is made of them.
package clickhouseconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/onepx/onepx/services/shared/settings"
)

// Settings say how to reach ClickHouse.
type Settings struct {
	Addrs      []string        `name:"addr" env:"ONEPX_CLICKHOUSE_ADDR" required:"" help:"Native addresses host:port of ClickHouse, comma separated; the first that answers is used."`
	Database   string          `name:"database" env:"ONEPX_CLICKHOUSE_DATABASE" default:"onepx" help:"Database; letters, digits and underscores."`
	User       string          `name:"user" env:"ONEPX_CLICKHOUSE_USER" default:"default" help:"User. On the database the consumer needs INSERT and SELECT, for migrations also CREATE and ALTER; the console SELECT alone."`
	Password   settings.Secret `name:"password" env:"ONEPX_CLICKHOUSE_PASSWORD" help:"Password of the user. Give it in the environment: a command line can be seen by other users."`
	TLS        bool            `name:"tls" env:"ONEPX_CLICKHOUSE_TLS" help:"Speak TLS."`
	CAFile     string          `name:"tls-ca-file" env:"ONEPX_CLICKHOUSE_TLS_CA_FILE" help:"PEM file of the authorities to trust; empty = those of the system."`
	ServerName string          `name:"tls-server-name" env:"ONEPX_CLICKHOUSE_TLS_SERVER_NAME" help:"Name in the server's certificate when it is not the host of the address."`
}

// Identifier is what a database may be called.
var Identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// Validate checks bounds and what belongs together.
func (s Settings) Validate() error {
	if !Identifier.MatchString(s.Database) {
		return fmt.Errorf("ONEPX_CLICKHOUSE_DATABASE %q: use letters, digits and underscores", s.Database)
	}
	if !s.TLS && (s.CAFile != "" || s.ServerName != "") {
		return errors.New("ONEPX_CLICKHOUSE_TLS_CA_FILE and _SERVER_NAME need ONEPX_CLICKHOUSE_TLS=true")
	}
	return nil
}

// How long one statement may take, from its sending to its last row: the driver ends it then, unless its context has a deadline
// of its own.
const (
	// OfConsumers is for those who must not wait for long.
	OfConsumers = time.Minute
	// OfCommands is for work that reads or changes a whole table: a mutation says nothing until it has ended.
	OfCommands = 2 * time.Hour
)

// OnShards are the settings by which a question about tables that are divided among the shards of a cluster is answered from all
// rows: the server that is asked makes what they are joined with and looked up in, before it asks the shards. Without them each
// shard would use what it has by itself, if ClickHouse did not refuse to. A condition on the result of a view is not sent to
// shards: as text it has lost the view's parameters (26.7). On a single node they change nothing.
var OnShards = clickhouse.Settings{
	"distributed_product_mode":                            "global",
	"prefer_global_in_and_join":                           1,
	"allow_push_predicate_ast_for_distributed_subqueries": 0,
}

// Open makes a connection pool; nothing is sent yet. The connections name no database, so that migrations can make it.
func (s Settings) Open(statement time.Duration) (driver.Conn, error) {
	options := &clickhouse.Options{
		Addr:             s.Addrs,
		Auth:             clickhouse.Auth{Username: s.User, Password: s.Password.Reveal()},
		DialTimeout:      5 * time.Second,
		ReadTimeout:      statement,
		MaxOpenConns:     64,
		MaxIdleConns:     8,
		Compression:      &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
		ConnOpenStrategy: clickhouse.ConnOpenInOrder,
		Settings:         maps.Clone(OnShards),
		// A block is compressed and sent in pieces of about this size (no smaller than a column), and no connection keeps
		// the room for them.
		MaxCompressionBuffer: 1 << 20,
		FreeBufOnConnRelease: true,
	}
	if s.TLS {
		options.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.ServerName}
		if s.CAFile != "" {
			pem, err := os.ReadFile(s.CAFile)
			if err != nil {
				return nil, fmt.Errorf("ONEPX_CLICKHOUSE_TLS_CA_FILE: %w", err)
			}
			options.TLS.RootCAs = x509.NewCertPool()
			if !options.TLS.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("ONEPX_CLICKHOUSE_TLS_CA_FILE %s: no PEM certificate in it", s.CAFile)
			}
		}
	}
	return clickhouse.Open(options)
}

// WaitUntilUp pings until ClickHouse answers or the context ends. What waiting does not cure ends it at once: a login that is
// refused, a certificate that is not trusted or is another host's, and a port that does not speak TLS.
func WaitUntilUp(ctx context.Context, conn driver.Conn) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := conn.Ping(ctx)
		if err == nil {
			return nil
		}
		var exception *clickhouse.Exception
		var certificate *tls.CertificateVerificationError
		var noTLS tls.RecordHeaderError
		if errors.As(err, &exception) || errors.As(err, &certificate) || errors.As(err, &noTLS) {
			return fmt.Errorf("clickhouse: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("clickhouse does not answer: %w", err)
		case <-tick.C:
		}
	}
}
