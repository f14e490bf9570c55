package main

import (
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	// asDev is set for a process that is the command itself instead of its tests.
	asDev = "ONEPX_TEST_AS_DEV"
	// asService is set, to an address, for a process that stands for a service: it is ready there and does nothing else.
	asService = "ONEPX_TEST_AS_SERVICE"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(asService); address != "" {
		serveReady(address)
	}
	if os.Getenv(asDev) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// serveReady answers /readyz until the process is killed.
func serveReady(address string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	server := http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: time.Minute}
	panic(server.ListenAndServe())
}
