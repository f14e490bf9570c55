//go:build faults

package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// now is the clock by which requests arrive. A build with the tag `faults` reads it from the file that ONEPX_FAULT_CLOCK_FILE
// names, if it does: the time in RFC 3339 at which the clock stands still. For tests of what takes weeks. All other clocks
// go on, such as that of the records in Kafka.
func now() time.Time {
	name := os.Getenv("ONEPX_FAULT_CLOCK_FILE")
	if name == "" {
		return time.Now()
	}
	text, err := os.ReadFile(name) //nolint:gosec // whoever starts the drill names the file
	if err != nil {
		panic(fmt.Sprintf("the clock of the drill: %v", err))
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	if err != nil {
		panic(fmt.Sprintf("the clock of the drill: %v", err))
	}
	return at
}
