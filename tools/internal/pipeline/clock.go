package pipeline

import (
	"os"
	"time"
)

// Clock is the path of a file that a collector built with the tag faults takes the time from (services/collector/clock_faults.go).
// It must be set before such a collector starts.
type Clock string

// Setting is what the collector is told.
func (c Clock) Setting() string { return "ONEPX_FAULT_CLOCK_FILE=" + string(c) }

// Set lets the clock stand at that time. A collector never reads half of it.
func (c Clock) Set(at time.Time) error {
	next := string(c) + ".next"
	if err := os.WriteFile(next, []byte(at.UTC().Format(time.RFC3339Nano)), 0o600); err != nil {
		return err
	}
	return os.Rename(next, string(c))
}
