package localstack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
)

// HTTPReady returns a Ready function for ProcessConfig: a GET of url is answered with 2xx.
func HTTPReady(url string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		req.Close = true // a part that is started again must not meet our old connection
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
			return fmt.Errorf("%s answers %s: %s", url, resp.Status, bytes.TrimSpace(body))
		}
		return nil
	}
}

// tailBytes bounds what LogTail reads: enough for any number of lines a person wants to see in an error.
const tailBytes = 16 << 10

// LogTail returns up to the last n lines of a log, each indented, below a line with the file's name; an error in place of
// lines if it cannot be read.
func LogTail(name string, n int) string {
	f, err := os.Open(name)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-tailBytes), io.SeekStart)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	lines = lines[max(0, len(lines)-n):]
	return fmt.Sprintf("end of %s:\n  %s", name, bytes.Join(lines, []byte("\n  ")))
}
