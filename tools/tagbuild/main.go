// Command tagbuild minifies the JavaScript tag, so that the collector itself needs no JavaScript tools. `make generate`
// runs it from the root of the repository; the result is kept in git, and `make check` compares it.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
	"github.com/evanw/esbuild/pkg/api"
)

// folder is where source and result are, below the root of the repository.
const folder = "services/collector/internal/tag"

func main() {
	var c command
	ctx := kong.Parse(&c, kong.Description("Minifies the JavaScript tag."))
	ctx.FatalIfErrorf(ctx.Run())
}

type command struct {
	Root string `help:"Root of the repository." default:"."`
	Dir  string `help:"Where to write, as if it were the root." default:"."`
}

// Run writes t.min.js and prints its size.
func (c *command) Run() error {
	source, err := os.ReadFile(filepath.Join(c.Root, folder, "t.js"))
	if err != nil {
		return err
	}
	small, err := minify(source)
	if err != nil {
		return err
	}
	target := filepath.Join(c.Dir, folder, "t.min.js")
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(target, small, 0o644); err != nil {
		return err
	}
	zipped, err := gzipped(small)
	if err != nil {
		return err
	}
	fmt.Printf("tag: %d bytes, %d with gzip\n", len(small), zipped)
	return nil
}

// minify returns the script in the JavaScript of 2017, which all browsers of today understand.
func minify(source []byte) ([]byte, error) {
	result := api.Transform(string(source), api.TransformOptions{
		Target: api.ES2017, MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, Sourcefile: "t.js",
	})
	var errs []error
	for _, message := range append(result.Errors, result.Warnings...) {
		errs = append(errs, errors.New(message.Text))
	}
	return result.Code, errors.Join(errs...)
}

func gzipped(data []byte) (int, error) {
	var out bytes.Buffer
	writer, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	if _, err := writer.Write(data); err != nil {
		return 0, err
	}
	err = writer.Close()
	return out.Len(), err
}
