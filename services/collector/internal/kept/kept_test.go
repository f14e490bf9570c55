package kept_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/kept"
)

// TestTheTableIsThatOfTheContract compares fields, and whether they are personal data, with the comments of event.proto.
func TestTheTableIsThatOfTheContract(t *testing.T) {
	text, err := os.ReadFile("../../../../proto/onepx/v1/event.proto")
	require.NoError(t, err)
	got := map[string]string{}
	for _, row := range kept.Table {
		for _, field := range row.Fields {
			require.NotContains(t, got, field)
			got[field] = row.Personal
		}
	}
	want := fieldsOf(string(text))
	require.NotEmpty(t, want)
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	require.Equal(t, want, got)
}

type field struct{ name, kind, comment string }

var (
	messageLine = regexp.MustCompile(`^message (\w+) \{`)
	fieldLine   = regexp.MustCompile(`^  (?:optional |repeated )?([\w.<>, ]+) (\w+) = \d+;`)
)

// fieldsOf are the fields of Event that are no messages, with the names of the messages that they are in, and what the
// comments say of each: its own, else that of its message.
func fieldsOf(proto string) map[string]string {
	messages, about := map[string][]field{}, map[string]string{}
	comment, message := "", ""
	for line := range strings.Lines(proto) {
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(text, "// ---"): // a heading
		case strings.HasPrefix(text, "//"):
			comment += " " + strings.TrimSpace(strings.TrimPrefix(text, "//"))
			continue
		case messageLine.MatchString(line):
			message = messageLine.FindStringSubmatch(line)[1]
			about[message] = comment
		case line == "}\n":
			message = ""
		case message != "" && fieldLine.MatchString(line):
			parts := fieldLine.FindStringSubmatch(line)
			messages[message] = append(messages[message], field{parts[2], parts[1], comment})
		}
		comment = ""
	}
	all := map[string]string{}
	var walk func(message, prefix string)
	walk = func(message, prefix string) {
		for _, f := range messages[message] {
			if _, nested := messages[f.kind]; nested {
				walk(f.kind, prefix+f.name+".")
				continue
			}
			all[prefix+f.name] = personal(f.comment, about[message])
		}
	}
	walk("Event", "")
	return all
}

func personal(comments ...string) string {
	for _, comment := range comments {
		switch lower := strings.ToLower(comment); {
		case strings.Contains(lower, "not personal"):
			return kept.NotPersonal
		case strings.Contains(lower, "may be personal"):
			return kept.MayBe
		case strings.Contains(lower, "personal"):
			return kept.Personal
		}
	}
	return kept.NotPersonal
}
