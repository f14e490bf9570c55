package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asDev is set for a process that is the command itself instead of its tests.
const asDev = "ONEPX_TEST_AS_DEV"

func TestMain(m *testing.M) {
	if os.Getenv(asDev) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}
