package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// factsTimeout bounds what is asked for a status.
const factsTimeout = 3 * time.Second

// Status is a service in the eyes of people. Neither it nor the facts beside it tell anything of visitors.
type Status struct {
	// Service is the name of the binary, Version its version.
	Service, Version string
	// Started is when it started, Now the clock.
	Started time.Time
	Now     func() time.Time
}

// Fact is a line of a status.
type Fact struct{ Name, Value string }

// Known makes a fact of an error: what is wrong, or that all is well.
func Known(name string, err error) Fact {
	if err != nil {
		return Fact{name, err.Error()}
	}
	return Fact{name, "ok"}
}

func (a Admin) showStatus(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), factsTimeout)
	defer cancel()
	now := a.Status.Now()
	facts := []Fact{
		{"service", "onepx " + a.Status.Service},
		{"version", a.Status.Version + ", " + runtime.Version()},
		{"up", fmt.Sprintf("%s, since %s", now.Sub(a.Status.Started).Round(time.Second), a.Status.Started.UTC().Format(time.RFC3339))},
		Known("ready", a.Ready()),
	}
	if a.Facts != nil {
		facts = append(facts, a.Facts(ctx)...)
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, f := range facts {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", f.Name, strings.ReplaceAll(f.Value, "\n", "; ")) // a Builder takes all
	}
	_ = table.Flush()
	answer(w, http.StatusOK, strings.TrimSuffix(text.String(), "\n"))
}
