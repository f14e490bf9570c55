// Package rebuild makes the history of goal hits anew after the goals of a site have changed, while events arrive.
//
// It promises that conversion_hits then holds, for the chosen sites and days, what it would hold had the goals always been
// those of the present onepx.yaml; that everything else in it stays; and that no hit is lost or doubled, wherever the process
// is killed: the same command goes on where it has stopped. Reports see the old hits until they see the new ones.
// docs/adr/0007-rebuild.md has the procedure, and why each of its steps is needed.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// Request says which hits are made anew.
type Request struct {
	// From and To are days of the sites, both included.
	From, To time.Time
	// Site is empty for all sites of the rules.
	Site string
	// Restart gives up an unfinished rebuild.
	Restart bool
}

// Deps are the parts of a rebuild.
type Deps struct {
	Tables    *store.Rebuilds
	Positions func(context.Context) ([]consume.Position, error)
	Rules     enrich.Rules
	Enricher  *enrich.Enricher
	// InsertDeadline is the consumers'.
	InsertDeadline time.Duration
	// Say prints a line for people.
	Say func(format string, args ...any)
	Now func() time.Time
	// Saved is called when a step is done and kept; an error ends the run as a crash would.
	Saved func(store.Step) error
}

// ErrUnfinished says that another rebuild must be finished or given up first.
var ErrUnfinished = errors.New("an earlier rebuild is unfinished")

// run is one run of the command.
type run struct {
	Deps
	*store.Rebuild
	sites []string
	// events are those that may be hits.
	events []store.SiteEvents
	said   time.Time
}

// Goals runs a rebuild of goal hits to its end. The error wraps ErrUnfinished or store.ErrRebuilding when this one cannot begin;
// after any other the same request goes on where this one has stopped.
func Goals(ctx context.Context, deps Deps, request Request) error {
	locked, unlock, err := deps.Tables.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r := newRun(deps, request.Site)
	err = r.request(locked, request)
	if err != nil && locked.Err() != nil {
		return errors.Join(context.Cause(locked), err)
	}
	return err
}

func newRun(deps Deps, site string) *run {
	r := &run{Deps: deps, sites: sitesOf(deps.Rules, site)}
	for _, id := range r.sites {
		if names, anyName := r.Rules.GoalEvents(id); anyName || len(names) > 0 {
			r.events = append(r.events, store.SiteEvents{Site: id, Names: names, AnyName: anyName})
		}
	}
	return r
}

// request goes on with the unfinished rebuild, or begins one.
func (r *run) request(ctx context.Context, request Request) error {
	goals := r.Rules.GoalsHash(r.sites)
	unfinished, err := r.Tables.Unfinished(ctx)
	if err != nil {
		return err
	}
	if unfinished != nil && request.Restart {
		if err := r.giveUp(ctx, unfinished); err != nil {
			return err
		}
		unfinished = nil
	}
	switch {
	case unfinished == nil:
		r.Rebuild = store.NewRebuild(request.From, request.To, request.Site, goals, r.Now())
	case !unfinished.From.Equal(request.From) || !unfinished.To.Equal(request.To) || unfinished.Site != request.Site:
		return fmt.Errorf("%w: %s. Run it to its end with these arguments, or add --restart to give it up", ErrUnfinished, arguments(unfinished))
	case unfinished.Goals != goals:
		return fmt.Errorf("%w: %s was begun with other goals than the configuration has now. Put the former file back to finish it, or add --restart to begin anew", ErrUnfinished, arguments(unfinished))
	default:
		r.Rebuild = unfinished
		r.Say("going on after step %s", r.Step)
	}
	if err := r.warn(ctx); err != nil {
		return err
	}
	return r.run(ctx)
}

// arguments are those of the command that began a rebuild.
func arguments(r *store.Rebuild) string {
	text := fmt.Sprintf("consumer rebuild goals --from %s --to %s", r.From.Format(time.DateOnly), r.To.Format(time.DateOnly))
	if r.Site != "" {
		text += " --site " + r.Site
	}
	return text
}

// giveUp ends an unfinished rebuild: it is undone if reports have not seen it yet, else finished.
func (r *run) giveUp(ctx context.Context, unfinished *store.Rebuild) error {
	former := newRun(r.Deps, unfinished.Site)
	former.Rebuild = unfinished
	exchanged := false
	if unfinished.Step == store.StepSwitching {
		var err error
		if exchanged, err = r.Tables.Exchanged(ctx, unfinished); err != nil {
			return err
		}
	}
	if exchanged || reached(unfinished.Step, store.StepSwitched) {
		r.Say("reports have the hits of %s already: finishing it first", arguments(unfinished))
		return former.run(ctx)
	}
	if err := r.Tables.DropNext(ctx, unfinished); err != nil {
		return err
	}
	r.Say("gave up %s", arguments(unfinished))
	return former.save(ctx, store.StepGivenUp)
}

// order has the steps after which a run can go on.
var order = []store.Step{
	"", store.StepPlanned, store.StepFed, store.StepPassed, store.StepStaged, store.StepAdded, store.StepFilled,
	store.StepSwitching, store.StepSwitched, store.StepChecked, store.StepDone,
}

// reached tells whether a step is done.
func reached(done, step store.Step) bool {
	for _, s := range order {
		if s == step {
			return true
		}
		if s == done {
			return false
		}
	}
	return false
}

// run does the steps that are not done.
func (r *run) run(ctx context.Context) error {
	for _, part := range []struct {
		until store.Step
		do    func(context.Context) error
	}{
		{store.StepFed, r.feed},
		{store.StepPassed, r.awaitPassed},
		{store.StepFilled, r.fill},
		{store.StepSwitching, r.prepareSwitch},
		{store.StepSwitched, r.exchange},
		{store.StepChecked, r.check},
		{store.StepDone, r.finish},
	} {
		if reached(r.Step, part.until) {
			continue
		}
		if err := part.do(ctx); err != nil {
			return err
		}
		if err := r.save(ctx, part.until); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) save(ctx context.Context, step store.Step) error {
	if err := r.Tables.Save(ctx, r.Rebuild, step); err != nil {
		return err
	}
	return r.Saved(step)
}

const (
	// sayEvery is the distance between two lines of progress.
	sayEvery = 5 * time.Second
	// look is the pause between two looks at the positions.
	look = 100 * time.Millisecond
)

// progress says something unless it has said something just now.
func (r *run) progress(format string, args ...any) {
	if now := r.Now(); now.Sub(r.said) >= sayEvery {
		r.said = now
		r.Say(format, args...)
	}
}
