package reload_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/reload"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content is a file with the sites.
func content(ids ...string) string {
	text := "sites:\n"
	for _, id := range ids {
		text += fmt.Sprintf("  - {id: %s, timezone: UTC, currency: EUR}\n", id)
	}
	return text
}

// followed is a file that is followed, and what came of it.
type followed struct {
	t         *testing.T
	path      string
	file      *reload.File
	telemetry *telemetry.Telemetry

	mu      sync.Mutex
	log     bytes.Buffer
	applied []string
}

// Write is for the log.
func (f *followed) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(p)
}

func (f *followed) apply(sites *siteconfig.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for _, site := range sites.Sites {
		ids = append(ids, site.ID)
	}
	f.applied = append(f.applied, strings.Join(ids, " "))
}

// last is the configuration in force.
func (f *followed) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.applied) == 0 {
		return ""
	}
	return f.applied[len(f.applied)-1]
}

func (f *followed) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

func (f *followed) warnings() int { return strings.Count(f.logged(), `"WARN"`) }

func (f *followed) metrics() string {
	recorder := httptest.NewRecorder()
	f.telemetry.MetricsHandler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return strings.Join(regexp.MustCompile(`(?m)^onepx_collector_config.*$`).FindAllString(recorder.Body.String(), -1), "\n")
}

func (f *followed) write(text string) {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(f.path, []byte(text), 0o600))
}

// open opens a file with the site a.
func open(t *testing.T, path string) *followed {
	t.Helper()
	f := &followed{t: t, path: path}
	var err error
	f.telemetry, err = telemetry.New(context.Background(), telemetry.Config{
		Settings: telemetry.Settings{LogFormat: "json"}, Service: "collector", LogOutput: f,
	})
	require.NoError(t, err)
	t.Cleanup(func() { f.telemetry.Shutdown(context.Background()) })
	if _, err := os.Stat(path); err != nil {
		f.write(content("a"))
	}
	f.file, err = reload.Open(path, "collector", f.telemetry.Logger, f.telemetry.Meter)
	require.NoError(t, err)
	return f
}

// watch follows the file with notices of the real system until the test ends.
func (f *followed) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	notices := reload.Notices(ctx, f.path, f.telemetry.Logger)
	ended := make(chan struct{})
	go func() { defer close(ended); f.file.Follow(ctx, notices, nil, f.apply) }()
	f.t.Cleanup(func() { cancel(); <-ended })
}

func (f *followed) becomes(sites string) {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return f.last() == sites }, 20*time.Second, 5*time.Millisecond, sites)
}

func TestAChangedFileIsTakenOverHoweverItIsChanged(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "onepx.yaml"))
	f.watch()
	f.write(content("a", "written"))
	f.becomes("a written")

	other := filepath.Join(filepath.Dir(f.path), ".onepx.yaml.swp")
	require.NoError(t, os.WriteFile(other, []byte(content("a", "renamed")), 0o600))
	require.NoError(t, os.Rename(other, f.path))
	f.becomes("a renamed")

	require.NoError(t, os.Remove(f.path))
	f.write(content("a", "made_anew"))
	f.becomes("a made_anew")
}

// TestAConfigMapIsTakenOver does what Kubernetes does: the file is a link through ..data, which is swapped.
func TestAConfigMapIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "onepx.yaml"), []byte(text), 0o600))
		require.NoError(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..1", content("a"))
	path := filepath.Join(dir, "onepx.yaml")
	require.NoError(t, os.Symlink(filepath.Join("..data", "onepx.yaml"), path))
	f := open(t, path)
	f.watch()
	version("..2", content("a", "b"))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..1")))
	f.becomes("a b")
	version("..3", content("c"))
	f.becomes("c")
	require.Zero(t, f.warnings())
}

// pass lets made-up time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// virtual follows the file in made-up time. notice says that something has happened in the folder.
func virtual(t *testing.T, test func(f *followed, notice func(), hangUp func())) {
	t.Helper()
	f := open(t, filepath.Join(t.TempDir(), "onepx.yaml"))
	synctest.Test(t, func(*testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		notices, hangups := make(chan struct{}, 1), make(chan os.Signal, 1)
		defer synctest.Wait()
		defer cancel()
		go f.file.Follow(ctx, notices, hangups, f.apply)
		synctest.Wait()
		test(f, func() { notices <- struct{}{}; synctest.Wait() }, func() { hangups <- os.Interrupt; synctest.Wait() })
	})
}

func TestAnInvalidFileKeepsTheOldAndSaysSoOnce(t *testing.T) {
	virtual(t, func(f *followed, notice, hangUp func()) {
		f.write("sites:\n  - {id: Shop, timezone: Mars, currency: EUR}\n")
		for range 3 {
			notice()
			pass(time.Minute)
		}
		require.Empty(t, f.last())
		require.Equal(t, 1, f.warnings())
		for _, problem := range []string{"onepx.yaml:2:10: sites[0].id", "onepx.yaml:2:26: sites[0].timezone"} {
			require.Contains(t, f.logged(), problem)
		}
		require.Contains(t, f.metrics(), `onepx_collector_config_reloads_total{result="invalid"} 1`)
		require.Contains(t, f.metrics(), "onepx_collector_config_last_reload_successful 0")

		hangUp()
		require.Equal(t, 2, f.warnings(), "who asks is told again")

		f.write(content("b"))
		notice()
		pass(time.Second)
		require.Equal(t, "b", f.last())
		require.Contains(t, f.metrics(), `onepx_collector_config_reloads_total{result="ok"} 1`)
		require.Contains(t, f.metrics(), "onepx_collector_config_last_reload_successful 1")
	})
}

func TestAFileThatIsAwayForAMomentChangesNothing(t *testing.T) {
	virtual(t, func(f *followed, notice, _ func()) {
		before := f.metrics()
		require.NoError(t, os.Remove(f.path))
		notice()
		pass(100 * time.Millisecond)
		f.write(content("a"))
		notice()
		pass(time.Minute)
		require.Empty(t, f.logged())
		require.Equal(t, before, f.metrics())

		require.NoError(t, os.Remove(f.path))
		pass(time.Minute)
		require.Equal(t, 1, f.warnings(), "but one that stays away is told")
		f.write(content("a"))
		pass(time.Minute)
		require.Empty(t, f.last())
		require.Contains(t, f.metrics(), "onepx_collector_config_last_reload_successful 1")
	})
}

func TestAFileIsReadOnceItHasSettled(t *testing.T) {
	virtual(t, func(f *followed, notice, _ func()) {
		for range 10 {
			f.write("half written")
			notice()
			pass(100 * time.Millisecond)
		}
		f.write(content("b"))
		notice()
		pass(249 * time.Millisecond)
		require.Empty(t, f.last())
		pass(2 * time.Millisecond)
		require.Equal(t, "b", f.last())
		require.Zero(t, f.warnings())

		f.write(content("c"))
		for range 21 {
			notice()
			pass(100 * time.Millisecond)
		}
		require.Equal(t, "c", f.last(), "a busy folder does not put it off for ever")
	})
}

func TestAChangeWithoutNoticeIsFound(t *testing.T) {
	virtual(t, func(f *followed, _, hangUp func()) {
		f.write(content("b"))
		pass(31 * time.Second)
		require.Equal(t, "b", f.last())
		f.write(content("c"))
		hangUp()
		require.Equal(t, "c", f.last())
	})
}

func TestAFileThatCannotBeReadAtTheStartIsAnError(t *testing.T) {
	tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "collector"})
	require.NoError(t, err)
	defer tel.Shutdown(context.Background())
	_, err = reload.Open(filepath.Join(t.TempDir(), "missing.yaml"), "collector", tel.Logger, tel.Meter)
	require.ErrorIs(t, err, os.ErrNotExist)
	bad := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("sites: []"), 0o600))
	_, err = reload.Open(bad, "collector", tel.Logger, tel.Meter)
	require.ErrorContains(t, err, bad+":1:")
}

func TestAFolderThatCannotBeWatchedIsSaid(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "onepx.yaml"))
	reload.Notices(t.Context(), filepath.Join(t.TempDir(), "missing", "onepx.yaml"), f.telemetry.Logger)
	require.Equal(t, 1, f.warnings())
}
