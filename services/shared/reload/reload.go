// Package reload takes over changes of the site configuration while a service runs.
//
// The service's main opens the file at the start, and hands what Follow then finds to the API. A file that cannot be used
// changes nothing: the last good one stays in force, and one line of the log and a metric say so.
package reload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

const (
	// settle is how long nothing may have happened before a changed file is read, so that it is not read half written.
	settle = 250 * time.Millisecond
	// settleAtMost is how long a folder in which something happens all the time may put that off.
	settleAtMost = 2 * time.Second
	// lookEvery is how often the file is read without a notice: network file systems, files mounted alone into a
	// container and links into other folders give none.
	lookEvery = 30 * time.Second
)

// File is a site configuration that may change.
type File struct {
	path string
	log  *slog.Logger

	sites *siteconfig.Config
	// inForce is the hash of what sites was read from; refused is that of a file that could not be used, or the error of one
	// that could not be read, or "".
	inForce, refused string

	shown        atomic.Pointer[string] // inForce, for the metric
	successful   atomic.Bool
	reloads      metric.Int64Counter
	ok, notValid metric.MeasurementOption
}

// Open reads the file for the first time. Its error has every problem with line and column. The metrics are named after the
// service.
func Open(path, service string, log *slog.Logger, meter metric.Meter) (*File, error) {
	data, err := siteconfig.Read(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, log: log, inForce: hash(data)}
	if f.sites, err = siteconfig.Parse(path, data); err != nil {
		return nil, err
	}
	if err = f.measure("onepx_"+service+"_config_", meter); err != nil {
		return nil, fmt.Errorf("site configuration metrics: %w", err)
	}
	f.report(true)
	return f, nil
}

// Sites is what Open has read.
func (f *File) Sites() *siteconfig.Config { return f.sites }

// Hash is that of the file in force, as onepx_SERVICE_config_info has it.
func (f *File) Hash() string { return *f.shown.Load() }

// Follow calls apply with each new configuration until ctx ends. The file is read when a change was noticed and it has
// settled, now and then without, and at once on a hangup, which also reports a file that is as it was.
func (f *File) Follow(ctx context.Context, changes <-chan struct{}, hangups <-chan os.Signal, apply func(*siteconfig.Config)) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	settled := time.NewTimer(0) // what has changed between Open and now gave no notice
	defer settled.Stop()
	var first time.Time // notice of what is not read yet
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			if first.IsZero() {
				first = time.Now()
			}
			settled.Reset(min(settle, settleAtMost-time.Since(first)))
			continue
		case <-settled.C:
			first = time.Time{}
		case <-look.C:
			if !first.IsZero() {
				continue // about to be read
			}
		case <-hangups:
			f.log.Info("site configuration is read again, as asked by SIGHUP", slog.String("file", f.path))
			f.refused = ""
		}
		f.read(ctx, apply)
	}
}

// read takes the file over if it is another one than before.
func (f *File) read(ctx context.Context, apply func(*siteconfig.Config)) {
	data, err := siteconfig.Read(f.path)
	if err != nil {
		f.refuse(ctx, err.Error(), err)
		return
	}
	found := hash(data)
	if found == f.inForce {
		if f.refused != "" {
			f.log.Info("site configuration is again the one in force", slog.String("file", f.path))
		}
		f.refused = ""
		f.successful.Store(true)
		return
	}
	sites, err := siteconfig.Parse(f.path, data)
	if err != nil {
		f.refuse(ctx, found, err)
		return
	}
	apply(sites)
	f.sites, f.inForce, f.refused = sites, found, ""
	f.report(true)
	f.reloads.Add(ctx, 1, f.ok)
	f.log.Info("site configuration taken over", slog.String("file", f.path), slog.Int("sites", len(sites.Sites)), slog.String("hash", found))
}

// refuse says once for each file, known by what, why it is not taken over.
func (f *File) refuse(ctx context.Context, what string, err error) {
	if f.refused == what {
		return
	}
	f.refused = what
	f.report(false)
	f.reloads.Add(ctx, 1, f.notValid)
	f.log.Warn("site configuration not taken over; the one before stays in force", slog.String("file", f.path), slog.Any("problems", err))
}

func (f *File) report(successful bool) {
	inForce := f.inForce
	f.shown.Store(&inForce)
	f.successful.Store(successful)
}

// hash tells files apart, for us and for whoever compares processes.
func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

func (f *File) measure(prefix string, meter metric.Meter) error {
	result := func(word string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("result", word)))
	}
	f.ok, f.notValid = result("ok"), result("invalid")
	var err error
	f.reloads, err = meter.Int64Counter(prefix+"reloads_total",
		metric.WithDescription("Changed site configurations by result: ok (taken over) or invalid (the one before stays in force)."))
	if err != nil {
		return err
	}
	f.reloads.Add(context.Background(), 0, f.ok)
	f.reloads.Add(context.Background(), 0, f.notValid)
	_, err = meter.Int64ObservableGauge(prefix+"last_reload_successful",
		metric.WithDescription("1 while the site configuration in force is the one in the file, 0 while the file cannot be used."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			if f.successful.Load() {
				o.Observe(1)
			} else {
				o.Observe(0)
			}
			return nil
		}))
	if err != nil {
		return err
	}
	_, err = meter.Int64ObservableGauge(prefix+"info",
		metric.WithDescription("1, with the hash of the site configuration in force: the beginning of the file's SHA-256."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(1, metric.WithAttributes(attribute.String("hash", f.Hash())))
			return nil
		}))
	return err
}
