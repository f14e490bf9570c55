//go:build integration

package golden_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

// dashboard is what is asked by a dashboard's file.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ RawSQL string }
	}
	Templating struct {
		List []struct {
			Name  string
			Query json.RawMessage
		}
	}
}

func marketers(t *testing.T) (d dashboard) {
	t.Helper()
	root, err := pipeline.Root()
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(root, "charts", "onepx", "dashboards", "marketers.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &d))
	return d
}

// askDashboards asks what the marketers' dashboard asks, filled in as Grafana and its plugin do. Each question has rows for an answer.
func askDashboards(t *testing.T, w *world) {
	d := marketers(t)
	for _, v := range d.Templating.List {
		var query struct{ RawSQL string }
		if json.Unmarshal(v.Query, &query) != nil {
			continue // a list of words, or of data sources
		}
		w.asks(t, "variable "+v.Name, query.RawSQL)
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			w.asks(t, p.Title, target.RawSQL)
		}
	}
}

func (w *world) asks(t *testing.T, name, sql string) {
	t.Run("dashboard: "+name, func(t *testing.T) {
		t.Parallel()
		site, days := siteID, ranges[1]
		switch {
		case strings.Contains(sql, "onepx.email_") || strings.Contains(sql, "onepx.link_"):
			site, days = mailSite, answers.Range{From: "2026-05-01", To: "2026-12-01"}
		case strings.Contains(sql, "onepx.audience_") || strings.Contains(sql, "onepx.active_"):
			site = audienceSite
		}
		sql = strings.NewReplacer("$__fromTime", instant(t, days.From), "$__toTime", instant(t, days.To), "${site:sqlstring}", "'"+site+"'",
			"${segment:sqlstring}", "'"+segments[0].rule.ID+"'", "${model:sqlstring}", "'linear'").Replace(sql)
		require.NotContains(t, sql, "$")
		rows := 0
		require.NoError(t, w.clickHouse.Query(t.Context(), sql, func(json.RawMessage) error {
			rows++
			return nil
		}), sql)
		require.NotZero(t, rows, sql)
	})
}

// instant is the noon of a day in UTC as the plugin writes the ends of the range.
func instant(t *testing.T, day answers.Day) string {
	t.Helper()
	at, err := time.Parse(time.DateOnly, string(day))
	require.NoError(t, err)
	return fmt.Sprintf("toDateTime(%d)", at.Add(12*time.Hour).Unix())
}
