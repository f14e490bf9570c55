package suppression_test

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/suppression"
)

// TestEntriesOfEveryReleaseHold: what a release wrote into the topic stays there for ever, and every later one must obey it. Lines
// of old releases stay.
func TestEntriesOfEveryReleaseHold(t *testing.T) {
	for _, entry := range []struct {
		key, value string
		kind       suppression.Kind
		lifted     bool
	}{
		{"visitor:annaannaannaanna", "1", suppression.Visitor, false},
		{"user:annaannaannaanna", "1", suppression.User, false},
		{"recipient:annaannaannaanna", "1", suppression.Recipient, false},
		{"profiling:annaannaannaanna", "1", suppression.Profiling, false},
		{"erased-visitor:annaannaannaanna", "until=1795608000123", suppression.Visitor, false},
		{"visitor:annaannaannaanna", "", suppression.Visitor, true},
	} {
		list := suppression.New()
		list.Apply(kafka.Message{Key: []byte(entry.key), Value: []byte(entry.value)})
		require.Equal(t, !entry.lifted, list.Contains(entry.kind, anna, now), "%s %s", entry.key, entry.value)
	}
	// And older releases must obey what this one writes.
	require.Equal(t, "visitor:annaannaannaanna", string(suppression.Key(suppression.Visitor, anna)))
	require.Equal(t, "erased-visitor:annaannaannaanna", string(suppression.Key(suppression.Visitor.Erased(), anna)))
	require.Equal(t, "1", string(suppression.Always))
	require.Equal(t, "until=1795608000123", string(suppression.Until(now)))
}
