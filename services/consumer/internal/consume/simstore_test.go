package consume

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// simStore is ClickHouse as a process sees it, with everything that can go wrong on the way; it implements Store.
type simStore struct{ *process }

var errHouseAway = errors.New("clickhouse is away")

// ask is what every call begins with.
func (s simStore) ask(ctx context.Context, what string) error {
	if err := s.step(ctx, what); err != nil {
		return err
	}
	if s.houseIsAway() || s.unlucky(2) {
		return errors.Join(errHouseAway, wait(ctx, s.upTo(5*time.Second)))
	}
	return wait(ctx, s.upTo(20*time.Millisecond))
}

// fate is what happens to a block on its way.
type fate struct {
	delay  time.Duration // until ClickHouse takes it
	lost   bool          // ClickHouse never sees it
	silent bool          // the answer is lost
	reset  bool          // the answer is lost and the connection is cut at once
	views  int           // views that are reached
	kills  bool          // ClickHouse is killed when it has reached so many targets
}

func (s simStore) fate() fate {
	f := fate{delay: s.upTo(300 * time.Millisecond), lost: s.unlucky(3), silent: s.unlucky(3), reset: s.unlucky(3), views: complete}
	if s.unlucky(5) {
		f.delay = s.upTo(2 * simDeadline)
	}
	if s.unlucky(4) || s.viewIsBroken() {
		f.views = s.pick(complete)
	}
	f.kills = s.unlucky(3)
	return f
}

// send lets a block land, whether the sender still waits for it or not.
func (s simStore) send(ctx context.Context, token string, block []store.Row) error {
	if err := s.house.checkStarted(ctx); err != nil {
		return err
	}
	until := deadlineOf(ctx)
	return s.deliver(ctx, func(f fate) error {
		if f.kills {
			before, orphan := s.pick(complete+1), s.pick(2) == 0
			s.say("%s: block %s kills clickhouse before target %d, orphan %v", s.name, token, before, orphan)
			s.house.die(token, block, until, before, orphan)
			return errHouseAway
		}
		err := s.house.insert(token, block, until, f.views)
		s.say("%s: block %s lands: %v", s.name, token, err)
		return err
	})
}

// deliver lets something land that dies with the server to which it was sent.
func (s simStore) deliver(ctx context.Context, land func(fate) error) error {
	f := s.fate()
	answer := make(chan error, 1)
	sent := time.Now()
	s.inFlight.Go(func() {
		rest(f.delay)
		if f.lost || s.houseIsAway() {
			return
		}
		if started, _ := s.house.Started(ctx); started.After(sent) {
			answer <- errHouseAway
			return
		}
		err := land(f)
		switch {
		case f.reset:
			answer <- errors.New("connection reset")
		case !f.silent:
			answer <- err
		}
	})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s simStore) Insert(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
	s.noteInsert(token)
	block := cloned(rows)
	if err := s.ask(ctx, "insert"); err != nil {
		return err
	}
	switch {
	case s.unlucky(4):
		return errors.New("TOO_MANY_PARTS")
	case s.unlucky(1):
		return fmt.Errorf("%w: by a quota", store.ErrRefused)
	}
	return s.send(ctx, token, block)
}

func (s simStore) CompleteViews(ctx context.Context, r store.Range, token string) error {
	if err := s.ask(ctx, "complete views"); err != nil {
		return err
	}
	return s.send(ctx, token, s.house.of(r))
}

func (s simStore) FillViews(ctx context.Context, r store.Range, _ time.Time) error {
	if err := s.ask(ctx, "fill views"); err != nil {
		return err
	}
	until := deadlineOf(ctx)
	return s.deliver(ctx, func(f fate) error {
		err := s.house.fill(r, until, f.views)
		s.say("%s: views of %d-%d filled: %v", s.name, r.First, r.Last, err)
		return err
	})
}

func (s simStore) Started(ctx context.Context) (time.Time, error) {
	if err := s.ask(ctx, "started"); err != nil {
		return time.Time{}, err
	}
	return s.house.Started(ctx)
}

func (s simStore) CountRows(ctx context.Context, r store.Range) (int64, error) {
	if err := s.ask(ctx, "count"); err != nil {
		return 0, err
	}
	return s.house.CountRows(ctx, r)
}

func (s simStore) LastRow(ctx context.Context, p store.Partition) (store.Last, error) {
	if err := s.ask(ctx, "last row"); err != nil {
		return store.Last{}, err
	}
	return s.house.LastRow(ctx, p)
}

func (s simStore) RecentEvents(ctx context.Context, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) error {
	return s.read(ctx, s.house.RecentEvents, p, below, since, yield)
}

func (s simStore) EventIDs(ctx context.Context, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) error {
	return s.read(ctx, s.house.EventIDs, p, below, since, yield)
}

// reading is RecentEvents or EventIDs.
type reading func(ctx context.Context, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) error

func (s simStore) read(ctx context.Context, do reading, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) error {
	if err := s.ask(ctx, "recent events"); err != nil {
		return err
	}
	cut := s.unlucky(3) // the connection breaks in the middle
	return errors.Join(do(ctx, p, below, since, func(key store.EventKey, at time.Time) {
		if !cut || s.pick(2) == 0 {
			yield(key, at)
		}
	}), errWhen(cut))
}

func errWhen(cut bool) error {
	if cut {
		return errHouseAway
	}
	return nil
}

func (s simStore) Seen(ctx context.Context, p store.Partition, below int64, since time.Time, keys []store.EventKey) (map[store.EventKey]time.Time, error) {
	if err := s.ask(ctx, "seen"); err != nil {
		return nil, err
	}
	return s.house.Seen(ctx, p, below, since, keys)
}

func (s simStore) Rules(ctx context.Context, hash string) (string, bool, error) {
	if err := s.ask(ctx, "rules"); err != nil {
		return "", false, err
	}
	return s.house.Rules(ctx, hash)
}

func (s simStore) ListForRebuild(ctx context.Context, r store.Range, why string) error {
	if err := s.ask(ctx, "list"); err != nil {
		return err
	}
	s.say("%s: list %d-%d for rebuild: %s", s.name, r.First, r.Last, why)
	return errors.Join(s.house.ListForRebuild(ctx, r, why), errWhen(s.unlucky(2)))
}

func (s simStore) FillEventIDs(ctx context.Context, r store.Range) error {
	if err := s.ask(ctx, "fill event ids"); err != nil {
		return err
	}
	return errors.Join(s.house.FillEventIDs(ctx, r), errWhen(s.unlucky(2)))
}
