package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/audiences"
	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/exports"
	"github.com/onepx/onepx/services/consumer/internal/privacy"
	"github.com/onepx/onepx/services/consumer/internal/unsubscribes"
	"github.com/onepx/onepx/services/consumer/internal/webhooks"
)

func TestThePagesAreThoseOfTheCode(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, (&docsCmd{Dir: dir}).Run())
	for _, name := range []string{"configuration-consumer.md", "metrics-consumer.md", "mail-rules.md"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "run make docs")
	}
}

func TestEveryInstrumentIsOnThePageOfMetrics(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics-consumer.md"))
	require.NoError(t, err)
	instruments := reflect.TypeFor[consume.Metrics]().NumField() + reflect.TypeFor[privacy.Metrics]().NumField() + reflect.TypeFor[exports.Metrics]().NumField() +
		reflect.TypeFor[audiences.Metrics]().NumField() + reflect.TypeFor[unsubscribes.Metrics]().NumField() + reflect.TypeFor[webhooks.Metrics]().NumField()
	require.Equal(t, instruments, strings.Count(string(page), "| `onepx_consumer_"))
}
