package localstack

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyJava17AndNewerRunsKafka(t *testing.T) {
	for name, c := range map[string]struct{ out, want string }{
		"17 is enough":                 {"openjdk version \"17.0.15\" 2025-04-15\n", ""},
		"an early access build is too": {"openjdk version \"27-ea\" 2026-09-15\n", ""},
		"11 is too old":                {"openjdk version \"11.0.2\" 2019-01-15\n", "java is version 11, Kafka needs 17 or newer"},
		"8 is too old":                 {"java version \"1.8.0_202\"\n", "java is version 1, Kafka needs 17 or newer"},
		"a stub prints no version":     {"No Java runtime present", "prints no version"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := parseJavaVersion(c.out); c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	p := program{command: "does-not-exist", deb: "a-package", brew: "a-formula"}
	require.ErrorContains(t, p.check(t.Context()), "does-not-exist is not on PATH")
	require.Regexp(t, "^(sudo apt-get install a-package|brew install a-formula)$", p.advice())
}

func TestAPasswordGoesWithAnotherUserThanDefault(t *testing.T) {
	for name, cfg := range map[string]ClickHouseConfig{
		"default with a password":  {User: "default", Password: "x"},
		"another user without one": {User: "onepx"},
		"a password for nobody":    {Password: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Dir = t.TempDir()
			_, err := StartClickHouse(t.Context(), cfg)
			require.ErrorContains(t, err, "a password goes with a user other than default")
		})
	}
}

func TestClickHouseConfigurationHidesThePassword(t *testing.T) {
	c := &ClickHouse{
		cfg:   ClickHouseConfig{Dir: t.TempDir(), User: "onepx", Password: "p@ss<word>"},
		ports: &Ports{Numbers: []int{20001, 20002}},
	}
	config, err := c.writeConfig()
	require.NoError(t, err)
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	require.Contains(t, string(text), "<tcp_port>20001</tcp_port>")
	users, err := os.ReadFile(c.cfg.Dir + "/users.xml")
	require.NoError(t, err)
	require.NotContains(t, string(users), "ss<word")
	require.Contains(t, string(users), "<onepx>")
	require.Equal(t, "http://onepx:p%40ss%3Cword%3E@127.0.0.1:20002", c.HTTPURL())
}

func TestAClickHouseOnPathIsTakenIfItIsNewEnough(t *testing.T) {
	for name, c := range map[string]struct{ prints, want string }{
		"26 is":                       {"ClickHouse server version 26.7.2.1 (official build).", "clickhouse"},
		"Debian's old one is not":     {"ClickHouse server version 18.16.1.", libchdbFile},
		"one that prints nothing too": {"", libchdbFile},
	} {
		t.Run(name, func(t *testing.T) {
			bin, cache := t.TempDir(), t.TempDir()
			t.Setenv("PATH", bin)
			t.Setenv("ONEPX_CACHE", cache)
			require.NoError(t, os.Mkdir(filepath.Join(cache, "libchdb-"+chdbVersion+"-"+runtime.GOARCH), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(bin, "clickhouse"), []byte("#!/bin/sh\necho '"+c.prints+"'\n"), 0o755))
			server, err := findClickHouse(t.Context(), io.Discard)
			require.NoError(t, err)
			require.Equal(t, c.want, filepath.Base(server.program+server.library))
		})
	}
}

func TestKafkaAdvertisesEachProxyOnItsOwnListener(t *testing.T) {
	k := &Kafka{cfg: KafkaConfig{Dir: "/d"}, ports: &Ports{Numbers: []int{20001, 20002, 20003, 20004}}}
	require.Contains(t, k.properties(), "\nlisteners=CLIENT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002\n")
	require.Contains(t, k.properties(), "\nadvertised.listeners=CLIENT://127.0.0.1:20001\n")
	k.cfg.Advertised = []string{"127.0.0.1:7", "127.0.0.1:8"}
	require.Contains(t, k.properties(),
		"\nlisteners=CLIENT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002,PROXIED0://127.0.0.1:20003,PROXIED1://127.0.0.1:20004\n")
	require.Contains(t, k.properties(), "\nadvertised.listeners=CLIENT://127.0.0.1:20001,PROXIED0://127.0.0.1:7,PROXIED1://127.0.0.1:8\n")
	require.Contains(t, k.properties(), "PROXIED0:PLAINTEXT,PROXIED1:PLAINTEXT\n")
}

func TestTheInProcessKafkaAnswers(t *testing.T) {
	t.Setenv("ONEPX_CACHE", t.TempDir())
	f, err := StartFakeKafka()
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, kafkaReady(t.Context(), f.Broker()))
}
