package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// value is a key of values.yaml with its comment, in the order of the file.
type value struct {
	path, standard, meaning string
}

var (
	comment = regexp.MustCompile(`^( *)# -- (.+)$`)
	key     = regexp.MustCompile(`^( *)([A-Za-z]+):(?: (.+))?$`)
)

// table reads values.yaml line by line: each comment with -- belongs to the key below it. What is no leaf and has such a comment
// is shown as a whole.
func table(t *testing.T, text string) []value {
	t.Helper()
	var rows []value
	var path []string
	meaning, block := "", -1 // block is how far a value that is shown as a whole is indented
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if found := comment.FindStringSubmatch(line); found != nil {
			require.Empty(t, meaning, "%s: no key below", meaning)
			meaning, block = found[2], -1
			continue
		}
		found := key.FindStringSubmatch(line)
		if found == nil || block >= 0 && len(found[1]) > block {
			continue
		}
		depth := len(found[1]) / 2
		path, block = append(path[:depth], found[2]), -1
		if meaning == "" {
			require.Empty(t, found[3], "%s has no comment with --", line)
			continue
		}
		standard := found[3]
		if standard == "" {
			standard, block = "see values.yaml", len(found[1])
		} else {
			standard = "`" + standard + "`"
		}
		rows = append(rows, value{strings.Join(path, "."), standard, meaning})
		meaning = ""
	}
	require.NotEmpty(t, rows)
	return rows
}

const (
	tableBegins = "<!-- values: written by `go test . -update` in tools/chart from values.yaml -->\n"
	tableEnds   = "<!-- end of values -->\n"
)

func TestTheReadmeHasTheValuesOfTheChart(t *testing.T) {
	root := filepath.Join(repository(t), "charts", "onepx")
	var got strings.Builder
	got.WriteString("| Value | Default | Meaning |\n|---|---|---|\n")
	for _, row := range table(t, read(t, root, "values.yaml")) {
		fmt.Fprintf(&got, "| `%s` | %s | %s |\n", row.path, strings.ReplaceAll(row.standard, "|", `\|`), strings.ReplaceAll(row.meaning, "|", `\|`))
	}
	readme := read(t, root, "README.md")
	before, rest, begins := strings.Cut(readme, tableBegins)
	have, after, ends := strings.Cut(rest, tableEnds)
	require.True(t, begins && ends)
	if *update {
		require.NoError(t, os.WriteFile(filepath.Join(root, "README.md"), []byte(before+tableBegins+got.String()+tableEnds+after), 0o600))
		return
	}
	require.Equal(t, got.String(), have)
}

// Everything in values.yaml is something that the schema knows, and the other way round.
func TestValuesAndSchemaNameTheSame(t *testing.T) {
	root := filepath.Join(repository(t), "charts", "onepx")
	var all map[string]any
	require.NoError(t, yaml.UnmarshalStrict([]byte(read(t, root, "values.yaml")), &all))
	schema := decodeValues(t, read(t, root, "values.schema.json"))
	delete(dig(schema, "properties"), "global") // Helm's own
	same(t, "", all, schema, dig(schema, "$defs"))
}

// same compares the keys of a value with the properties of its schema, at every depth where the schema is a closed one.
func same(t *testing.T, path string, value, schema, definitions map[string]any) {
	t.Helper()
	if name, ok := strings.CutPrefix(fmt.Sprint(schema["$ref"]), "#/$defs/"); ok && schema["properties"] == nil {
		schema = dig(definitions, name)
	}
	properties := dig(schema, "properties")
	if strings.HasSuffix(path, ".settings") || schema["additionalProperties"] != false {
		return
	}
	if strings.Contains(path, ".users.") && !strings.HasSuffix(path, ".default") || strings.HasSuffix(path, "requests") || strings.HasSuffix(path, "limits") {
		return // what is left out there is that of `default`, or not limited
	}
	for name := range properties {
		require.Contains(t, value, name, "%s: the schema has it, values.yaml lacks it", path)
	}
	for name := range value {
		require.Contains(t, properties, name, "%s: values.yaml has it, the schema lacks it", path)
		if below, ok := value[name].(map[string]any); ok {
			same(t, path+"."+name, below, dig(properties, name), definitions)
		}
	}
}
