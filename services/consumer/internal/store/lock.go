package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
)

// lock lets one process of all do something. It is a query that runs all the time: ClickHouse refuses another one under the
// same id, and ends it when the process is gone. It is the server's, so on a cluster all must talk to the same one.
type lock struct {
	conn driver.Conn
	// id is that of the query; those of the statements under the lock begin with it and a dash.
	id string
	// taken is the error for whoever comes second.
	taken error
}

// statement names a statement, so that who has the lock next can wait for it when this process is killed.
func (l lock) statement(ctx context.Context, more clickhouse.Settings) context.Context {
	settings := clickhouse.Settings{"async_insert": 0}
	for name, value := range more {
		settings[name] = value
	}
	return clickhouse.Context(ctx, clickhouse.WithQueryID(l.id+"-"+uuid.NewString()), clickhouse.WithSettings(settings))
}

const (
	queryIDTaken = 216 // QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING
	lockPause    = 50 * time.Millisecond
	// lockPatience is how long the query of a process that was killed may go on.
	lockPatience = 2 * time.Second
	// lockTime is how long a lock may be held, whatever the connection allows one statement.
	lockTime = 7 * 24 * time.Hour
)

// hold takes the lock until the returned context ends or unlock is called. When it is lost the context ends. The error wraps
// taken when somebody else has it.
func (l lock) hold(ctx context.Context) (locked context.Context, unlock func(), err error) {
	locked, cancel := context.WithCancelCause(ctx)
	timed, release := context.WithTimeout(locked, lockTime)
	asked := clickhouse.Context(timed, clickhouse.WithQueryID(l.id), clickhouse.WithSettings(clickhouse.Settings{
		"max_block_size": 1, "max_threads": 1, "function_sleep_max_microseconds_per_block": 0, "max_execution_time": 0,
	}))
	var rows driver.Rows
	err = poll(ctx, lockPause, time.Now().Add(lockPatience), func() (bool, error) {
		running, err := l.conn.Query(asked, "SELECT sleepEachRow(0.05) FROM system.numbers")
		var exception *clickhouse.Exception
		if errors.As(err, &exception) && exception.Code == queryIDTaken {
			return false, nil
		}
		rows = running
		return err == nil, err
	})
	if errors.Is(err, errLate) {
		err = l.taken
	}
	if err != nil {
		release()
		cancel(nil)
		return nil, nil, fmt.Errorf("lock %s: %w", l.id, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer release()
		for rows.Next() {
			continue
		}
		cancel(fmt.Errorf("the query that is the lock %s has ended: %w", l.id, errors.Join(rows.Err(), rows.Close())))
	}()
	unlock = func() {
		cancel(nil)
		<-ended
	}
	if err := l.awaitStatements(locked); err != nil {
		unlock()
		return nil, nil, err
	}
	return locked, unlock, nil
}

// awaitStatements waits until no statement of a killed process runs any more.
func (l lock) awaitStatements(ctx context.Context) error {
	return poll(ctx, lockPause, time.Time{}, func() (bool, error) {
		var n uint64
		err := l.conn.QueryRow(ctx, "SELECT count() FROM system.processes WHERE startsWith(query_id, ?)", l.id+"-").Scan(&n)
		if err != nil {
			return false, fmt.Errorf("look for statements of a killed process: %w", err)
		}
		return n == 0, nil
	})
}

// errLate is poll's answer when the condition has not come true in time.
var errLate = errors.New("not in time")

// poll asks for a condition until it holds, fails, the context ends, or the deadline passes; a zero deadline is none.
func poll(ctx context.Context, pause time.Duration, deadline time.Time, condition func() (bool, error)) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		held, err := condition()
		if held || err != nil {
			return err
		}
		if !deadline.IsZero() && time.Now().After(deadline) {
			return errLate
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
