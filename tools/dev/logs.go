package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nxadm/tail"
)

// logsCmd is `dev logs`.
type logsCmd struct{}

// Run prints all logs from their beginning and what is added to them, until Ctrl-C.
func (logsCmd) Run(ctx context.Context) error {
	dev, err := findFolder()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(dev.log("*"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("there are no logs: nothing was started with up")
	}
	return follow(ctx, files, os.Stdout)
}

// follow copies the lines of the files to out, each behind the file's name, until the context ends.
func follow(ctx context.Context, files []string, out io.Writer) error {
	var wg sync.WaitGroup
	var mu sync.Mutex // a line is written whole
	defer wg.Wait()
	width := 0
	for _, file := range files {
		width = max(width, len(partName(file)))
	}
	for _, file := range files {
		t, err := tail.TailFile(file, tail.Config{
			Follow: true, Poll: true, // watching by inotify would leave a goroutine behind
			Logger: tail.DiscardingLogger,
		})
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer t.Stop() //nolint:errcheck // it fails only as reading has failed already
			for {
				select {
				case <-ctx.Done():
					return
				case line, open := <-t.Lines:
					if !open {
						return
					}
					mu.Lock()
					fmt.Fprintf(out, "%-*s | %s\n", width, partName(file), line.Text)
					mu.Unlock()
				}
			}
		})
	}
	return nil
}

// partName returns the part that a log belongs to.
func partName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".log") }
