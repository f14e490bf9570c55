// Package refdocs writes the reference pages of docs/ that a service makes from its code. The hidden command `docs` of each
// service calls it; `make docs` runs them.
package refdocs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// notice is the first line of a page, by the ending of its name.
var notice = map[string]string{
	".md":   "<!-- %s -->\n",
	".yaml": "# %s\n",
}

// Write writes each page to its file in the folder, below a line that says which command has written it.
func Write(dir, command string, pages map[string]func(page *bytes.Buffer) error) error {
	for name, write := range pages {
		page := bytes.NewBufferString(fmt.Sprintf(notice[filepath.Ext(name)], "Written by `"+command+"` from the code. DO NOT EDIT: change the code and run make docs."))
		if err := write(page); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), page.Bytes(), 0o644); err != nil { //nolint:gosec // for everybody to read
			return err
		}
	}
	return nil
}
