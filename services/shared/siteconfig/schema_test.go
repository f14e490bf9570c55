package siteconfig_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

// beyondSchema are the bad files whose fault lies in the YAML, not in the values, or
// in what values mean together: a schema can't see it.
var beyondSchema = []string{
	"alias", "alias_bomb", "bad_syntax", "complex_key", "directive", "double_api_key", "double_goal_id", "double_id", "double_key", "double_partner", "double_path", "double_webhook", "double_write_key", "latin_1",
	"goal_patterns", "goal_props_twice", "goal_windows", "merge_key", "nested_brackets", "nested_dashes", "second_document",
	"segment_contradictions", "segment_never", "segment_patterns", "segment_precision", "segment_size", "tab", "tag", "utf_16",
}

func TestSchemaAcceptsGoodFiles(t *testing.T) {
	schema := compileSchema(t)
	for _, path := range files(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			require.NoError(t, schema.Validate(value(t, path)))
		})
	}
}

func TestSchemaRefusesBadFilesWhereASchemaCan(t *testing.T) {
	schema := compileSchema(t)
	for _, path := range files(t, "bad") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if slices.Contains(beyondSchema, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			require.Error(t, schema.Validate(value(t, path)))
		})
	}
}

func TestSchemaAndParserKnowTheSameKeysAndBounds(t *testing.T) {
	type object struct {
		Required   []string
		Enum       []string
		Properties map[string]struct {
			Enum             []string
			Default          any
			Minimum, Maximum int
			MaxItems         int
			MaxProperties    int
			Items            struct{ Enum []siteconfig.Right }
		}
	}
	var schema struct {
		object
		Defs struct {
			Site, Goal, Partner, TCF, Minimise, Mode, APIKey, Webhook, MailProviders, Segment, Condition, Band object
			Props                                                                                              struct{ MaxProperties int }
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(siteconfig.Schema, &schema))

	site, goal := schema.Defs.Site, schema.Defs.Goal
	for yamlText, want := range map[string]object{
		"x: 1": schema.object, "sites: [{x: 1}]": site,
		"sites: [{id: a, timezone: UTC, currency: EUR, goals: [{x: 1}]}]":                             goal,
		"sites: [{id: a, timezone: UTC, currency: EUR, segments: [{x: 1}]}]":                          schema.Defs.Segment,
		"sites: [{id: a, timezone: UTC, currency: EUR, segments: [{id: a, enter: {x: 1}}]}]":          schema.Defs.Condition,
		"sites: [{id: a, timezone: UTC, currency: EUR, segments: [{id: a, enter: {price: {x: 1}}}]}]": schema.Defs.Band,
		"sites: [{id: a, timezone: UTC, currency: EUR, consent: {tcf: {x: 1}}}]":                      schema.Defs.TCF,
		"sites: [{id: a, timezone: UTC, currency: EUR, minimise: {x: 1}}]":                            schema.Defs.Minimise,
		"sites: [{id: a, timezone: UTC, currency: EUR, api_keys: [{x: 1}]}]":                          schema.Defs.APIKey,
		"sites: [{id: a, timezone: UTC, currency: EUR, sync_partners: [{x: 1}]}]":                     schema.Defs.Partner,
		"sites: [{id: a, timezone: UTC, currency: EUR, webhooks: [{x: 1}]}]":                          schema.Defs.Webhook,
		"sites: [{id: a, timezone: UTC, currency: EUR, mail_providers: {x: 1}}]":                      schema.Defs.MailProviders,
	} {
		_, err := siteconfig.Parse("f", []byte(yamlText))
		known, required := keysIn(t, err)
		require.ElementsMatch(t, slices.Collect(maps.Keys(want.Properties)), known)
		require.ElementsMatch(t, want.Required, required)
	}
	var modes []string
	for _, mode := range siteconfig.Modes {
		modes = append(modes, string(mode))
	}
	require.Equal(t, modes, schema.Defs.Mode.Enum)
	require.EqualValues(t, siteconfig.PrivacyMeasure, site.Properties["privacy"].Default)
	days := site.Properties["retention_days"]
	rate := site.Properties["rate_limit"]
	require.Equal(t, []int{siteconfig.MinRateLimit, siteconfig.MaxRateLimit}, []int{rate.Minimum, rate.Maximum})
	keyRate := schema.Defs.APIKey.Properties["rate_limit"]
	require.Equal(t, []int{siteconfig.MinRateLimit, siteconfig.MaxRateLimit}, []int{keyRate.Minimum, keyRate.Maximum})
	require.EqualValues(t, siteconfig.DefaultKeyRateLimit, keyRate.Default)
	require.Equal(t, siteconfig.Rights, schema.Defs.APIKey.Properties["rights"].Items.Enum)
	require.Equal(t, siteconfig.MinRetentionDays, days.Minimum)
	require.Equal(t, siteconfig.MaxRetentionDays, days.Maximum)
	require.EqualValues(t, siteconfig.DefaultRetentionDays, days.Default)
	require.Equal(t, siteconfig.MaxWebhooks, site.Properties["webhooks"].MaxItems)
	for name, list := range schema.Defs.MailProviders.Properties {
		require.Equal(t, siteconfig.MaxMailCredentials, list.MaxItems, name)
	}
	require.Equal(t, siteconfig.MaxGoals, site.Properties["goals"].MaxItems)
	segment := schema.Defs.Segment.Properties
	require.Equal(t, siteconfig.MaxSegments, site.Properties["segments"].MaxItems)
	require.Equal(t, siteconfig.MaxProducts, schema.Defs.Condition.Properties["product"].MaxItems)
	require.EqualValues(t, siteconfig.MaxHoldout/10, segment["holdout"].Maximum)
	require.EqualValues(t, siteconfig.DefaultLives.String(), segment["lives"].Default)
	require.Equal(t, siteconfig.MaxGoalProps, schema.Defs.Props.MaxProperties)
	require.Equal(t, siteconfig.MaxPartners, site.Properties["sync_partners"].MaxItems)
	require.Equal(t, siteconfig.MaxRedirects, schema.Defs.Partner.Properties["redirects"].MaxItems)
	require.Equal(t, siteconfig.MaxVendor, schema.Defs.Partner.Properties["tcf_vendor"].Maximum)
	for name, want := range map[string]int{"click_window_days": siteconfig.DefaultClickWindowDays, "view_window_days": siteconfig.DefaultViewWindowDays} {
		window := goal.Properties[name]
		require.Equal(t, []int{siteconfig.MinWindowDays, siteconfig.MaxWindowDays}, []int{window.Minimum, window.Maximum})
		require.EqualValues(t, want, window.Default)
	}
	tcf := schema.Defs.TCF.Properties
	require.Equal(t, []int{siteconfig.MinVendor, siteconfig.MaxVendor}, []int{tcf["vendor"].Minimum, tcf["vendor"].Maximum})
	require.Equal(t, []int{siteconfig.MinProvider, siteconfig.MaxProvider}, []int{tcf["ac_provider"].Minimum, tcf["ac_provider"].Maximum})
	for name, want := range map[string][]any{"measure": {8.0}, "profile": {3.0, 4.0}, "share": {2.0, 3.0, 4.0}} {
		require.Equal(t, want, tcf[name].Default)
	}
	require.Equal(t, []string{"long", "short", "none"}, schema.Defs.Minimise.Properties["ip"].Enum)
	require.Equal(t, []string{"order", "event", "session", "hit"}, goal.Properties["once_per"].Enum)
	require.EqualValues(t, siteconfig.OncePerOrder, goal.Properties["once_per"].Default)
	require.EqualValues(t, siteconfig.ValueEvent, goal.Properties["value"].Default)
}

// keysIn returns the keys that the parser's answer to an unknown key lists, and
// those it misses.
func keysIn(t *testing.T, err error) (known, missing []string) {
	t.Helper()
	require.Error(t, err)
	for _, line := range strings.Split(err.Error(), "\n") {
		if _, list, ok := strings.Cut(line, "the keys are "); ok {
			known = strings.Split(list, ", ")
		}
		if path, ok := strings.CutSuffix(line, ": is missing"); ok {
			missing = append(missing, path[strings.LastIndexAny(path, " .")+1:])
		}
	}
	return known, missing
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(siteconfig.Schema))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	require.NoError(t, compiler.AddResource("onepx.schema.json", doc))
	schema, err := compiler.Compile("onepx.schema.json")
	require.NoError(t, err)
	return schema
}

// value reads a YAML file as an editor would: without the parser under test.
func value(t *testing.T, path string) any {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var v any
	require.NoError(t, yaml.Unmarshal(bytes.TrimPrefix(data, []byte("\uFEFF")), &v))
	return v
}
