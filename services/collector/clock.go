//go:build !faults

package main

import "time"

// now is the clock by which requests arrive.
func now() time.Time { return time.Now() }
