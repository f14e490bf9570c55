package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheStatusTellsPeopleAtAGlance(t *testing.T) {
	c, _ := start(t, nil)
	require.Regexp(t, `(?s)^service +onepx collector\nversion +dev, go.*\nready +ok\nkafka +ok\non the way +0 events\nspool +none\nsuppressions +ok\nonepx\.yaml +[0-9a-f]{16}\n$`, get(c.admin+"/status").body)
}
