package enrich_test

import (
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
)

func TestUTMParametersDecideTheChannel(t *testing.T) {
	for name, test := range map[string]struct {
		source, medium, campaign string
		channel                  string
	}{
		"a cross-network campaign wins over all":             {"google", "cpc", "My Cross-Network", enrich.ChannelCrossNetwork},
		"paid shopping by its source":                        {"ebay", "cpc", "", enrich.ChannelPaidShopping},
		"coffeeshop is a shopping campaign":                  {"unknown", "cpc", "coffeeshop", enrich.ChannelPaidShopping},
		"eshop is a shopping campaign":                       {"unknown", "cpc", "eshop", enrich.ChannelPaidShopping},
		"my-shop is a shopping campaign":                     {"unknown", "cpc", "my-shop", enrich.ChannelPaidShopping},
		"Shopping is a shopping campaign in any case":        {"unknown", "cpc", "Summer Shopping", enrich.ChannelPaidShopping},
		"workshop is no shopping campaign":                   {"unknown", "cpc", "workshop-2026", enrich.ChannelPaidOther},
		"photoshop is no shopping campaign":                  {"unknown", "cpc", "photoshop", enrich.ChannelPaidOther},
		"paid search":                                        {"google", "cpc", "", enrich.ChannelPaidSearch},
		"upper case is the same":                             {"GOOGLE", "CPC", "", enrich.ChannelPaidSearch},
		"spaces around a value don't matter":                 {" google ", " cpc ", "", enrich.ChannelPaidSearch},
		"a source can be a host":                             {"www.google.de", "ppc", "", enrich.ChannelPaidSearch},
		"adwords says itself that it is paid":                {"adwords", "", "", enrich.ChannelPaidSearch},
		"paid social":                                        {"facebook", "paid_social", "", enrich.ChannelPaidSocial},
		"fb is Facebook":                                     {"fb", "paidsocial", "", enrich.ChannelPaidSocial},
		"cpm at Facebook is paid social":                     {"facebook", "cpm", "", enrich.ChannelPaidSocial},
		"cpm elsewhere is display":                           {"unknown", "cpm", "", enrich.ChannelDisplay},
		"paid video":                                         {"youtube", "cpv-cpc", "", enrich.ChannelPaidVideo},
		"a banner is display":                                {"unknown", "banner", "", enrich.ChannelDisplay},
		"display at a search engine is display":              {"google", "display", "", enrich.ChannelDisplay},
		"rcpt contains cp and so is paid":                    {"unknown", "rcpt", "", enrich.ChannelPaidOther},
		"organic_cp contains cp and so is paid":              {"unknown", "organic_cp", "", enrich.ChannelPaidOther},
		"retargeting is paid":                                {"unknown", "retargeting", "", enrich.ChannelPaidOther},
		"remarketing is not paid":                            {"unknown", "remarketing", "", enrich.ChannelReferral},
		"ppc2 is not paid":                                   {"unknown", "ppc2", "", enrich.ChannelReferral},
		"organic shopping by its source":                     {"idealo", "", "", enrich.ChannelOrganicShopping},
		"organic shopping by its campaign":                   {"partner", "link", "e-shop", enrich.ChannelOrganicShopping},
		"organic social by its source":                       {"instagram", "", "", enrich.ChannelOrganicSocial},
		"organic social by its medium":                       {"unknown", "social-media", "", enrich.ChannelOrganicSocial},
		"organic video by its medium":                        {"unknown", "my-video", "", enrich.ChannelOrganicVideo},
		"an AI assistant":                                    {"chatgpt.com", "", "", enrich.ChannelAIAssistants},
		"organic search by its source":                       {"bing", "", "", enrich.ChannelOrganicSearch},
		"organic search by its medium":                       {"unknown", "organic", "", enrich.ChannelOrganicSearch},
		"e-mail by its medium":                               {"crm", "e-mail", "", enrich.ChannelEmail},
		"e-mail by its source":                               {"newsletter-march", "", "", enrich.ChannelEmail},
		"a host with email in its name is no e-mail":         {"email-tips.example", "link", "", enrich.ChannelReferral},
		"an affiliate":                                       {"awin", "affiliate", "", enrich.ChannelAffiliates},
		"audio":                                              {"podcast", "audio", "", enrich.ChannelAudio},
		"SMS by its source":                                  {"sms", "", "", enrich.ChannelSMS},
		"SMS by its medium":                                  {"crm", "sms", "", enrich.ChannelSMS},
		"a push notification by the end of its medium":       {"app", "web_push", "", enrich.ChannelMobilePush},
		"a push notification by its source":                  {"firebase", "", "", enrich.ChannelMobilePush},
		"a mobile medium is a push notification":             {"app", "mobile-x", "", enrich.ChannelMobilePush},
		"referral by its medium":                             {"", "referral", "", enrich.ChannelReferral},
		"a source that no rule knows is a referral":          {"partner", "qr", "", enrich.ChannelReferral},
		"a medium that no rule knows is unassigned":          {"", "qr", "", enrich.ChannelUnassigned},
		"a campaign without source and medium is unassigned": {"", "", "spring", enrich.ChannelUnassigned},
		"nothing is direct":                                  {"", "", "", enrich.ChannelDirect},
	} {
		t.Run(name, func(t *testing.T) {
			got := facts(t, hit(chromeOnWindows, utm(test.source, test.medium, test.campaign)))
			require.Equal(t, test.channel, got.Channel)
		})
	}
}

func TestTheArrivalIsFromUTMThenTheClickThenTheReferrer(t *testing.T) {
	const inShop = "https://shop.example/p/42"
	type want struct{ channel, source, medium, campaign string }
	for name, test := range map[string]struct {
		options []func(*onepxv1.Event)
		want    want
	}{
		"a search engine is organic": {
			with(page(inShop, "https://www.google.co.uk/search?q=x")), want{enrich.ChannelOrganicSearch, "google", "organic", ""}},
		"a page at Google is no search": {
			with(page(inShop, "https://docs.google.com/document/1")), want{enrich.ChannelReferral, "docs.google.com", "referral", ""}},
		"a private suffix is not its owner's name": {
			with(page(inShop, "https://google.github.io/")), want{enrich.ChannelReferral, "google.github.io", "referral", ""}},
		"an address book entry below a network is the network": {
			with(page(inShop, "https://lm.facebook.com/l.php?u=x")), want{enrich.ChannelOrganicSocial, "facebook", "social", ""}},
		"web mail is e-mail": {
			with(page(inShop, "https://mail.yahoo.com/d/folders")), want{enrich.ChannelEmail, "yahoo mail", "email", ""}},
		"a video platform": {
			with(page(inShop, "https://youtu.be/x")), want{enrich.ChannelOrganicVideo, "youtube", "video", ""}},
		"an AI assistant": {
			with(page(inShop, "https://gemini.google.com/app")), want{enrich.ChannelAIAssistants, "gemini", "referral", ""}},
		"an unknown host is a referral": {
			with(page(inShop, "https://WWW.Blog.example:8443/post")), want{enrich.ChannelReferral, "blog.example", "referral", ""}},
		"the own host is no source": {
			with(page(inShop, "https://shop.example/")), want{enrich.ChannelDirect, "", "", ""}},
		"a sister of the own host is no source": {
			with(page("https://www.shop.co.uk/", "https://pay.shop.co.uk/done")), want{enrich.ChannelDirect, "", "", ""}},
		"shops of one platform are strangers": {
			with(page("https://a.github.io/", "https://b.github.io/")), want{enrich.ChannelReferral, "b.github.io", "referral", ""}},
		"addresses are no relatives": {
			with(page("http://10.0.3.4/", "http://10.1.3.4/")), want{enrich.ChannelReferral, "10.1.3.4", "referral", ""}},
		"the own host with utm parameters is a source": {
			with(page(inShop, "https://shop.example/"), utm("newsletter", "email", "Spring")), want{enrich.ChannelEmail, "newsletter", "email", "Spring"}},
		"utm parameters win over click id and referrer": {
			with(page(inShop, "https://l.facebook.com/"), clicked("fbclid", "facebook"), utm("newsletter", "email", "Spring")),
			want{enrich.ChannelEmail, "newsletter", "email", "Spring"}},
		"gclid alone is paid search": {
			with(clicked("gclid", "google")), want{enrich.ChannelPaidSearch, "google", "cpc", ""}},
		"gclid with Google as the source is paid whatever the medium": {
			with(clicked("gclid", "google"), utm("google", "organic", "")), want{enrich.ChannelPaidSearch, "google", "organic", ""}},
		"gclid gives the medium that utm leaves out": {
			with(clicked("wbraid", "google"), utm("google", "", "brand")), want{enrich.ChannelPaidSearch, "google", "cpc", "brand"}},
		"gclid does not make a newsletter paid": {
			with(clicked("gclid", "google"), utm("newsletter", "", "")), want{enrich.ChannelEmail, "newsletter", "", ""}},
		"utm campaign alone goes with the click": {
			with(clicked("msclkid", "microsoft"), utm("", "", "brand")), want{enrich.ChannelPaidSearch, "bing", "cpc", "brand"}},
		"dclid is display": {
			with(clicked("dclid", "google")), want{enrich.ChannelDisplay, "google", "display", ""}},
		"fbclid alone is not paid": {
			with(clicked("fbclid", "facebook")), want{enrich.ChannelOrganicSocial, "facebook", "social", ""}},
		"fbclid from Instagram is Instagram": {
			with(page(inShop, "https://l.instagram.com/"), clicked("fbclid", "facebook")), want{enrich.ChannelOrganicSocial, "instagram", "social", ""}},
		"fbclid in a search result is Facebook": {
			with(page(inShop, "https://www.google.com/"), clicked("fbclid", "facebook")), want{enrich.ChannelOrganicSocial, "facebook", "social", ""}},
		"a click id's parameter in any case": {
			with(clicked("ScCid", "snapchat")), want{enrich.ChannelPaidSocial, "snapchat", "cpc", ""}},
		"a mail service's parameter is e-mail": {
			with(clicked("mc_eid", "mailchimp")), want{enrich.ChannelEmail, "mailchimp", "email", ""}},
		"an affiliate network's parameter is an affiliate": {
			with(clicked("irclickid", "impact")), want{enrich.ChannelAffiliates, "impact", "affiliate", ""}},
		"of an unknown parameter the network is the source": {
			with(clicked("newclid", "Newnet")), want{enrich.ChannelReferral, "newnet", "", ""}},
		"utm_id stands in for the campaign": {
			with(utm("google", "cpc", ""), func(event *onepxv1.Event) { event.Marketing.UtmId = "c-1" }), want{enrich.ChannelPaidSearch, "google", "cpc", "c-1"}},
		"an open mail comes from its campaign": {
			with(kind(onepxv1.EventKind_EVENT_KIND_EMAIL_OPEN), mail("May")), want{enrich.ChannelEmail, "email", "email", "May"}},
		"a click in a mail keeps its utm parameters": {
			with(kind(onepxv1.EventKind_EVENT_KIND_EMAIL_CLICK), mail("May"), utm("crm", "email", "june")), want{enrich.ChannelEmail, "crm", "email", "june"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := facts(t, hit(chromeOnWindows, test.options...))
			require.Equal(t, test.want, want{got.Channel, got.Source, got.Medium, got.Campaign})
		})
	}
}

func with(options ...func(*onepxv1.Event)) []func(*onepxv1.Event) { return options }

func mail(campaign string) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) { event.Mail = &onepxv1.Mail{CampaignId: campaign} }
}

func TestEveryHostOfTheListsIsItsSource(t *testing.T) {
	rows := 0
	for _, list := range []string{"search", "social", "video", "shopping", "ai", "mail"} {
		text, err := os.ReadFile("lists/" + list + ".yaml")
		require.NoError(t, err)
		var entries []struct {
			Source             string
			Hosts, Only, Names []string
		}
		require.NoError(t, yaml.Unmarshal(text, &entries))
		for _, entry := range entries {
			rows++
			for _, host := range entry.Hosts {
				host = strings.Replace(host, "*", "co.uk", 1)
				require.Equal(t, entry.Source, facts(t, hit("", page("", "https://"+host+"/"))).Source, host)
				require.Equal(t, entry.Source, facts(t, hit("", page("", "https://below."+host+"/"))).Source, host)
			}
			for _, host := range entry.Only {
				host = strings.Replace(host, "*", "de", 1)
				require.Equal(t, entry.Source, facts(t, hit("", page("", "https://"+host+"/"))).Source, host)
			}
			for _, name := range append(entry.Names, entry.Source) {
				require.Equal(t, entry.Source, facts(t, hit("", utm(name, "", ""))).Source, name)
			}
		}
	}
	require.Greater(t, rows, 150)
}
