package docs_test

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark/ast"
)

// stages are the folders an event passes through, in order. The contract and its codec are one stage.
var stages = [][]string{
	{"services/collector/"},
	{"services/shared/", "proto/"},
	{"services/consumer/"},
	{"tools/"},
}

func TestLifeOfAnEventListsExistingFilesInTheOrderAnEventMeetsThem(t *testing.T) {
	root := repository(t)
	readme := parse(read(t, root, "README.md"))
	steps := orderedItems(readme.section("Life of an event"))
	require.NotEmpty(t, steps, "README.md: an ordered list under Life of an event")

	at := -1
	visited := make(map[int]bool)
	for number, step := range steps {
		links := readme.links(step)
		require.NotEmpty(t, links, "step %d links to no file", number+1)
		for _, link := range links {
			_, err := os.Stat(filepath.Join(root, link))
			require.NoError(t, err, "step %d", number+1)
		}
		stage := stageOf(links[0])
		require.GreaterOrEqual(t, stage, 0, "step %d: %s is in no folder that an event passes through", number+1, links[0])
		require.GreaterOrEqual(t, stage, at, "step %d: %s goes back", number+1, links[0])
		at = stage
		visited[stage] = true
	}
	require.Len(t, visited, len(stages), "the list leaves out a stage")
}

func orderedItems(nodes []ast.Node) []ast.Node {
	var items []ast.Node
	for _, node := range nodes {
		if list, ok := node.(*ast.List); ok && list.IsOrdered() {
			for item := list.FirstChild(); item != nil; item = item.NextSibling() {
				items = append(items, item)
			}
		}
	}
	return items
}

func stageOf(link string) int {
	for i, folders := range stages {
		for _, folder := range folders {
			if strings.HasPrefix(path.Clean(link)+"/", folder) {
				return i
			}
		}
	}
	return -1
}
