package lifecycle_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/lifecycle"
)

// childVar makes this test binary a service that never finishes stopping.
const childVar = "ONEPX_TEST_LIFECYCLE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		child()
	}
	goleak.VerifyTestMain(m)
}

func child() {
	ctx, stop := lifecycle.Notify(context.Background())
	defer stop()
	_, _ = os.Stdout.WriteString("running\n")
	<-ctx.Done()
	_, _ = os.Stdout.WriteString("stopping\n")
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
}

func TestFirstSignalEndsTheContextAndSecondTheProcess(t *testing.T) {
	for _, signals := range [][2]os.Signal{
		{syscall.SIGTERM, syscall.SIGTERM},
		{os.Interrupt, os.Interrupt},
		{syscall.SIGTERM, os.Interrupt},
	} {
		t.Run(fmt.Sprint(signals), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childVar+"=1")
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			defer func() { _ = stdin.Close() }()
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(stdout)

			require.True(t, lines.Scan())
			require.Equal(t, "running", lines.Text())
			require.NoError(t, cmd.Process.Signal(signals[0]))
			require.True(t, lines.Scan())
			require.Equal(t, "stopping", lines.Text())
			require.NoError(t, cmd.Process.Signal(signals[1]))

			var exit *exec.ExitError
			require.ErrorAs(t, cmd.Wait(), &exit)
			require.Equal(t, lifecycle.ExitSecondSignal, exit.ExitCode())
		})
	}
}

func TestContextEndsWithItsParent(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	ctx, stop := lifecycle.Notify(parent)
	defer stop()
	require.NoError(t, ctx.Err())
	cancel()
	<-ctx.Done()
}

func TestContextEndsWhenReleased(t *testing.T) {
	ctx, stop := lifecycle.Notify(t.Context())
	stop()
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	stop() // as often as one likes, like any CancelFunc
}

func TestStepsRunOneAfterTheOther(t *testing.T) {
	var order []string
	step := func(name string) lifecycle.Stop {
		return lifecycle.Stop{Name: name, Timeout: time.Second, Do: func(context.Context) error {
			order = append(order, name)
			return nil
		}}
	}
	require.NoError(t, lifecycle.StopInOrder(slog.New(slog.DiscardHandler), step("server"), step("publisher"), step("telemetry")))
	require.Equal(t, []string{"server", "publisher", "telemetry"}, order)
}

func TestFailedStepIsNamedAndDoesNotKeepTheNextFromRunning(t *testing.T) {
	broken := errors.New("broken")
	ran := false
	var log bytes.Buffer
	err := lifecycle.StopInOrder(slog.New(slog.NewTextHandler(&log, nil)),
		lifecycle.Stop{Name: "publisher", Timeout: time.Second, Do: func(context.Context) error { return broken }},
		lifecycle.Stop{Name: "telemetry", Timeout: time.Second, Do: func(context.Context) error { ran = true; return nil }})
	require.EqualError(t, err, "stop publisher: broken")
	require.ErrorIs(t, err, broken)
	require.True(t, ran)
	require.Contains(t, log.String(), "step=publisher")
	require.Contains(t, log.String(), "step=telemetry")
}

func TestEachStepHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		begin := time.Now()
		err := lifecycle.StopInOrder(slog.New(slog.DiscardHandler),
			lifecycle.Stop{Name: "server", Timeout: 5 * time.Second, Do: wait},
			lifecycle.Stop{Name: "publisher", Timeout: 20 * time.Second, Do: wait})
		require.EqualError(t, err, "stop server: context deadline exceeded\nstop publisher: context deadline exceeded")
		require.Equal(t, 25*time.Second, time.Since(begin))
	})
}

func TestStepThatIgnoresItsDeadlineIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		begin, ran := time.Now(), false
		err := lifecycle.StopInOrder(slog.New(slog.DiscardHandler),
			lifecycle.Stop{Name: "server", Timeout: 5 * time.Second, Do: func(context.Context) error { <-release; return nil }},
			lifecycle.Stop{Name: "publisher", Timeout: time.Second, Do: func(context.Context) error { ran = true; return nil }})
		require.EqualError(t, err, "stop server: still running after 5s: context deadline exceeded")
		require.True(t, ran)
		require.Less(t, time.Since(begin), 10*time.Second)
		close(release)
	})
}
