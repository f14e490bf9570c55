// Package privacy does what people may ask of whoever holds data about them. It is what `consumer jobs` runs.
//
// An erasure promises that afterwards no table holds anything of the people that was received until it was done, and that
// nothing of it comes back: not from Kafka, a spool, a consumer that was stopped, or a rebuild. All else stays as if they had
// never been there. It goes on where it was cut off. docs/adr/0008-erasure.md has the procedure, and why each of its steps is
// needed.
package privacy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Deps are the parts of an erasure.
type Deps struct {
	Requests *personal.Requests
	People   *personal.Store
	Tables   *store.Rebuilds
	// Positions are those of the consumers' group.
	Positions func(context.Context) ([]consume.Position, error)
	// Suppress writes to the topic of suppressions and returns the position behind what it has written.
	Suppress func(context.Context, []kafka.Message) (int64, error)
	// Expiry tells when the last copy of a record that is published until then has gone from Kafka.
	Expiry func(ctx context.Context, until time.Time) (time.Time, error)
	// RemoveExports removes the files of exports.
	RemoveExports func(ctx context.Context, exports []uuid.UUID) error
	// LockExports lets nobody export until unlock is called.
	LockExports func(ctx context.Context) (locked context.Context, unlock func(), err error)
	// InsertDeadline is the consumers'.
	InsertDeadline time.Duration
	Now            func() time.Time
	Logger         *slog.Logger
	// Saved is called when a step is done and kept; an error ends the run as a crash would.
	Saved func(personal.RequestStep) error
}

const (
	// look is the pause between two looks at what is waited for.
	look = 200 * time.Millisecond
	// sayEvery is the distance between two lines of the log about it.
	sayEvery = 30 * time.Second
	// maxRounds is how often rows are looked for. One time is enough unless something is wrong.
	maxRounds = 3
	// spoolLife is how long a spool may keep events (docs/operations.md).
	spoolLife = 7 * 24 * time.Hour
)

// erasure is one run.
type erasure struct {
	Deps
	job jobs.Job
	// people are those of the job, or of the job of a site those whom it may erase.
	people  jobs.People
	request personal.Request
	tables  *store.Erasure
}

// NoteAccess logs that what is stored about people is handed out. Repeated, it adds nothing.
func (d Deps) NoteAccess(ctx context.Context, job jobs.Job) error {
	request := personal.NewRequest(job.ID, string(job.Kind), job.AskedBy, job.AskedAt, job.People)
	return d.Requests.Save(ctx, &request, personal.StepAsked, d.Now())
}

// Erase does the job, or what is left of it. After an error it can be called again.
func (d Deps) Erase(ctx context.Context, job jobs.Job) error {
	d.Logger = d.Logger.With("request", job.ID.String())
	e := &erasure{Deps: d, job: job, people: job.People, tables: store.NewErasure(d.Tables, job.ID, job.Site)}
	if err := e.load(ctx); err != nil {
		return err
	}
	if err := e.choose(ctx); err != nil {
		return err
	}
	if err := e.run(ctx, []part{{personal.StepAsked, nothing}, {personal.StepBlocked, e.block}, {personal.StepAcknowledged, e.awaitAcknowledged}}); err != nil {
		return err
	}
	locked, unlock, err := e.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	// Another process may have gone on meanwhile.
	if err := e.load(locked); err != nil {
		return err
	}
	err = e.eraseLocked(locked)
	if err != nil && locked.Err() != nil {
		return errors.Join(context.Cause(locked), err)
	}
	return err
}

func (e *erasure) eraseLocked(ctx context.Context) error {
	for !reached(e.request.Step, personal.StepProven) {
		if err := e.run(ctx, []part{{personal.StepFound, e.find}, {personal.StepCorrected, e.correct}, {personal.StepDeleted, e.delete}, {personal.StepProven, e.prove}}); err != nil {
			if !errors.Is(err, errRemains) || e.request.Round >= maxRounds {
				return err
			}
			e.Logger.Warn("rows are left; looking for them once more", "error", err)
			e.request.Step = personal.StepAcknowledged
		}
	}
	return e.run(ctx, []part{{personal.RequestDone, e.release}})
}

// load reads how far the job has come.
func (e *erasure) load(ctx context.Context) error {
	request, known, err := e.Requests.Last(ctx, e.job.ID)
	if err != nil {
		return err
	}
	e.request = request
	if !known {
		e.request = personal.NewRequest(e.job.ID, string(e.job.Kind), e.job.AskedBy, e.job.AskedAt, e.job.People)
	}
	return nil
}

// choose finds out whom the job of a site may erase: ids that no event of another site holds. It is found out once, as the
// suppression list must hold the same people until the end. The id of the job, which is nobody's, is always among them: so a
// job of nobody takes the same steps, and the same time.
func (e *erasure) choose(ctx context.Context) error {
	if e.job.Site == "" || e.request.Step == personal.RequestDone {
		return nil
	}
	chosen, err := e.tables.Chosen(ctx)
	if err != nil {
		return err
	}
	if chosen.Len() > 0 {
		e.people = chosen
		return nil
	}
	elsewhere, err := e.People.OfSite(e.job.Site).Elsewhere(ctx, e.job.People)
	if err != nil {
		return err
	}
	foreign := map[personal.Elsewhere]bool{}
	for _, id := range elsewhere {
		id.Here = false
		foreign[id] = true
	}
	chosen.Append(suppression.Visitor, e.job.ID)
	e.job.People.Each(func(kind suppression.Kind, id uuid.UUID) {
		if !foreign[personal.Elsewhere{Kind: kind, ID: id}] {
			chosen.Append(kind, id)
		}
	})
	if len(foreign) > 0 {
		e.Logger.Warn("ids that hold data of other sites are left out", "ids", len(foreign))
	}
	e.people = chosen
	return e.tables.Choose(ctx, chosen)
}

// part is what is done until a step is reached.
type part struct {
	until personal.RequestStep
	do    func(context.Context) error
}

func nothing(context.Context) error { return nil }

// order has the steps after which a run can go on.
var order = []personal.RequestStep{
	"", personal.StepAsked, personal.StepBlocked, personal.StepAcknowledged, personal.StepFound, personal.StepCorrected, personal.StepDeleted, personal.StepProven, personal.RequestDone,
}

// reached tells whether a step is done.
func reached(done, step personal.RequestStep) bool {
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

// run does the parts that are not done.
func (e *erasure) run(ctx context.Context, parts []part) error {
	for _, p := range parts {
		if reached(e.request.Step, p.until) {
			continue
		}
		if err := p.do(ctx); err != nil {
			return err
		}
		if err := e.Requests.Save(ctx, &e.request, p.until, e.Now()); err != nil {
			return err
		}
		e.Logger.Info("privacy request", "step", p.until, "round", e.request.Round)
		if err := e.Saved(p.until); err != nil {
			return err
		}
	}
	return nil
}

// entries are the records that put the people on the suppression list with a value.
func (e *erasure) entries(value []byte) []kafka.Message {
	var messages []kafka.Message
	e.people.Each(func(kind suppression.Kind, id uuid.UUID) {
		messages = append(messages, kafka.Message{Key: suppression.Key(kind.Erased(), id[:]), Value: value, Time: e.Now()})
	})
	return messages
}

// block lets nothing of the people be stored while the erasure runs.
func (e *erasure) block(ctx context.Context) error {
	position, err := e.Suppress(ctx, e.entries(suppression.Always))
	e.request.SuppressionPosition = position
	return err
}

// awaitAcknowledged waits until no batch that was made with an older list can be inserted any more: each partition has declared
// one with this list, which acknowledges those before, or shows that it is idle; and the deadline of those has passed, twice,
// as the clocks of consumer and ClickHouse differ.
func (e *erasure) awaitAcknowledged(ctx context.Context) error {
	err := e.poll(ctx, func() (string, error) {
		positions, err := e.Positions(ctx)
		if err != nil {
			return err.Error(), nil //nolint:nilerr // Kafka is away, or a partition has stopped: it is waited for
		}
		for _, p := range positions {
			if !p.Committed || p.Suppression < e.request.SuppressionPosition {
				return fmt.Sprintf("partition %d has not stored everything that was read before the suppression list held the people; is a consumer running?", p.ID), nil
			}
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	return pause.For(ctx, 2*e.InsertDeadline)
}

// lock makes this the only one that changes stored rows, and waits for a rebuild that has begun.
func (e *erasure) lock(ctx context.Context) (locked context.Context, unlock func(), err error) {
	err = e.poll(ctx, func() (string, error) {
		locked, unlock, err = e.Tables.Lock(ctx)
		if errors.Is(err, store.ErrRebuilding) {
			return err.Error(), nil
		}
		if err != nil {
			return "", err
		}
		unfinished, err := e.Tables.Unfinished(locked)
		if err == nil && unfinished == nil {
			return "", nil
		}
		unlock()
		return "an interrupted `consumer rebuild goals` must be finished or given up first", err
	})
	return locked, unlock, err
}

func (e *erasure) find(ctx context.Context) error {
	e.request.Round++
	if err := e.tables.Find(ctx, e.people); err != nil {
		return err
	}
	held, err := e.tables.Count(ctx)
	if err != nil {
		return err
	}
	return e.Requests.SaveCounts(ctx, &e.request, personal.StepFound, held, e.Now())
}

func (e *erasure) correct(ctx context.Context) error { return e.tables.Correct(ctx, e.request.Round) }

// delete removes files of exports first: the notes of exports tell which hold somebody.
func (e *erasure) delete(ctx context.Context) error {
	locked, unlock, err := e.LockExports(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	exports, err := e.tables.NotedBy(locked)
	if err != nil {
		return err
	}
	if err := e.RemoveExports(locked, exports); err != nil {
		return err
	}
	return e.tables.Delete(locked, e.request.Round)
}

// errRemains says that a table holds rows that were to go.
var errRemains = errors.New("rows remain")

// prove counts what is left: nothing, in every table.
func (e *erasure) prove(ctx context.Context) error {
	held, err := e.tables.Count(ctx)
	if err != nil {
		return err
	}
	if err := e.Requests.SaveCounts(ctx, &e.request, personal.StepProven, held, e.Now()); err != nil {
		return err
	}
	for _, h := range held {
		if h.Rows > 0 {
			return fmt.Errorf("%w: %d in %s", errRemains, h.Rows, h.Table)
		}
	}
	return nil
}

// release lets the people be counted again by what is received from now on.
func (e *erasure) release(ctx context.Context) error {
	until := e.Now().UTC().Truncate(time.Millisecond)
	expires, err := e.Expiry(ctx, until)
	if err != nil {
		return err
	}
	if _, err := e.Suppress(ctx, e.entries(suppression.Until(until))); err != nil {
		return err
	}
	e.request.ErasedUntil, e.request.KafkaExpiresAt, e.request.SpoolExpiresAt = until, expires, expires.Add(spoolLife)
	if err := e.tables.Purge(ctx); err != nil {
		return err
	}
	return e.tables.Finish(ctx)
}

// poll asks for what is still waited for until there is nothing, an error, or the context ends.
func (e *erasure) poll(ctx context.Context, missing func() (string, error)) error {
	var said time.Time
	for {
		what, err := missing()
		if what == "" || err != nil {
			return err
		}
		if now := e.Now(); now.Sub(said) >= sayEvery {
			said = now
			e.Logger.Info("privacy request waits", "for", what)
		}
		if err := pause.For(ctx, look); err != nil {
			return err
		}
	}
}
