package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "0123456789abcdef0123456789abcdef"

func TestSettingsThatAreWrongAreAllNamedAtOnce(t *testing.T) {
	for name, value := range map[string]string{
		"ONEPX_KAFKA_BROKERS": "a", "ONEPX_CLICKHOUSE_ADDR": "a:9000", "ONEPX_CLICKHOUSE_DATABASE": "a-b", "ONEPX_CONFIG": "onepx.yaml", "ONEPX_SECRET": "too short",
		"ONEPX_LOOKUP_TIMEOUT": "1ms", "ONEPX_LOOKUP_WINDOW": "1s", "ONEPX_LOOKUP_QUERIES": "0", "ONEPX_LOOKUP_WAITING": "1", "ONEPX_LOOKUP_KEEP": "1m", "ONEPX_LOOKUP_KEPT": "0",
		"ONEPX_QUERY_TIMEOUT": "1ms", "ONEPX_CONSOLE_QUERIES": "99", "ONEPX_STOP_GRACE": "-1s", "ONEPX_STOP_TIMEOUT": "0s",
	} {
		t.Setenv(name, value)
	}
	var out, errOut bytes.Buffer
	require.Equal(t, 2, execute(context.Background(), []string{"run"}, &out, &errOut))
	for _, name := range []string{
		"ONEPX_KAFKA_BROKERS", "ONEPX_CLICKHOUSE_DATABASE", "ONEPX_SECRET", "ONEPX_LOOKUP_TIMEOUT", "ONEPX_LOOKUP_WINDOW", "ONEPX_LOOKUP_QUERIES", "ONEPX_LOOKUP_WAITING",
		"ONEPX_LOOKUP_KEEP", "ONEPX_LOOKUP_KEPT", "ONEPX_QUERY_TIMEOUT", "ONEPX_CONSOLE_QUERIES", "ONEPX_STOP_GRACE", "ONEPX_STOP_TIMEOUT",
	} {
		require.Equal(t, 1, strings.Count(errOut.String(), name), "%s in: %s", name, errOut.String())
	}
	require.NotContains(t, errOut.String(), "too short")
}

func TestDefaultsAreWithinBounds(t *testing.T) {
	var root cli
	parser, err := kong.New(&root, parserOptions()...)
	require.NoError(t, err)
	_, err = parser.Parse([]string{"run", "--kafka-brokers=a:9092", "--clickhouse-addr=b:9000", "--config=onepx.yaml", "--secret=" + testSecret})
	require.NoError(t, err)
	require.Equal(t, ":8081", root.Run.Listen)
}

func TestThePagesAreThoseOfTheCode(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, (&docsCmd{Dir: dir}).Run())
	for _, name := range []string{"configuration-console.md", "console-api.yaml", "metrics-console.md"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "run make docs")
	}
}
