package rebuild

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/pause"
)

// attempts is how often feed begins anew. A busy group declares some four batches a second, so one is enough nearly always.
const attempts = 20

// sitesOf are the sites whose hits are made anew.
func sitesOf(rules enrich.Rules, site string) []string {
	if site != "" {
		return []string{site}
	}
	return slices.Sorted(maps.Keys(rules.Sites))
}

// feed makes the new table and the view that fills it with every row from some offset on, the first offset, of each partition:
// the one after the declared batch. No batch that reaches it may have been declared before there was the view, since its insert
// may have passed the view by: then it begins anew, with other tables.
func (r *run) feed(ctx context.Context) error {
	for range attempts {
		if r.Table != "" {
			if err := r.Tables.DropNext(ctx, r.Rebuild); err != nil {
				return err
			}
		}
		r.Table = "conversion_hits_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
		if err := r.save(ctx, store.StepPlanned); err != nil {
			return err
		}
		if err := r.Tables.CreateNext(ctx, r.Rebuild); err != nil {
			return err
		}
		if passed, err := r.feedFromHere(ctx); passed || err != nil {
			return err
		}
	}
	return fmt.Errorf("batches were declared each time the view was made, %d times: try again when the consumers are less busy", attempts)
}

func (r *run) feedFromHere(ctx context.Context) (bool, error) {
	positions, err := r.Positions(ctx)
	if err != nil {
		return false, err
	}
	r.Topics, r.PartitionIDs, r.FirstOffsets, r.SwitchOffsets = nil, nil, nil, nil
	lost := false
	for _, p := range positions {
		r.SetFirst(p.Partition, p.Last+1)
		lost = lost || !p.Committed
	}
	if err := r.Tables.FeedNext(ctx, r.Rebuild); err != nil {
		return false, err
	}
	if lost {
		// An owner that has lost its position may still be inserting; what it inserts is seen in events afterwards.
		if err := r.awaitInserts(ctx, r.Now()); err != nil {
			return false, err
		}
	}
	if positions, err = r.Positions(ctx); err != nil {
		return false, err
	}
	return !slices.ContainsFunc(positions, func(p consume.Position) bool { return p.Last >= r.First(p.Partition) }), nil
}

// awaitInserts waits until no insert can be on its way that was declared before the moment. The deadline counts twice, as
// the clocks of consumers and ClickHouse may differ by as much.
func (r *run) awaitInserts(ctx context.Context, since time.Time) error {
	wait := since.Add(2 * r.InsertDeadline).Sub(r.Now())
	if wait > 0 {
		r.Say("waiting %s until no insert can be on its way", wait.Round(time.Second/10))
	}
	return pause.For(ctx, wait)
}

// awaitPassed waits until every row before the first offsets is stored. None comes later: a batch is acknowledged once it
// is stored with all its views, and acknowledged ones are not inserted again.
func (r *run) awaitPassed(ctx context.Context) error {
	return r.awaitPositions(ctx, func(p consume.Position) bool { return p.First >= r.First(p.Partition) })
}

func (r *run) awaitPositions(ctx context.Context, passed func(consume.Position) bool) error {
	r.said = r.Now()
	for {
		positions, err := r.Positions(ctx)
		if err != nil {
			return err
		}
		behind := slices.IndexFunc(positions, func(p consume.Position) bool { return !passed(p) })
		if behind < 0 {
			return nil
		}
		p := positions[behind]
		r.progress("waiting for partition %d: offsets %d to %d are declared and not acknowledged; a consumer must be running", p.ID, p.First, p.Last)
		if err := pause.For(ctx, look); err != nil {
			return err
		}
	}
}

// fill brings the hits of before the first offsets into the new table, one unit after the other.
func (r *run) fill(ctx context.Context) error {
	days, err := r.Tables.Days(ctx, r.Rebuild, r.events)
	if err != nil {
		return err
	}
	if r.Step == store.StepStaged {
		if err := r.add(ctx); err != nil {
			return err
		}
	}
	if r.Step == store.StepPassed {
		r.Say("taking over the hits that stay")
		if err := r.unit(ctx, store.UnitKept, func() error { return r.Tables.StageKept(ctx, r.Rebuild, r.sites) }); err != nil {
			return err
		}
	}
	var total, done uint64
	for _, day := range days {
		total += day.Rows
	}
	for _, day := range days {
		if !day.Day.After(r.Unit) {
			done += day.Rows
			continue
		}
		err := r.unit(ctx, day.Day, func() error {
			return r.Tables.StageDay(ctx, r.Rebuild, day.Day, r.events, r.match, func(rows uint64) {
				r.progress("%d of %d rows of events judged (%d %%)", done+rows, total, 100*(done+rows)/max(total, 1))
			})
		})
		if err != nil {
			return err
		}
		done += day.Rows
	}
	r.Say("%d of %d rows of events judged", done, total)
	return r.countFilled(ctx)
}

// unit stages one unit and adds it to the new table.
func (r *run) unit(ctx context.Context, unit time.Time, stage func() error) error {
	if err := stage(); err != nil {
		return err
	}
	staged, err := r.Tables.CountStaged(ctx, r.Rebuild)
	if err != nil {
		return err
	}
	r.Unit, r.Hits = unit, r.Hits+staged
	if err := r.save(ctx, store.StepStaged); err != nil {
		return err
	}
	return r.add(ctx)
}

func (r *run) add(ctx context.Context) error {
	if err := r.Tables.AddStaged(ctx, r.Rebuild); err != nil {
		return err
	}
	return r.save(ctx, store.StepAdded)
}

// countFilled compares what the new table holds with what the units had.
func (r *run) countFilled(ctx context.Context) error {
	n, err := r.Tables.CountNext(ctx, r.Rebuild)
	if err == nil && n != r.Hits {
		err = fmt.Errorf("the new table holds %d hits, but %d were put into it, so ClickHouse has lost or doubled some: begin anew with --restart", n, r.Hits)
	}
	return err
}

// match judges a stored row as a new event. Old rows have no currency of the site.
func (r *run) match(row *store.HitSource) []enrich.GoalHit {
	row.SiteCurrency = cmp.Or(row.SiteCurrency, r.Rules.Sites[row.SiteID].Currency)
	return r.Enricher.Goals(row.Event(), row.Currency, row.SiteCurrency)
}

// prepareSwitch notes what is acknowledged some time before the exchange.
func (r *run) prepareSwitch(ctx context.Context) error {
	positions, err := r.Positions(ctx)
	if err != nil {
		return err
	}
	for _, p := range positions {
		r.SetSwitch(p.Partition, p.First)
	}
	r.SwitchAt = r.Now().UTC()
	return nil
}

// exchange makes the new table the one that reports read. What was acknowledged at prepareSwitch must be in both tables by
// then, with no insert of it on its way that could find one table before the exchange and the other after it.
func (r *run) exchange(ctx context.Context) error {
	if err := r.awaitInserts(ctx, r.SwitchAt); err != nil {
		return err
	}
	return r.Tables.Exchange(ctx, r.Rebuild)
}

// check compares the hits of all batches that may have been on their way at the exchange with events, and repairs what is
// not as it must be: an insert may have fed both tables or none, and a repetition after the exchange is not recognised.
func (r *run) check(ctx context.Context) error {
	positions, err := r.Positions(ctx)
	if err != nil {
		return err
	}
	last := map[store.Partition]int64{}
	for _, p := range positions {
		last[p.Partition] = p.Last
	}
	err = r.awaitPositions(ctx, func(p consume.Position) bool { return p.First > last[p.Partition] })
	if err != nil {
		return err
	}
	if err := r.awaitInserts(ctx, r.Now()); err != nil {
		return err
	}
	for _, p := range positions {
		if err := r.repair(ctx, store.Range{Partition: p.Partition, First: r.Switch(p.Partition), Last: p.Last}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) repair(ctx context.Context, in store.Range) error {
	if in.Last < in.First {
		return nil
	}
	for range 3 {
		wrong, found, err := r.Tables.WrongHits(ctx, in)
		if err != nil || !found {
			return err
		}
		r.Say("partition %d: making the hits of offsets %d to %d anew, which were stored during the exchange", wrong.ID, wrong.First, wrong.Last)
		if err := r.Tables.RepairHits(ctx, wrong); err != nil {
			return err
		}
	}
	return errors.New("hits differ from events although they were made anew")
}

// finish says what has changed, unless a run before has done so, and drops the old table.
func (r *run) finish(ctx context.Context) error {
	kept, err := r.Tables.Kept(ctx, r.Rebuild)
	if err == nil && kept {
		err = r.report(ctx)
	}
	if err != nil {
		return err
	}
	return r.Tables.DropNext(ctx, r.Rebuild)
}

func (r *run) report(ctx context.Context) error {
	changes, err := r.Tables.Changes(ctx, r.Rebuild, r.sites)
	if err != nil {
		return err
	}
	r.Say("hits of %s to %s:", r.From.Format(time.DateOnly), r.To.Format(time.DateOnly))
	for _, c := range changes {
		r.Say("  %s %s: %d before, %d now", c.Site, c.Goal, c.Before, c.After)
	}
	stored, err := r.Tables.RulesSince(ctx, r.Rebuild, r.sites)
	if err != nil {
		return err
	}
	for _, other := range r.byOtherGoals(stored) {
		r.Say("warning: an event of %s, of %s, was stored by other goals than these meanwhile: restart the consumers with this configuration, then rebuild once more from that day on",
			other.Site, other.DeclaredAt.UTC().Format(time.DateTime))
	}
	return nil
}

// warn names the sites whose newest event was stored by other goals than these.
func (r *run) warn(ctx context.Context) error {
	newest, err := r.Tables.NewestRules(ctx, r.Rebuild, r.sites)
	if err != nil {
		return err
	}
	for _, other := range r.byOtherGoals(newest) {
		r.Say("warning: the newest event of %s, of %s, was stored by other goals than these: the consumers must have been restarted with this configuration, or new events go on having the old goals",
			other.Site, other.DeclaredAt.UTC().Format(time.DateTime))
	}
	return nil
}

func (r *run) byOtherGoals(stored []store.SiteRules) []store.SiteRules {
	return slices.DeleteFunc(stored, func(s store.SiteRules) bool {
		// Of rules of another version, which may have more fields, only the goals matter.
		var rules enrich.Rules
		site := []string{s.Site}
		return json.Unmarshal([]byte(s.Text), &rules) == nil && rules.GoalsHash(site) == r.Rules.GoalsHash(site)
	})
}
