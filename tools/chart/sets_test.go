package chart_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestEachWayOfUseRendersWhatItDid(t *testing.T) {
	for name, values := range sets(t) {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(documents(t, values), "\n---\n") + "\n"
			golden := filepath.Join("testdata", "golden", name+".yaml")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			require.Equal(t, read(t, golden), got)
		})
	}
}
