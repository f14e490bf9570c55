package reload

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// Notices returns a channel that gets a value after something has happened in the folder of the file, until ctx ends. It is
// the folder that is watched, because editors and Kubernetes replace the file, or the link to it, by another one. Without
// notices (a system that has no more watches to give) the file is still read now and then.
func Notices(ctx context.Context, path string, log *slog.Logger) <-chan struct{} {
	notices := make(chan struct{}, 1)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(filepath.Dir(path)); err != nil {
			_ = watcher.Close() // watches nothing
		}
	}
	if err != nil {
		log.Warn("changes of the site configuration are found late, because its folder cannot be watched",
			slog.String("every", lookEvery.String()), slog.Any("error", err))
		return notices
	}
	stop := context.AfterFunc(ctx, func() { _ = watcher.Close() }) // ends the loop
	go func() {
		defer stop()
		for {
			select {
			case event, open := <-watcher.Events:
				if !open {
					return
				}
				if event.Op == fsnotify.Chmod {
					continue // also backups and indexers do that
				}
			case _, open := <-watcher.Errors: // events were lost
				if !open {
					return
				}
			}
			select {
			case notices <- struct{}{}:
			default: // there is one already
			}
		}
	}()
	return notices
}
