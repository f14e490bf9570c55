package settings_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// common are settings that two commands share.
type common struct {
	Brokers []string        `env:"ONEPX_BROKERS" required:"" bounds:"host:port" help:"Where Kafka is."`
	Format  string          `env:"ONEPX_FORMAT" default:"json" enum:"json,text" help:"json | text."`
	Login   string          `env:"ONEPX_LOGIN" default:"" enum:",plain" help:"How to log in."`
	Secret  settings.Secret `env:"ONEPX_SECRET" help:"Key of the daily hash, for ${years} years."`
}

func TestTableHasEverySettingOnce(t *testing.T) {
	var cli struct {
		Run struct {
			common `embed:""`
			Wait   time.Duration `env:"ONEPX_WAIT" default:"5s" bounds:"0 to 1m" help:"How long to wait."`
			TLS    bool          `name:"tls" env:"ONEPX_TLS" help:"Encrypt."`
			File   string        `help:"Not a setting: only this run."`
		} `cmd:"" help:"Run."`
		Migrate struct {
			common `embed:""`
			Odd    bool `env:"ONEPX_ODD" hidden:"" help:"For tests."`
		} `cmd:"" help:"Migrate."`
	}
	var out bytes.Buffer
	require.NoError(t, settings.Markdown(&out, &cli, kong.Vars{"years": "3"}))
	require.Equal(t, strings.TrimLeft(`
| Setting | Flag | Default | Allowed | Meaning |
|---|---|---|---|---|
| `+"`ONEPX_BROKERS` | `--brokers` | – | required; host:port | Where Kafka is."+` |
| `+"`ONEPX_FORMAT` | `--format` | `json` | `json`, `text` | json \\| text."+` |
| `+"`ONEPX_LOGIN` | `--login` | – | empty, `plain` | How to log in."+` |
| `+"`ONEPX_SECRET` | `--secret` | – | – | Key of the daily hash, for 3 years."+` |
| `+"`ONEPX_WAIT` | `--wait` | `5s` | 0 to 1m | How long to wait."+` |
| `+"`ONEPX_TLS` | `--tls` | `false` | `true`, `false` | Encrypt."+` |
`, "\n"), out.String())
}

func TestSettingThatMeansTwoThingsIsRefused(t *testing.T) {
	var cli struct {
		Run struct {
			Wait time.Duration `env:"ONEPX_WAIT" default:"5s" help:"How long to wait."`
		} `cmd:""`
		Migrate struct {
			Wait time.Duration `env:"ONEPX_WAIT" default:"1m" help:"How long to wait."`
		} `cmd:""`
	}
	require.ErrorContains(t, settings.Markdown(&bytes.Buffer{}, &cli), "ONEPX_WAIT is two things")
}

func TestSettingWithoutHelpIsRefused(t *testing.T) {
	var cli struct {
		Wait time.Duration `env:"ONEPX_WAIT"`
	}
	require.EqualError(t, settings.Markdown(&bytes.Buffer{}, &cli), "setting ONEPX_WAIT has no help")
}

func TestWhatIsNoCommandLineIsRefused(t *testing.T) {
	require.Error(t, settings.Markdown(&bytes.Buffer{}, 1))
}

func TestWriteErrorIsReturned(t *testing.T) {
	require.ErrorIs(t, settings.Markdown(brokenWriter{}, &struct{}{}), errBroken)
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestSecretIsRevealedOnlyWhenAsked(t *testing.T) {
	holder := struct{ Password settings.Secret }{"hunter2"}
	asJSON, err := json.Marshal(holder)
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "secret", holder.Password, "holder", holder)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "secret", holder.Password, "holder", holder)
	for _, shown := range []string{
		string(asJSON), log.String(), fmt.Sprint(holder.Password), fmt.Sprintf("%v %+v %#v %s %q", holder, holder, holder, holder, holder),
	} {
		require.Contains(t, shown, "(hidden)")
		require.NotContains(t, shown, "hunter2")
	}
	require.Equal(t, "hunter2", holder.Password.Reveal())
}
