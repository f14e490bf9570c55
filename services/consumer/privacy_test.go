package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestWhomARequestCannotBeAbout(t *testing.T) {
	visitors := func(n int) string {
		var lines strings.Builder
		for range n {
			lines.WriteString("visitor " + uuid.NewString() + "\n")
		}
		return lines.String()
	}
	for name, test := range map[string]struct{ list, want string }{
		"nobody":                      {"\n\n", "there are 0 ids"},
		"the id of all who have none": {"user 00000000-0000-0000-0000-000000000000", "an id of zeros is nobody's"},
		"a list that is far too long": {visitors(200_000), "there are 10001 ids; allowed are 1 to 10000"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list")
			require.NoError(t, os.WriteFile(path, []byte(test.list), 0o600))
			_, err := (&peopleSettings{From: path}).people()
			require.ErrorContains(t, err, test.want)
		})
	}
}
