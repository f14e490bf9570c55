package siteconfig_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

var update = flag.Bool("update", false, "rewrite the .err files under testdata/bad")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGoodFilesLoad(t *testing.T) {
	for _, path := range files(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			cfg, err := siteconfig.Load(path)
			require.NoError(t, err)
			for i := range cfg.Sites {
				site, ok := cfg.Site(cfg.Sites[i].ID)
				require.True(t, ok)
				require.Same(t, &cfg.Sites[i], site)
			}
			_, ok := cfg.Site("nobody")
			require.False(t, ok)
		})
	}
}

func TestBadFilesAreRefusedWithPlaceAndAdvice(t *testing.T) {
	for _, path := range files(t, "bad") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			cfg, err := siteconfig.Parse("onepx.yaml", data)
			require.Error(t, err)
			require.Nil(t, cfg)
			golden := strings.TrimSuffix(path, ".yaml") + ".err"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644))
			}
			want, readErr := os.ReadFile(golden)
			require.NoError(t, readErr)
			require.Equal(t, string(want), err.Error()+"\n")
		})
	}
}

func TestEverySettingIsRead(t *testing.T) {
	cfg, err := siteconfig.Load("testdata/good/full.yaml")
	require.NoError(t, err)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	regions := map[string]siteconfig.Privacy{
		"GB": siteconfig.PrivacyOptIn, "FR-IDF": siteconfig.PrivacyAudience, "US-CA": siteconfig.PrivacyMeasure, "CH": siteconfig.PrivacyCookieless,
	}
	for country := range strings.FieldsSeq("AX GF GP MF MQ RE YT AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK") {
		regions[country] = siteconfig.PrivacyOptIn
	}
	require.Equal(t, []siteconfig.Site{{
		ID:             "shop",
		Timezone:       berlin,
		Currency:       "EUR",
		AllowedOrigins: []string{"https://shop.example.com", "https://*.example.com", "http://127.0.0.1:8080"},
		CookieDomain:   "example.com",
		Privacy:        siteconfig.PrivacyOptOut,
		Regions:        regions,
		WithoutConsent: siteconfig.WithoutConsentCount,
		TCF:            siteconfig.TCF{Vendor: 755, Measure: []int{7, 8}, Profile: []int{3, 4, 6}, Share: []int{2}, ACProvider: 101},
		Minimise:       siteconfig.Minimise{IP: siteconfig.IPShort, OriginOnly: true, ReducedAgent: true}, PartitionedCookie: true,
		RetentionDays: 730,
		WriteKeys:     []siteconfig.KeyHash{siteconfig.HashKey("key")},
		APIKeys: []siteconfig.APIKey{
			{Name: "ads", Hash: siteconfig.HashKey("ads"), Rights: []siteconfig.Right{siteconfig.RightAudiences}, RateLimit: 2000},
			{Name: "dpo", Hash: siteconfig.HashKey("dpo"), Rights: []siteconfig.Right{siteconfig.RightPrivacy, siteconfig.RightExports, siteconfig.RightReports}, RateLimit: siteconfig.DefaultKeyRateLimit},
		},
		RateLimit: 200,
		Paths:     siteconfig.Paths{Tag: "/assets/a.js", Events: "/assets/b", Pixel: "/assets/c.gif"},
		Goals: []siteconfig.Goal{purchase, {
			ID: "pro_signup", Event: "signup", URL: `^https://shop\.example\.com/(de|en)/thanks`, Props: map[string]string{"plan": "pro", "p.1": "true"},
			OncePer: siteconfig.OncePerSession, Value: siteconfig.ValueFixed, ValueMicros: 9_900_000, Currency: "CHF", ClickWindowDays: 90, ViewWindowDays: 90,
		}},
		Webhooks: []siteconfig.Webhook{
			{URL: "https://crm.example.com:8443/hooks/onepx?team=a", SecretEnv: "CRM_WEBHOOK_SECRET", Events: []siteconfig.WebhookEvent{siteconfig.WebhookAudiences}},
			{URL: "http://localhost:9000", SecretEnv: "X", Events: []siteconfig.WebhookEvent{siteconfig.WebhookAudiences}},
		},
		MailProviders: siteconfig.MailProviders{
			SESTopics:    []string{"arn:aws:sns:eu-west-1:123456789012:mail", "arn:aws-cn:sns:cn-north-1:123456789012:mail-2"},
			SendGridKeys: cfg.Sites[0].MailProviders.SendGridKeys, MailgunSecretEnvs: []string{"SHOP_MAILGUN_KEY"},
			PostmarkCredentials: []siteconfig.KeyHash{siteconfig.HashKey("onepx:key")},
		},
	}, {
		ID:             "mail_2",
		Timezone:       time.UTC,
		Currency:       "USD",
		Privacy:        siteconfig.PrivacyCookieless,
		WithoutConsent: siteconfig.WithoutConsentAnonymous,
		TCF:            siteconfig.TCF{Measure: []int{8}, Profile: []int{3, 4}, Share: []int{2, 3, 4}},
		Minimise:       siteconfig.Minimise{IP: siteconfig.IPLong},
		RetentionDays:  siteconfig.DefaultRetentionDays,
		Goals:          []siteconfig.Goal{purchase},
	}}, cfg.Sites)
	providers := &cfg.Sites[0].MailProviders
	require.Len(t, providers.SendGridKeys, 1)
	require.True(t, providers.AcceptsPostmark("onepx", "key"))
	require.False(t, providers.AcceptsPostmark("onepx", "kex"))
	require.False(t, cfg.Sites[1].MailProviders.AcceptsPostmark("", ""))
}

func TestTheModeIsThatOfTheSmallestPlace(t *testing.T) {
	cfg, err := siteconfig.Load("testdata/good/full.yaml")
	require.NoError(t, err)
	for place, want := range map[[2]string]siteconfig.Privacy{
		{"FR", "IDF"}: siteconfig.PrivacyAudience,
		{"FR", "BRE"}: siteconfig.PrivacyOptIn,
		{"FR", ""}:    siteconfig.PrivacyOptIn,
		{"US", "CA"}:  siteconfig.PrivacyMeasure,
		{"US", "TX"}:  siteconfig.PrivacyOptOut,
		{"", ""}:      siteconfig.PrivacyOptOut,
	} {
		require.Equal(t, want, cfg.Sites[0].PrivacyIn(place[0], place[1]), place)
	}
	require.Equal(t, siteconfig.PrivacyCookieless, cfg.Sites[1].PrivacyIn("FR", "IDF"), "a site without regions")
}

// purchase is the goal of a site that says nothing about goals.
var purchase = siteconfig.Goal{
	ID: "purchase", Event: "purchase", OncePer: siteconfig.OncePerOrder, Value: siteconfig.ValueEvent, ClickWindowDays: 30, ViewWindowDays: 1,
}

func TestGoalsHaveDefaults(t *testing.T) {
	cfg, err := siteconfig.Load("testdata/good/goals.yaml")
	require.NoError(t, err)
	goal := func(change func(*siteconfig.Goal)) siteconfig.Goal {
		g := siteconfig.Goal{ID: "g", OncePer: siteconfig.OncePerOrder, Value: siteconfig.ValueEvent, ClickWindowDays: 30, ViewWindowDays: 1}
		change(&g)
		return g
	}
	fixed := func(micros int64, currency string) func(*siteconfig.Goal) {
		return func(g *siteconfig.Goal) {
			g.Event, g.Value, g.ValueMicros, g.Currency = "lead", siteconfig.ValueFixed, micros, currency
		}
	}
	want := map[string][]siteconfig.Goal{
		"absent":       {purchase},
		"none":         nil,
		"by_event":     {goal(func(g *siteconfig.Goal) { g.Event = "lead" })},
		"by_url":       {goal(func(g *siteconfig.Goal) { g.URL = "/thanks" })},
		"by_props":     {goal(func(g *siteconfig.Goal) { g.Props = map[string]string{"plan": "pro"} })},
		"no_value":     {goal(func(g *siteconfig.Goal) { g.Event, g.Value = "lead", siteconfig.ValueNone })},
		"fixed":        {goal(fixed(12_500_000, "JPY"))},
		"fixed_other":  {goal(fixed(0, "USD"))},
		"largest":      {goal(fixed(999_999_999_999_999_999, "EUR"))},
		"short_window": {goal(func(g *siteconfig.Goal) { g.Event, g.ClickWindowDays = "lead", 1 })},
	}
	require.Len(t, cfg.Sites, len(want))
	for _, site := range cfg.Sites {
		require.Equal(t, want[site.ID], site.Goals, site.ID)
	}
}

func TestASiteHasAtMost100Goals(t *testing.T) {
	file := func(n int) string {
		text := "sites: [{id: a, timezone: UTC, currency: EUR, goals: ["
		for i := range n {
			text += fmt.Sprintf("{id: g%d, event: lead},", i)
		}
		return text + "]}]"
	}
	cfg, err := siteconfig.Parse("f", []byte(file(siteconfig.MaxGoals)))
	require.NoError(t, err)
	require.Len(t, cfg.Sites[0].Goals, siteconfig.MaxGoals)
	_, err = siteconfig.Parse("f", []byte(file(siteconfig.MaxGoals+1)))
	require.EqualError(t, err, "f:1:54: sites[0].goals: has 101 goals; at most 100 are allowed")
}

func TestOriginsAndDomainsAreKeptAsBrowsersWriteThem(t *testing.T) {
	cfg, err := siteconfig.Load("testdata/good/canonical_origins.yaml")
	require.NoError(t, err)
	require.Equal(t, "xn--bcher-kva.example", cfg.Sites[0].CookieDomain)
	require.Equal(t, []string{
		"https://shop.example.com", "http://*.xn--bcher-kva.example", "http://[::1]:3000",
		"http://localhost", "http://*.localhost:8080",
	}, cfg.Sites[0].AllowedOrigins)
}

func TestAllowsOrigin(t *testing.T) {
	site := siteconfig.Site{AllowedOrigins: []string{"https://shop.example", "https://*.example.com", "http://*.localhost:8080"}}
	for origin, allowed := range map[string]bool{
		"https://shop.example":       true,
		"https://shop.example:8443":  false,
		"http://shop.example":        false,
		"https://a.shop.example":     false,
		"https://a.example.com":      true,
		"https://a.b.example.com":    true,
		"https://example.com":        false,
		"https://.example.com":       false,
		"https://badexample.com":     false,
		"https://a.example.com.bad":  false,
		"https://bad/.example.com":   false,
		"https://bad:1.example.com":  false,
		"http://shop.localhost:8080": true,
		"http://shop.localhost":      false,
		"null":                       false,
		"":                           false,
	} {
		require.Equal(t, allowed, site.AllowsOrigin(origin), origin)
	}
}

func TestAcceptsKey(t *testing.T) {
	site := siteconfig.Site{WriteKeys: []siteconfig.KeyHash{siteconfig.HashKey("old"), siteconfig.HashKey("new")}}
	require.True(t, site.AcceptsKey("old"))
	require.True(t, site.AcceptsKey("new"))
	require.False(t, site.AcceptsKey("other"))
	require.False(t, site.AcceptsKey(""))
	require.False(t, (&siteconfig.Site{}).AcceptsKey(""))
}

func TestAnAPIKeyTellsItsSiteAndItsRights(t *testing.T) {
	cfg, err := siteconfig.Load("testdata/good/full.yaml")
	require.NoError(t, err)
	site, key := cfg.APIKey("ads")
	require.Equal(t, "shop", site.ID)
	require.True(t, key.Has(siteconfig.RightAudiences))
	require.False(t, key.Has(siteconfig.RightPrivacy))
	for _, other := range []string{"", "key", "ADS", "ads "} {
		site, key = cfg.APIKey(other)
		require.Nil(t, site, other)
		require.Nil(t, key, other)
	}
}

func TestHashIsWrittenAsTheFileHasIt(t *testing.T) {
	require.Equal(t, "sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683", siteconfig.HashKey("key").String())
}

func TestKeysNeverShowInErrors(t *testing.T) {
	for _, name := range []string{"write_keys", "api_keys"} {
		_, err := siteconfig.Load("testdata/bad/" + name + ".yaml")
		require.Error(t, err)
		require.NotContains(t, err.Error(), "the-key-itself")
	}
}

func TestFileThatIsTooBigIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(path, make([]byte, siteconfig.MaxFileSize+1), 0o600))
	_, err := siteconfig.Load(path)
	require.EqualError(t, err, path+":1:1: the file is larger than 8 MiB")
}

func TestFileThatIsNotThereIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onepx.yaml")
	_, err := siteconfig.Load(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, path)
	_, err = siteconfig.Load(filepath.Dir(path))
	require.ErrorContains(t, err, "is a directory")
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return paths
}
