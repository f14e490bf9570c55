package telemetry

import (
	"context"
	"net/http"
	"net/http/pprof"
	"time"
)

// Admin is what AdminServer serves.
type Admin struct {
	Addr string
	// Ready is nil if the service can do its work. It is called for each request and must be quick.
	Ready func() error
	// Status is what people see.
	Status Status
	// Facts are further lines of the status; nil for none. Its context ends after factsTimeout.
	Facts   func(context.Context) []Fact
	Metrics http.Handler
}

// AdminServer returns the server of the admin port, not yet listening:
//
//	/livez    200 while the process answers at all
//	/readyz   200 if Ready returns nil, else 503 with the error as text
//	/status   200 with a text for people, see Status
//	/metrics  the given handler
//	/debug/pprof/
//
// The port must not be reachable from outside: it shows memory contents.
func AdminServer(cfg Admin) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := cfg.Ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /status", cfg.showStatus)
	mux.Handle("GET /metrics", cfg.Metrics)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &http.Server{
		Addr:              cfg.Addr,
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a CPU profile takes 30 s unless told otherwise
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // a probe that hung up needs no answer
}
