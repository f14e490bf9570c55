package audiences

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/suppression"
)

// wishes keeps suppressed_visitors equal to the suppression list: it holds the visitors who have wished not to be counted or to
// be in no audience, and those whom table identities links with users who have wished not to be counted. Links are looked up
// when a wish is read, and all of them at the start.
type wishes struct {
	store  *store.Audiences
	list   *suppression.List
	logger *slog.Logger

	mu sync.Mutex
	// begun says that wishes are taken as they come.
	begun bool
	// read are wishes that the table may not hold, in the order of offsets.
	read []wish
	// changed are visitors whom the table holds as they are, and the stream has not looked at.
	changed []changedVisitor

	// position is that of the row written last.
	position int64
	// users says that the list has, or had, wishes of users.
	users bool
}

// wish is a record of the list that says something new of an id.
type wish struct {
	kind   suppression.Kind
	id     uuid.UUID
	offset int64
}

// changedVisitor is a visitor of whom the record at an offset says something new.
type changedVisitor struct {
	id     uuid.UUID
	offset int64
}

const (
	// wishChunk is how many wishes are looked up together.
	wishChunk = 2_000
	// flushEvery is the pause between two looks for wishes.
	flushEvery = 200 * time.Millisecond
)

// add takes a wish that the list has taken or lifted.
func (w *wishes) add(kind suppression.Kind, id []byte, offset int64) {
	if len(id) != len(uuid.Nil) || !slices.Contains([]suppression.Kind{suppression.Visitor, suppression.Profiling, suppression.User}, kind) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun {
		w.read = append(w.read, wish{kind, uuid.UUID(id), offset})
	}
}

// begin makes the table what the whole list says. The stream has looked at what lies before the position.
func (w *wishes) begin(ctx context.Context, looked int64) error {
	w.mu.Lock()
	w.begun, w.read, w.changed = true, nil, nil
	w.mu.Unlock()
	last, err := w.store.LastWish(ctx)
	if err != nil {
		return err
	}
	var all []wish
	w.list.EachWish(func(kind suppression.Kind, id []byte, offset int64, _ bool) {
		if len(id) == len(uuid.Nil) && kind != suppression.Recipient {
			all = append(all, wish{kind, uuid.UUID(id), offset})
		}
	})
	slices.SortFunc(all, func(a, b wish) int { return int(a.offset - b.offset) })
	w.position = max(last, w.list.Now().Position-1)
	hold := map[uint64]struct{}{}
	for chunk := range slices.Chunk(all, wishChunk) {
		hashes, err := w.save(ctx, chunk, looked)
		if err != nil {
			return err
		}
		for _, hash := range hashes {
			hold[hash] = struct{}{}
		}
	}
	w.position++
	lifted, err := w.store.LiftOtherWishes(ctx, hold, w.position)
	if err == nil && lifted > 0 {
		w.logger.Info("wishes were lifted that the suppression list does not hold any more", "visitors", lifted)
	}
	return err
}

// end forgets what was read: begin reads the list anew.
func (w *wishes) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun, w.read, w.changed = false, nil, nil
}

// run takes wishes into the table as they are read, until the context ends.
func (w *wishes) run(ctx context.Context) error {
	for ctx.Err() == nil {
		w.mu.Lock()
		chunk := w.read[:min(len(w.read), wishChunk)]
		w.mu.Unlock()
		if len(chunk) == 0 {
			_ = pause.For(ctx, flushEvery)
			continue
		}
		if _, err := w.save(ctx, chunk, 0); err != nil {
			return err
		}
		w.mu.Lock()
		w.read = w.read[len(chunk):]
		w.mu.Unlock()
	}
	return ctx.Err()
}

// save makes the table hold all that the wishes are about, and notes whom the stream must look at: those of records from an
// offset on. It returns the hashes of those who are wished out.
func (w *wishes) save(ctx context.Context, chunk []wish, looked int64) (hashes []uint64, err error) {
	offsets := map[uuid.UUID]int64{} // of the visitors
	var users []uuid.UUID
	byUser := map[uuid.UUID]int64{}
	for _, c := range chunk {
		if c.kind == suppression.User {
			users, byUser[c.id], w.users = append(users, c.id), c.offset, true
		} else {
			offsets[c.id] = c.offset
		}
	}
	links, err := w.store.LinksOf(ctx, nil, users)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		offsets[l.VisitorID] = max(offsets[l.VisitorID], byUser[l.UserKey])
	}
	ids := make([]uuid.UUID, 0, len(offsets))
	for id := range offsets {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for some := range slices.Chunk(ids, wishChunk) {
		more, err := w.saveVisitors(ctx, some)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, more...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last := chunk[len(chunk)-1].offset
	for _, id := range ids {
		if offsets[id] >= looked {
			// Under the last offset of the chunk: those before it are done when this one is.
			w.changed = append(w.changed, changedVisitor{id, last})
		}
	}
	return hashes, nil
}

// saveVisitors makes the table hold the visitors as the list now says.
func (w *wishes) saveVisitors(ctx context.Context, ids []uuid.UUID) ([]uint64, error) {
	out := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		out[id] = !w.list.InAudiences(id[:])
	}
	if w.users {
		links, err := w.store.LinksOf(ctx, ids, nil)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			out[l.VisitorID] = out[l.VisitorID] || w.list.Wished(suppression.User, l.UserKey[:])
		}
	}
	all := make([]store.Wish, len(ids))
	for i, id := range ids {
		all[i] = store.Wish{VisitorID: id, Wished: out[id]}
	}
	w.position = max(w.position+1, w.list.Now().Position-1)
	return w.store.SaveWishes(ctx, all, w.position)
}

// take returns the next visitors whom the stream must look at, about limit, with the offset that is done with them: -1 when
// there is none. They are returned again until done is called.
func (w *wishes) take(limit int) (ids []uuid.UUID, offset int64, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	offset = -1
	for _, c := range w.changed {
		if len(ids) >= limit && c.offset != offset {
			return ids, offset, true
		}
		ids, offset = append(ids, c.id), c.offset
	}
	return ids, offset, false
}

// done forgets the visitors up to an offset.
func (w *wishes) done(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed = slices.DeleteFunc(w.changed, func(c changedVisitor) bool { return c.offset <= offset })
}
