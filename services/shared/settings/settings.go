// Package settings is what all settings of all services have in common: secrets
// that don't show (Secret) and a table for people (Markdown).
//
// A setting is a field of a kong command line with an env tag. Beside kong's own
// tags it may carry bounds, a few words that say which values are allowed:
//
//	MaxInFlight int `env:"ONEPX_MAX_IN_FLIGHT" default:"1024" bounds:"1 to 65536" help:"…"`
package settings

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Markdown writes a table of all settings of cli, a pointer to a kong command line,
// in the order of its fields. A setting of several commands stands there once; it
// is an error if the commands do not agree about it, or if nothing explains it.
// options are those that cli is parsed with.
func Markdown(w io.Writer, cli any, options ...kong.Option) error {
	parser, err := kong.New(cli, options...)
	if err != nil {
		return fmt.Errorf("read the command line: %w", err)
	}
	rows := map[string]string{} // by name
	var names []string
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		flag, ok := node.(*kong.Flag)
		if !ok || len(flag.Envs) == 0 || flag.Hidden {
			return next(nil)
		}
		name := flag.Envs[0]
		if flag.Help == "" {
			return fmt.Errorf("setting %s has no help", name)
		}
		line := row(flag)
		if before, known := rows[name]; !known {
			names = append(names, name)
		} else if before != line {
			return fmt.Errorf("setting %s is two things:\n%s\n%s", name, before, line)
		}
		rows[name] = line
		return next(nil)
	})
	if err != nil {
		return err
	}
	table := []string{"| Setting | Flag | Default | Allowed | Meaning |", "|---|---|---|---|---|"}
	for _, name := range names {
		table = append(table, rows[name])
	}
	_, err = fmt.Fprintln(w, strings.Join(table, "\n"))
	return err
}

// row returns one line of the table.
func row(flag *kong.Flag) string {
	const nothing = "–"
	standard := nothing
	switch {
	case flag.Default != "":
		standard = "`" + flag.Default + "`"
	case flag.IsBool():
		standard = "`false`"
	}
	cells := []string{
		"`" + flag.Envs[0] + "`", "`--" + flag.Name + "`",
		standard, cmp.Or(allowed(flag), nothing), flag.Help,
	}
	for i := range cells {
		cells[i] = strings.ReplaceAll(strings.ReplaceAll(cells[i], "|", `\|`), "\n", " ")
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// allowed says which values the setting takes, as far as its tags do.
func allowed(flag *kong.Flag) string {
	var parts []string
	if flag.Required {
		parts = append(parts, "required")
	}
	if bounds := flag.Tag.Get("bounds"); bounds != "" {
		parts = append(parts, bounds)
	}
	if flag.Enum != "" {
		values := flag.EnumSlice()
		for i, value := range values {
			values[i] = "`" + value + "`"
		}
		if i := slices.Index(values, "``"); i >= 0 {
			values[i] = "empty"
		}
		parts = append(parts, strings.Join(values, ", "))
	}
	if flag.IsBool() {
		parts = append(parts, "`true`, `false`")
	}
	return strings.Join(parts, "; ")
}
