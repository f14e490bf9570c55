package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const (
	queryIDTaken = 216 // QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING
	lockPause    = 50 * time.Millisecond
	// lockPatience is how long the query of a process that was killed may go on.
	lockPatience = 2 * time.Second
	// lockTime is how long a lock may be held, whatever the connection allows one statement.
	lockTime = 7 * 24 * time.Hour
)

// lock makes this the only one with a lock of that id, until the returned context ends or unlock is called. The lock is a query
// that runs all the time: ClickHouse refuses another one under the same id, and ends it when the process is gone. It is the
// server's, so on a cluster all who lock must talk to the same one. When the lock is lost the context ends. The error is errLate
// when somebody else has it.
func lock(ctx context.Context, conn driver.Conn, id string) (locked context.Context, unlock func(), err error) {
	locked, cancel := context.WithCancelCause(ctx)
	timed, release := context.WithTimeout(locked, lockTime)
	asked := clickhouse.Context(timed, clickhouse.WithQueryID(id), clickhouse.WithSettings(clickhouse.Settings{
		"max_block_size": 1, "max_threads": 1, "function_sleep_max_microseconds_per_block": 0, "max_execution_time": 0,
	}))
	var rows driver.Rows
	err = poll(ctx, lockPause, time.Now().Add(lockPatience), func() (bool, error) {
		running, err := conn.Query(asked, "SELECT sleepEachRow(0.05) FROM system.numbers")
		var exception *clickhouse.Exception
		if errors.As(err, &exception) && exception.Code == queryIDTaken {
			return false, nil
		}
		rows = running
		return err == nil, err
	})
	if err != nil {
		release()
		cancel(nil)
		return nil, nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer release()
		for rows.Next() {
			continue
		}
		cancel(fmt.Errorf("the query that holds the lock has ended: %w", errors.Join(rows.Err(), rows.Close())))
	}()
	return locked, func() {
		cancel(nil)
		<-ended
	}, nil
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
