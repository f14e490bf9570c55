// Command dashboards writes the dashboards of Grafana that the chart brings: charts/onepx/dashboards/*.json.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// builders are the dashboards by the name of their file, without its ending.
var builders = map[string]func() *builder{
	"operators": operators,
	"marketers": marketers,
}

func main() {
	dir := flag.String("dir", ".", "folder of the JSON files")
	flag.Parse()
	if err := write(*dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for name := range builders {
		content, err := render(name)
		if err != nil {
			return fmt.Errorf("dashboard %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// render returns the text of a dashboard's file. It ends with a line break.
func render(name string) ([]byte, error) {
	built, err := builders[name]().Build()
	if err != nil {
		return nil, err
	}
	content, err := json.MarshalIndent(built, "", "  ")
	return append(content, '\n'), err
}
