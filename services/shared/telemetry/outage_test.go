package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/telemetry"
)

// outage is an OutageLog with a clock to set and lines to read.
type outage struct {
	*telemetry.OutageLog
	now time.Time
	out bytes.Buffer
}

func newOutage() *outage {
	o := &outage{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	o.OutageLog = telemetry.NewOutageLog(slog.New(slog.NewTextHandler(&o.out, nil)), "publish", func() time.Time { return o.now })
	return o
}

// lines returns what was logged since the last call, without times.
func (o *outage) lines() []string {
	text := regexp.MustCompile(`(?m)^time=\S+ `).ReplaceAllString(o.out.String(), "")
	o.out.Reset()
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

var errAway = errors.New("away")

func TestOutageIsLoggedAtOnceThenEveryTenSecondsAndWhenItEnds(t *testing.T) {
	o := newOutage()
	o.Failed(errAway)
	require.Equal(t, []string{`level=ERROR msg="publish fails" error=away suppressed=0`}, o.lines())
	for range 99 {
		o.now = o.now.Add(100 * time.Millisecond)
		o.Failed(errAway)
	}
	require.Empty(t, o.lines())
	o.now = o.now.Add(100 * time.Millisecond)
	o.Failed(errAway)
	require.Equal(t, []string{`level=ERROR msg="publish fails" error=away suppressed=99`}, o.lines())
	o.now = o.now.Add(time.Second)
	o.Recovered()
	require.Equal(t, []string{`level=INFO msg="publish works again" failures=101 after=11s`}, o.lines())
	o.Recovered()
	require.Empty(t, o.lines())
}

func TestWhatNeverFailedIsNotLogged(t *testing.T) {
	o := newOutage()
	o.Recovered()
	require.Empty(t, o.lines())
}

func TestFlappingGetsTwoLinesInTenSeconds(t *testing.T) {
	o := newOutage()
	for range 100 {
		o.Failed(errAway)
		o.Recovered()
		o.now = o.now.Add(99 * time.Millisecond)
	}
	require.Len(t, o.lines(), 2)
	o.now = o.now.Add(time.Second)
	o.Failed(errAway)
	require.Equal(t, []string{`level=ERROR msg="publish fails" error=away suppressed=99`}, o.lines())
}

func TestOutageLogMayBeUsedFromManyGoroutines(t *testing.T) {
	log := telemetry.NewOutageLog(slog.New(slog.DiscardHandler), "publish", time.Now)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				log.Failed(errAway)
				log.Recovered()
			}
		})
	}
	wg.Wait()
}
