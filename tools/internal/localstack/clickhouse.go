package localstack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// ClickHouseConfig says where a server lives and who may use it.
type ClickHouseConfig struct {
	// Dir holds data and configuration; a server started again in it has the same data. Required, absolute.
	Dir string
	// LogFile takes the server's log; empty means clickhouse.log in Dir.
	LogFile string
	// User and Password are of the user with all rights. Both empty means `default` without a password. With a password
	// the user needs another name: libchdb itself logs in as `default` without one, which then may do nothing.
	User, Password string
	// Readers are users without a password who may read one database, and nothing else: its name by theirs.
	Readers map[string]string
	// Granted are users with a password and what the GRANT statements give them, each without its TO.
	Granted map[string]GrantedUser
	// Progress takes messages about downloads for people; nil means nowhere.
	Progress io.Writer
}

// GrantedUser is a user with limited rights.
type GrantedUser struct {
	Password string
	Grants   []string
}

// ClickHouse is a real server. Start after Stop or Kill keeps ports and data.
type ClickHouse struct {
	*Process
	cfg   ClickHouseConfig
	ports *Ports // native, HTTP
	// cluster is nil when the server knows none.
	cluster *clusterXML
}

// StartClickHouse starts a server on free ports of 127.0.0.1 and waits until it answers. It is the `clickhouse` on PATH
// if that is recent enough, else libchdb in a child that is this same program (see RunChild).
func StartClickHouse(ctx context.Context, cfg ClickHouseConfig) (*ClickHouse, error) {
	ports, err := ReservePorts(2)
	if err != nil {
		return nil, err
	}
	return startClickHouse(ctx, cfg, ports, nil)
}

func startClickHouse(ctx context.Context, cfg ClickHouseConfig, ports *Ports, cluster *clusterXML) (*ClickHouse, error) {
	if cfg.User == "" {
		cfg.User = defaultUser
	}
	if (cfg.User == defaultUser) != (cfg.Password == "") {
		return nil, errors.New("start clickhouse: a password goes with a user other than default, and only with one")
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	if cfg.LogFile == "" {
		cfg.LogFile = filepath.Join(cfg.Dir, "clickhouse.log")
	}
	c := &ClickHouse{cfg: cfg, ports: ports, cluster: cluster}
	config, err := c.writeConfig()
	if err != nil {
		return nil, fmt.Errorf("start clickhouse: %w", err)
	}
	server, err := findClickHouse(ctx, cfg.Progress)
	if err != nil {
		return nil, fmt.Errorf("start clickhouse: %w", err)
	}
	path, args, err := server.command(config)
	if err != nil {
		return nil, fmt.Errorf("start clickhouse: %w", err)
	}
	c.Process, err = StartProcess(ctx, ProcessConfig{
		Name: "clickhouse", Path: path, Args: args, Dir: cfg.Dir, LogFile: cfg.LogFile, Ready: c.ready,
		// Without this a server on PATH would run as a watchdog with a child of its own.
		Env: []string{"CLICKHOUSE_WATCHDOG_ENABLE=0"},
		// libchdb 26.7.2.1 aborts (an uncaught NetException) when a client resets its connection at a bad moment, as one does
		// whose deadline is over; the real server goes on.
		RestartAborted: true,
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// NativeAddr returns the host:port of the native protocol.
func (c *ClickHouse) NativeAddr() string { return Loopback(c.ports.Numbers[0]) }

// HTTPURL returns the base URL of the HTTP interface, with user and password if there is a password; curl takes it as it is.
func (c *ClickHouse) HTTPURL() string {
	u := url.URL{Scheme: "http", Host: Loopback(c.ports.Numbers[1])}
	if c.cfg.Password != "" {
		u.User = url.UserPassword(c.cfg.User, c.cfg.Password)
	}
	return u.String()
}

// User returns the name of the user with all rights.
func (c *ClickHouse) User() string { return c.cfg.User }

// Password returns the password of User; empty if there is none.
func (c *ClickHouse) Password() string { return c.cfg.Password }

// ready asks both interfaces.
func (c *ClickHouse) ready(ctx context.Context) error {
	if err := HTTPReady(c.HTTPURL() + "/?query=SELECT+1")(ctx); err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.NativeAddr())
	if err != nil {
		return err
	}
	return conn.Close()
}

const (
	defaultUser = "default"
	logLevel    = "information"
)

// serverXML and usersXML are the parts of ClickHouse's configuration that we set. See
// https://clickhouse.com/docs/operations/configuration-files.
type serverXML struct {
	XMLName     xml.Name `xml:"clickhouse"`
	Path        string   `xml:"path"`
	ListenHost  string   `xml:"listen_host"`
	TCPPort     int      `xml:"tcp_port"`
	HTTPPort    int      `xml:"http_port"`
	UsersConfig string   `xml:"users_config"`
	// MergeSlots for each of the two threads make the 32 of a server: full, they are looked at again after up to a second only.
	MergeSlots int    `xml:"background_merges_mutations_concurrency_ratio"`
	Log        string `xml:"logger>log"`
	LogLevel   string `xml:"logger>level"` // of a server; libchdb takes --log-level
	Console    int    `xml:"logger>console"`

	Cluster *clusterXML `xml:"remote_servers>onepx"`
	// Of servers of a cluster: ClickHouse's own stand-in for a Keeper, in the server's memory, by which tables with Replicated… engines can be
	// made, and no more: they stay read only.
	Keeper string     `xml:"zookeeper>implementation,omitempty"`
	Macros *macrosXML `xml:"macros"`
}

type usersXML struct {
	XMLName xml.Name `xml:"clickhouse"`
	// SyncMetadata 0 leaves the definitions of tables to the operating system, as is done with rows: they outlive a killed
	// server, and making a database takes half the time.
	SyncMetadata int       `xml:"profiles>default>fsync_metadata"`
	Quota        struct{}  `xml:"quotas>default"`
	Users        []userXML `xml:"users>user"`
}

type userXML struct {
	XMLName          xml.Name
	NoPassword       *struct{}  `xml:"no_password"`
	PasswordSHA256   string     `xml:"password_sha256_hex,omitempty"`
	Networks         string     `xml:"networks>ip"`
	Profile          string     `xml:"profile"`
	Quota            string     `xml:"quota"`
	AccessManagement int        `xml:"access_management,omitempty"`
	Grants           *grantsXML `xml:"grants"` // nil means all; cannot stand beside access_management
}

type grantsXML struct {
	Queries []string `xml:"query"`
}

// writeConfig writes config.xml and users.xml into Dir and returns the path of the first.
func (c *ClickHouse) writeConfig() (string, error) {
	config := filepath.Join(c.cfg.Dir, "config.xml")
	users := filepath.Join(c.cfg.Dir, "users.xml")
	server := serverXML{
		Path: filepath.Join(c.cfg.Dir, "data") + "/", ListenHost: "127.0.0.1",
		TCPPort: c.ports.Numbers[0], HTTPPort: c.ports.Numbers[1],
		UsersConfig: users, MergeSlots: 16, Log: c.cfg.LogFile, LogLevel: logLevel, Cluster: c.cluster,
	}
	if c.cluster != nil {
		server.Keeper, server.Macros = "testkeeper", &macrosXML{Shard: filepath.Base(c.cfg.Dir), Replica: "1"}
	}
	return config, errors.Join(
		os.MkdirAll(c.cfg.Dir, 0o755),
		writeXML(users, c.usersXML()),
		writeXML(config, server),
	)
}

func (c *ClickHouse) usersXML() usersXML {
	newUser := func(name string) userXML {
		return userXML{
			XMLName: xml.Name{Local: name}, Networks: "127.0.0.1", Profile: "default", Quota: "default",
		}
	}
	var users []userXML
	for name, database := range c.cfg.Readers {
		reader := newUser(name)
		reader.NoPassword, reader.Grants = &struct{}{}, &grantsXML{Queries: []string{"GRANT SELECT ON " + database + ".*"}}
		users = append(users, reader)
	}
	for name, u := range c.cfg.Granted {
		granted := newUser(name)
		granted.PasswordSHA256, granted.Grants = sha256Hex(u.Password), &grantsXML{Queries: u.Grants}
		users = append(users, granted)
	}
	local := newUser(defaultUser)
	local.NoPassword = &struct{}{}
	if c.cfg.User == defaultUser {
		local.AccessManagement = 1
		return usersXML{Users: append(users, local)}
	}
	local.Grants = &grantsXML{Queries: []string{"GRANT SYSTEM LISTEN ON *.*", "GRANT SELECT ON system.numbers"}}
	owner := newUser(c.cfg.User)
	owner.PasswordSHA256 = sha256Hex(c.cfg.Password)
	owner.AccessManagement = 1
	return usersXML{Users: append(users, local, owner)}
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func writeXML(name string, v any) error {
	text, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o600)
}

// clickHouseServer is what can run as a server: a program, or the library if that is empty.
type clickHouseServer struct{ program, library string }

// minClickHouse is the oldest major version that has what the schema uses.
const minClickHouse = 26

var clickHouseVersionText = regexp.MustCompile(`version (\d+)\.`)

// findClickHouse looks for a program that is recent enough, else fetches the library.
func findClickHouse(ctx context.Context, progress io.Writer) (clickHouseServer, error) {
	if path, err := exec.LookPath("clickhouse"); err == nil {
		out, err := exec.CommandContext(ctx, path, "server", "--version").CombinedOutput()
		if m := clickHouseVersionText.FindSubmatch(out); err == nil && m != nil {
			if major, err := strconv.Atoi(string(m[1])); err == nil && major >= minClickHouse {
				return clickHouseServer{program: path}, nil
			}
		}
		fmt.Fprintf(progress, "%s is not ClickHouse %d or newer: using libchdb\n", path, minClickHouse)
	}
	library, err := fetchLibchdb(ctx, progress)
	return clickHouseServer{library: library}, err
}

// command returns the program and arguments that run the server. clickhouse-local runs queries and ends, so two open the
// ports and the last one never ends.
func (s clickHouseServer) command(config string) (string, []string, error) {
	if s.program != "" {
		return s.program, []string{"server", "--config-file=" + config}, nil
	}
	if !runChildCalled {
		return "", nil, errors.New("this program does not call localstack.RunChild first")
	}
	self, err := os.Executable()
	return self, []string{
		childCommand, s.library, "--config-file=" + config, "--log-level=" + logLevel,
		"--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP;" +
			" SELECT sleepEachRow(1) FROM system.numbers" +
			" SETTINGS function_sleep_max_microseconds_per_block=0, max_block_size=1 FORMAT Null",
	}, err
}
