package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// parse reads a command line with the environment given as name, value, name, value …
func parse(t *testing.T, args []string, env ...string) (*kong.Context, *cli, *bytes.Buffer, error) {
	t.Helper()
	for i := 0; i < len(env); i += 2 {
		t.Setenv(env[i], env[i+1])
	}
	var out bytes.Buffer
	line := &cli{}
	parser, err := kong.New(line, kong.Vars{"version": version}, kong.Writers(&out, &out))
	require.NoError(t, err)
	ctx, err := parser.Parse(args)
	return ctx, line, &out, err
}

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	_, line, _, err := parse(t, []string{"run", "--publish-timeout=7s"},
		"ONEPX_KAFKA_BROKERS", "a:9092,b:9092", "ONEPX_CONFIG", "onepx.yaml", "ONEPX_SECRET", testSecret,
		"ONEPX_TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8", "ONEPX_PUBLISH_TIMEOUT", "3s")
	require.NoError(t, err)
	require.Equal(t, []string{"a:9092", "b:9092"}, line.Run.Kafka.Brokers)
	require.Equal(t, []string{"10.0.0.0/8", "fd00::/8"}, line.Run.TrustedProxies)
	require.Equal(t, 7*time.Second, line.Run.PublishTimeout, "a flag goes before the environment")
	require.Equal(t, ":8080", line.Run.Listen)
	require.NotContains(t, fmt.Sprintf("%+v", line.Run), testSecret)
}

func TestAllThatIsWrongIsNamedAtOnce(t *testing.T) {
	_, _, out, err := parse(t, []string{"run"},
		"ONEPX_KAFKA_BROKERS", "a", "ONEPX_CONFIG", "onepx.yaml", "ONEPX_SECRET", "too short",
		"ONEPX_TRUSTED_PROXIES", "proxy", "ONEPX_PUBLISH_IN_FLIGHT", "0", "ONEPX_PUBLISH_TIMEOUT", "1h", "ONEPX_MAX_EVENT_BYTES", "1",
		"ONEPX_TRACE_RATIO", "NaN", "ONEPX_MAX_CONNECTIONS", "1", "ONEPX_STOP_GRACE", "-1s", "ONEPX_STOP_TIMEOUT", "0s")
	require.Error(t, err)
	for _, name := range []string{
		"ONEPX_KAFKA_BROKERS", "ONEPX_SECRET", "ONEPX_TRUSTED_PROXIES", "ONEPX_PUBLISH_IN_FLIGHT", "ONEPX_PUBLISH_TIMEOUT",
		"ONEPX_MAX_CONNECTIONS", "ONEPX_MAX_EVENT_BYTES", "ONEPX_STOP_GRACE", "ONEPX_STOP_TIMEOUT", "ONEPX_TRACE_RATIO",
	} {
		require.Equal(t, 1, strings.Count(err.Error(), name), "%s in: %s", name, err)
	}
	require.NotContains(t, err.Error()+out.String(), "too short")
}

func TestConfigCheck(t *testing.T) {
	good := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(good, []byte(testSites), 0o600))
	ctx, _, out, err := parse(t, []string{"config", "check", good})
	require.NoError(t, err)
	require.NoError(t, ctx.Run())
	require.Equal(t, good+": 1 sites, no problems\n", out.String())

	bad := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("sites:\n  - id: Shop\n"), 0o600))
	ctx, _, _, err = parse(t, []string{"config", "check", bad})
	require.NoError(t, err)
	require.ErrorContains(t, ctx.Run(), bad+":2:")
}

func TestTheSchemaIsPrinted(t *testing.T) {
	ctx, _, out, err := parse(t, []string{"config", "schema"})
	require.NoError(t, err)
	require.NoError(t, ctx.Run())
	require.JSONEq(t, string(siteconfig.Schema), out.String())
}
