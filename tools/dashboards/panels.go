package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// source is the data source that the reader of a dashboard chooses: the variable `datasource`.
type source string

const (
	ofPrometheus source = "prometheus"
	ofClickHouse source = "grafana-clickhouse-datasource"
)

func (s source) ref() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr(string(s)), Uid: cog.ToPtr("${datasource}")}
}

func (s source) variable(label string) *dashboard.DatasourceVariableBuilder {
	return dashboard.NewDatasourceVariableBuilder("datasource").Label(label).Type(string(s))
}

// builder makes a dashboard of the classic form, which every Grafana reads from a file; the newer one needs a Grafana that has it.
type builder = dashboard.DashboardBuilder //nolint:staticcheck // see above

func newDashboard(title string) *builder {
	return dashboard.NewDashboardBuilder(title).Tags([]string{"onepx"}) //nolint:staticcheck // see builder
}

// row is a heading and its panels, a third of the width each unless they say otherwise.
type row struct {
	title  string
	panels []panel
}

type panel struct {
	title, about string
	// unit is one of Grafana's: s, bytes, ops (operations a second), percentunit (0 to 1); empty for plain numbers.
	unit string
	// limit is where the colour changes to red; nil for none. See over and under.
	limit *limit
	// asTable shows rows instead of curves.
	asTable bool
	// width is of 24; 0 stands for 8.
	width   uint32
	queries []variants.Dataquery
}

// limit colours what an alert fires on.
type limit struct {
	alert string
	value float64
	// base is the colour below value, beyond that from it on.
	base, beyond string
}

// smallest is for alerts on anything above 0: Grafana colours a value that equals a threshold.
const smallest = 1e-6

// over turns red from the value on.
func over(alert string, value float64) *limit {
	return &limit{alert: alert, value: value, base: "green", beyond: "red"}
}

// under turns red below the value.
func under(alert string, value float64) *limit {
	return &limit{alert: alert, value: value, base: "red", beyond: "green"}
}

func (l *limit) thresholds() *dashboard.ThresholdsConfigBuilder {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps([]dashboard.Threshold{
		{Color: l.base}, {Value: &l.value, Color: l.beyond},
	})
}

// metric is a question to Prometheus. The legend may use labels as {{label}}.
func metric(expr, legend string) variants.Dataquery {
	q := prometheus.NewDataquery()
	q.Expr, q.LegendFormat, q.Range = expr, &legend, cog.ToPtr(true)
	return *q
}

// The plugin's formats of an answer.
const (
	formatCurves = 0
	formatTable  = 1
)

// view is a question to ClickHouse.
func view(format int, sql string) variants.Dataquery {
	return variants.UnknownDataquery{"editorType": "sql", "format": format, "rawSql": sql}
}

// add appends the rows to the dashboard. Panels have numbers in their order, from 1.
func add(d *builder, from source, rows []row) *builder {
	id := uint32(0)
	for _, r := range rows {
		id++
		d = d.WithRow(dashboard.NewRowBuilder(r.title).Id(id))
		for _, p := range r.panels {
			id++
			if p.width == 0 {
				p.width = 8
			}
			d = d.WithPanel(p.builder(from, id))
		}
	}
	return d
}

func (p panel) builder(from source, id uint32) cog.Builder[dashboard.Panel] {
	about := p.about
	if p.limit != nil {
		about += " Alert " + p.limit.alert + "."
	}
	var targets []cog.Builder[variants.Dataquery]
	for i, q := range p.queries {
		targets = append(targets, target{q, from, string(rune('A' + i))})
	}
	if p.asTable {
		return table.NewPanelBuilder().Id(id).Title(p.title).Description(about).Datasource(from.ref()).Span(p.width).Height(8).
			Filterable(true).Targets(targets)
	}
	b := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(about).Datasource(from.ref()).Span(p.width).Height(8).
		Unit(p.unit).FillOpacity(10).ShowPoints(common.VisibilityModeAuto).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Targets(targets)
	if p.limit != nil {
		b = b.Thresholds(p.limit.thresholds()).
			ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	return b
}

// target is a query with what it needs on a panel.
type target struct {
	query variants.Dataquery
	from  source
	refID string
}

func (t target) Build() (variants.Dataquery, error) {
	ref := t.from.ref()
	switch q := t.query.(type) {
	case prometheus.Dataquery:
		q.Datasource, q.RefId = &ref, &t.refID
		return q, nil
	case variants.UnknownDataquery:
		q["datasource"], q["refId"] = ref, t.refID
		return q, nil
	}
	return t.query, nil
}
