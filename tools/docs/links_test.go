package docs_test

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryRelativeLinkInMarkdownLeadsToAFileAndAHeading(t *testing.T) {
	root := repository(t)
	checked := 0
	for _, name := range files(t, root) {
		if path.Ext(name) != ".md" || strings.Contains(name, "testdata/") {
			continue
		}
		p := parse(read(t, root, name))
		for _, link := range p.links(p.root) {
			if problem := broken(t, root, name, link); problem != "" {
				assert.Fail(t, problem, "%s links to %s", name, link)
			}
			checked++
		}
	}
	require.NotZero(t, checked)
}

// broken says what is wrong with a link on the page called name, or nothing. Links to other hosts are not followed.
func broken(t *testing.T, root, name, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	target := name
	if u.Path != "" {
		target = path.Join(path.Dir(name), u.Path)
	}
	info, err := os.Stat(filepath.Join(root, target))
	switch {
	case strings.HasPrefix(u.Path, "/") || strings.HasPrefix(target, "../"):
		return "leaves the repository"
	case err != nil:
		return "no such file"
	case u.Fragment == "":
		return ""
	case info.IsDir() || path.Ext(target) != ".md":
		return "only Markdown has headings"
	case !parse(read(t, root, target)).anchors()[u.Fragment]:
		return "no such heading"
	}
	return ""
}

func TestBrokenLinksAreFound(t *testing.T) {
	root := repository(t)
	for _, tc := range []struct{ name, page, link, want string }{
		{"a file beside the page", "docs/CONTRIBUTING.md", "CHANGELOG.md", ""},
		{"a folder above the page", "docs/CONTRIBUTING.md", "../services/", ""},
		{"another host", "README.md", "https://example.com/nothing", ""},
		{"a heading on the same page", "README.md", "#life-of-an-event", ""},
		{"a heading elsewhere", "docs/CONTRIBUTING.md", "../README.md#life-of-an-event", ""},
		{"a file that is gone", "README.md", "docs/gone.md", "no such file"},
		{"a heading that is gone", "README.md", "#gone", "no such heading"},
		{"a line in code", "README.md", "Makefile#L1", "only Markdown has headings"},
		{"above the root", "README.md", "../elsewhere.md", "leaves the repository"},
		{"the root of a web server", "README.md", "/README.md", "leaves the repository"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, broken(t, root, tc.page, tc.link))
		})
	}
}

func TestHeadingsGetTheAnchorsThatGitHubGives(t *testing.T) {
	p := parse([]byte("# Life of an event\n## `p.gif`: the 1x1 image\n## Twice\n## Twice\n"))
	require.Equal(t, map[string]bool{"life-of-an-event": true, "pgif-the-1x1-image": true, "twice": true, "twice-1": true}, p.anchors())
}
