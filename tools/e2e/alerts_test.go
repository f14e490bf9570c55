package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

func TestTheDrillReadsWhatTheRulesAsk(t *testing.T) {
	root, err := pipeline.Root()
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(root, "charts", "onepx", "rules", "onepx.yaml"))
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	require.NoError(t, yaml.Unmarshal(content, &file))
	rules := map[string]string{}
	for _, r := range file.Groups[0].Rules {
		rules[r.Alert] = r.Expr
	}
	for _, s := range symptoms() {
		for _, asked := range s.asks {
			require.Contains(t, rules[s.alert], asked.String(), s.alert)
		}
	}
}

func readText(t *testing.T, text string) reading {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	return read(families)
}

// exposed is a metric as a process exposes it.
func exposed(name, kind string, samples ...string) string {
	return "# TYPE " + name + " " + kind + "\n" + strings.Join(samples, "\n") + "\n"
}

func TestSymptoms(t *testing.T) {
	events := func(outcome, n string) string {
		return exposed("onepx_collector_events_total", "counter", `onepx_collector_events_total{outcome="`+outcome+`",reason="x"} `+n)
	}
	failures := func(n string) string {
		return exposed("onepx_consumer_storing_failures_total", "counter", "onepx_consumer_storing_failures_total "+n)
	}
	rows := func(outcome, n string) string {
		return exposed("onepx_consumer_rows_total", "counter", `onepx_consumer_rows_total{outcome="`+outcome+`"} `+n)
	}
	spool := func(events, age string) string {
		return exposed("onepx_collector_spool_events", "gauge", "onepx_collector_spool_events "+events) +
			exposed("onepx_collector_spool_oldest_age_seconds", "gauge", "onepx_collector_spool_oldest_age_seconds "+age)
	}
	batches := func(young, all string) string {
		const name = "onepx_consumer_event_age_seconds"
		return exposed(name, "histogram", name+`_bucket{le="10.0"} `+young, name+`_bucket{le="+Inf"} `+all, name+"_count "+all)
	}
	for name, c := range map[string]struct {
		symptom     symptom
		before, now string
		want        bool
	}{
		"a collector loses more":                    {kafkaIsAway, events("lost", "3"), events("lost", "4"), true},
		"what was lost before counts no more":       {kafkaIsAway, events("lost", "3"), events("lost", "3"), false},
		"events that are stored are not lost":       {kafkaIsAway, "", events("stored", "7"), false},
		"storing fails":                             {clickHouseIsAway, failures("0"), failures("1"), true},
		"a process without the metric says nothing": {clickHouseIsAway, "", "", false},
		"events have waited for long":               {spoolGrows, spool("0", "0"), spool("5", "2.5"), true},
		"events have waited for a moment":           {spoolGrows, spool("0", "0"), spool("5", "1.5"), false},
		"a spool that becomes smaller":              {spoolGrows, spool("9", "9"), spool("5", "9"), false},
		"two of ten batches are old":                {rowsAreLate, batches("100", "100"), batches("108", "110"), true},
		"one of ten batches is old":                 {rowsAreLate, batches("100", "110"), batches("109", "120"), false},
		"no batch is stored":                        {rowsAreLate, batches("1", "9"), batches("1", "9"), false},
		"a dead letter":                             {deadLetters, rows("dead", "0"), rows("dead", "1"), true},
		"a row of an event":                         {deadLetters, "", rows("event", "1"), false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, c.symptom.raised(readText(t, c.before), readText(t, c.now)))
		})
	}
}

func TestTheReportOfTheDrillSaysWhatWasNotSeen(t *testing.T) {
	d := drill{raised: []string{deadLetters.fault, kafkaIsAway.fault}}
	require.Equal(t, "kafka_away=raised clickhouse_away=silent lag=silent spool=silent dead_letters=raised", d.String())
}
