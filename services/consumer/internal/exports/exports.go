// Package exports writes audiences to files: for the site itself, and as lists of customers for platforms of advertising. It is
// what `consumer jobs` runs.
//
// An export is of one instant. Its members are noted first, in the table export_members; the files are made of these notes, so
// that an export that was cut off gives the same files, and the next one of the list can tell who has come and who has gone.
// Nobody is in a file of members who is held out or wishes not to be counted; nobody is in one for somebody else who does not
// allow sharing. Everything streams: of each customer of a list, and of each member who is none, 24 bytes are held in memory.
package exports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Wishes knows who wishes to be in no audience; see suppression.List.
type Wishes interface {
	Ready() bool
	InAudiences(visitor []byte) bool
	Wished(kind suppression.Kind, id []byte) bool
}

// Deps are the parts of exports.
type Deps struct {
	Store *store.Exports
	Log   *exportlog.Log
	// Wishes are followed; nothing is written before they are known.
	Wishes Wishes
	// Dir is where files are written to, ContactsDir where sites have put those of their customers. Empty: not set.
	Dir, ContactsDir string
	// Key makes the key of a customer of a site (userkey.Maker.Of); nil: the secret is not set.
	Key     func(site, text string) []byte
	Metrics *Metrics
	Now     func() time.Time
	Logger  *slog.Logger
	// Saved is called when a step is done and kept; an error ends the run as a crash would.
	Saved func(exportlog.Step) error
}

const (
	// keptFor is how long an export can be the one that another is compared with, and how long its files are kept when no other
	// one of the list comes. The notes have the same time to live.
	keptFor = 90 * 24 * time.Hour
	// maxRefusals is how often ClickHouse may answer with an error until an export fails. While it does not answer it is waited for.
	maxRefusals = 5
	// look is the pause between two looks at what is waited for.
	look = 100 * time.Millisecond
)

// failure is an error that ends an export: to try again would change nothing.
type failure struct{ error }

func failf(format string, args ...any) error { return failure{fmt.Errorf(format, args...)} }

// Exporter does exports, one after the other.
type Exporter struct {
	deps Deps
	// refused counts how often ClickHouse has answered the present export with an error.
	refused int
	present uuid.UUID
}

// New returns an Exporter.
func New(deps Deps) *Exporter { return &Exporter{deps: deps} }

// export is one run.
type export struct {
	*Deps
	state exportlog.Export
	// wished are noted visitors who are left out of the files by their wish, which has come after they were noted or is that of
	// the customer.
	wished []uuid.UUID
}

// Do does the export, or what is left of it. After an error it can be called again. An export that can't be done is logged as
// failed, and is no error.
func (x *Exporter) Do(ctx context.Context, job jobs.Job) error {
	if x.present != job.ID {
		x.present, x.refused = job.ID, 0
	}
	locked, unlock, err := x.deps.Store.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	e := &export{Deps: &x.deps}
	if err := e.load(locked, job); err != nil || e.state.Over() {
		return err
	}
	err = e.run(locked)
	var exception *clickhouse.Exception
	switch cause := (failure{}); {
	case err == nil:
		return nil
	case locked.Err() != nil:
		return errors.Join(context.Cause(locked), err)
	case errors.As(err, &cause):
		return e.fail(locked, cause.Error())
	case errors.As(err, &exception):
		if x.refused++; x.refused >= maxRefusals {
			return e.fail(locked, fmt.Sprintf("the database refused: exception %d; the log has it", exception.Code))
		}
	}
	return err
}

// load reads how far the export has come.
func (e *export) load(ctx context.Context, job jobs.Job) error {
	state, known, err := e.Log.Last(ctx, job.ID)
	if err == nil && !known {
		state = exportlog.New(job)
	}
	e.state = state
	return err
}

// run does the steps that are not done.
func (e *export) run(ctx context.Context) error {
	steps := []struct {
		until exportlog.Step
		do    func(context.Context) error
	}{{exportlog.Asked, e.begin}, {exportlog.Snapshot, e.note}, {exportlog.Written, e.write}, {exportlog.Done, e.tidy}}
	done := -1
	for i, step := range steps {
		if e.state.Step == step.until {
			done = i
		}
	}
	for _, step := range steps[done+1:] {
		if err := step.do(ctx); err != nil {
			return err
		}
		if err := e.save(ctx, step.until); err != nil {
			return err
		}
	}
	e.Metrics.ended(&e.state)
	return nil
}

func (e *export) save(ctx context.Context, step exportlog.Step) error {
	if err := e.Log.Save(ctx, &e.state, step, e.Now()); err != nil {
		return err
	}
	s := &e.state
	e.Logger.Info("export", "export", s.ID.String(), "site", s.Site, "segment", s.Segment, "format", s.Format, "step", step, "members", s.Members, "added", s.Added,
		"removed", s.Removed, "without_contact", s.WithoutContact, "without_share", s.WithoutShare, "unusable", s.Unusable, "lines", s.Lines, "bytes", s.Bytes)
	return e.Saved(step)
}

// begin chooses the instant and the export to compare with, when everything is there that is needed.
func (e *export) begin(ctx context.Context) error {
	if e.Dir == "" {
		return failf("ONEPX_EXPORT_DIR of consumer jobs is not set")
	}
	if e.state.Shared() {
		contacts, err := e.openContacts()
		if err != nil {
			return err
		}
		_ = contacts.Close()
	}
	version, known, err := e.Store.Version(ctx, e.state.Site, e.state.Segment)
	if err != nil {
		return err
	}
	if !known {
		return failf("site %s has no segment %s", e.state.Site, e.state.Segment)
	}
	kept, err := e.Log.Kept(ctx)
	if err != nil {
		return err
	}
	e.state.Version, e.state.At = version, e.Now().UTC().Truncate(time.Millisecond)
	for i := range kept {
		if kept[i].SameList(&e.state) && e.fresh(&kept[i]) {
			e.state.Previous = kept[i].ID
			break
		}
	}
	return nil
}

// fresh tells whether an export can still be compared with.
func (e *export) fresh(o *exportlog.Export) bool { return e.Now().Sub(o.AskedAt) < keptFor }

// openContacts opens the site's file of customers.
func (e *export) openContacts() (*os.File, error) {
	if e.ContactsDir == "" {
		return nil, failf("ONEPX_EXPORT_CONTACTS_DIR of consumer jobs is not set")
	}
	if e.Key == nil {
		return nil, failf("ONEPX_SECRET of consumer jobs is not set; customers are found by keys that are made with it")
	}
	root, err := os.OpenRoot(e.ContactsDir)
	if err != nil {
		return nil, failf("ONEPX_EXPORT_CONTACTS_DIR can't be opened: %w", errors.Unwrap(err))
	}
	defer func() { _ = root.Close() }()
	name := e.state.Site + "/" + e.state.Contacts + ".csv"
	info, err := root.Stat(name)
	if err != nil {
		return nil, failf("contacts %s: %w", name, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() { // to open a pipe might take for ever
		return nil, failf("contacts %s: not a regular file", name)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, failf("contacts %s: %w", name, errors.Unwrap(err))
	}
	return file, nil
}

func (e *export) note(ctx context.Context) (err error) {
	e.state.WithoutShare, err = e.Store.Note(ctx, &e.state)
	return err
}

// openDir opens the folder of all exports.
func (d *Deps) openDir() (*os.Root, error) {
	if err := os.MkdirAll(d.Dir, folderMode); err != nil {
		return nil, failf("ONEPX_EXPORT_DIR: %w", err)
	}
	root, err := os.OpenRoot(d.Dir)
	if err != nil {
		return nil, failf("ONEPX_EXPORT_DIR: %w", err)
	}
	return root, nil
}

// tidy removes files and notes that no export will be compared with any more: of the same list those before the previous one,
// of all lists those that are too old.
func (e *export) tidy(ctx context.Context) error {
	kept, err := e.Log.Kept(ctx)
	if err != nil {
		return err
	}
	root, err := e.openDir()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	var old []exportlog.Export
	for _, o := range kept {
		if e.fresh(&o) && (o.ID == e.state.Previous || !o.SameList(&e.state)) {
			continue
		}
		if err := root.RemoveAll(o.Folder()); err != nil {
			return failf("remove files of export %s: %w", o.ID, err)
		}
		old = append(old, o)
	}
	if err := e.Store.Forget(ctx, old...); err != nil {
		return err
	}
	for i := range old {
		if err := e.Log.Save(ctx, &old[i], exportlog.Removed, e.Now()); err != nil {
			return err
		}
	}
	return nil
}

// fail ends the export; nothing of it stays but the reason.
func (e *export) fail(ctx context.Context, why string) error {
	if root, err := e.openDir(); e.Dir != "" && err == nil {
		if err := errors.Join(root.RemoveAll(e.state.Folder()), root.Close()); err != nil {
			e.Logger.Warn("files of a failed export stay", "export", e.state.ID.String(), "error", err)
		}
	}
	if err := e.Store.Forget(ctx, e.state); err != nil {
		return err
	}
	e.state.Error, e.state.Files, e.state.Lines, e.state.Bytes = why, nil, nil, 0
	if err := e.Log.Save(ctx, &e.state, exportlog.Failed, e.Now()); err != nil {
		return err
	}
	e.Logger.Warn("export failed", "export", e.state.ID.String(), "site", e.state.Site, "segment", e.state.Segment, "error", why)
	e.Metrics.ended(&e.state)
	return nil
}

// Remove removes the files of exports since they hold somebody who is erased. Their notes are the erasure's business.
func (x *Exporter) Remove(ctx context.Context, exports []uuid.UUID) error {
	for _, id := range exports {
		state, known, err := x.deps.Log.Last(ctx, id)
		if err != nil {
			return err
		}
		if !known || state.Step == exportlog.Failed || state.Step == exportlog.Erased || state.Step == exportlog.Removed {
			continue
		}
		if x.deps.Dir == "" {
			return errors.New("files of exports hold somebody who is to be erased, but ONEPX_EXPORT_DIR is not set")
		}
		root, err := x.deps.openDir()
		if err != nil {
			return err
		}
		if err := errors.Join(root.RemoveAll(state.Folder()), root.Close()); err != nil {
			return fmt.Errorf("remove files of export %s: %w", id, err)
		}
		if err := x.deps.Log.Save(ctx, &state, exportlog.Erased, x.deps.Now()); err != nil {
			return err
		}
	}
	return nil
}
