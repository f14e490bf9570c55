package golden_test

import "github.com/onepx/onepx/tools/internal/answers"

// landing is a way to come to the shop, with the answer that the rules of channels give: Google's default channel group,
// first rule first (support.google.com/analytics/answer/9756891).
type landing struct {
	utm             map[string]string
	clickParam      string // its value is made
	referrer        string
	source, channel string
	medium          string
	campaign        string
}

func utm(source, medium, campaign string) map[string]string {
	return map[string]string{"source": source, "medium": medium, "campaign": campaign}
}

var landings = []landing{
	{utm: utm("Google", "cpc", "Autumn-26"), clickParam: "gclid", channel: "Paid Search", source: "google", medium: "cpc", campaign: "Autumn-26"},
	{utm: utm("google", "CPC", "Autumn-26"), channel: "Paid Search", source: "google", medium: "cpc", campaign: "Autumn-26"},
	{clickParam: "gclid", referrer: "https://www.google.com/", channel: "Paid Search", source: "google", medium: "cpc"},
	{utm: utm("bing", "cpc", "workshop"), channel: "Paid Search", source: "bing", medium: "cpc", campaign: "workshop"},
	{utm: utm("google", "cpc", "my-shop sale"), channel: "Paid Shopping", source: "google", medium: "cpc", campaign: "my-shop sale"},
	{utm: utm("google", "cpc", "Cross-Network autumn"), channel: "Cross-network", source: "google", medium: "cpc", campaign: "Cross-Network autumn"},
	{utm: utm("facebook", "paid_social", "Retarget"), clickParam: "fbclid", channel: "Paid Social", source: "facebook", medium: "paid_social", campaign: "Retarget"},
	{clickParam: "fbclid", channel: "Organic Social", source: "facebook", medium: "social"}, // Facebook adds it to every link
	{utm: utm("instagram", "social", "reel"), channel: "Organic Social", source: "instagram", medium: "social", campaign: "reel"},
	{utm: utm("youtube", "cpv-cpc", "pre-roll"), channel: "Paid Video", source: "youtube", medium: "cpv-cpc", campaign: "pre-roll"},
	{utm: utm("adnet", "cpm", "autumn-26"), channel: "Display", source: "adnet", medium: "cpm", campaign: "autumn-26"},
	{utm: utm("adnet", "banner", "autumn-26"), channel: "Display", source: "adnet", medium: "banner", campaign: "autumn-26"},
	{utm: utm("criteo", "retargeting", "cart"), channel: "Paid Other", source: "criteo", medium: "retargeting", campaign: "cart"},
	{utm: utm("news-oct", "email", "October News"), channel: "Email", source: "news-oct", medium: "email", campaign: "October News"},
	{utm: utm("news-nov", "email", "November News"), channel: "Email", source: "news-nov", medium: "email", campaign: "November News"},
	{utm: utm("partner-9", "affiliate", "deal"), channel: "Affiliates", source: "partner-9", medium: "affiliate", campaign: "deal"},
	{utm: utm("teatalk", "audio", "episode 7"), channel: "Audio", source: "teatalk", medium: "audio", campaign: "episode 7"},
	{utm: utm("sms", "sms", "reminder"), channel: "SMS", source: "sms", medium: "sms", campaign: "reminder"},
	{utm: utm("firebase", "web-push", "reminder"), channel: "Mobile Push Notifications", source: "firebase", medium: "web-push", campaign: "reminder"},
	{referrer: "https://www.google.com/", channel: "Organic Search", source: "google", medium: "organic"},
	{referrer: "https://duckduckgo.com/", channel: "Organic Search", source: "duckduckgo", medium: "organic"},
	{referrer: "https://blog.example.org/best-teas?page=2", channel: "Referral", source: "blog.example.org", medium: "referral"},
	{referrer: "https://www.tea-friends.net/", channel: "Referral", source: "tea-friends.net", medium: "referral"},
	{channel: "Direct"}, {channel: "Direct"}, {channel: "Direct"}, {channel: "Direct"}, {channel: "Direct"}, {channel: "Direct"},
}

// come makes an event one that arrives this way. n tells click ids apart.
func (l landing) come(n string) func(*answers.Event) {
	return func(e *answers.Event) {
		e.UTM, e.Referrer = l.utm, l.referrer
		if l.clickParam != "" {
			e.ClickParam, e.ClickID = l.clickParam, "Click-"+n
		}
		e.Origin = answers.Origin{Channel: l.channel, Source: l.source, Medium: l.medium, Campaign: l.campaign}
	}
}

// ad is an impression: what is shown on another site.
type ad struct{ campaign, content, creative, placement string }

var ads = []ad{
	{"autumn-26", "red", "", "top"}, {"autumn-26", "", "video-1", "side"}, {"autumn-26", "red", "ignored", "side"}, {"winter", "blue", "", ""},
}

func (a ad) shown(e *answers.Event) {
	e.UTM = map[string]string{"source": "adnet", "medium": "cpm", "campaign": a.campaign}
	if a.content != "" {
		e.UTM["content"] = a.content
	}
	e.Props = map[string]string{}
	if a.creative != "" {
		e.Props["creative"] = a.creative
	}
	if a.placement != "" {
		e.Props["placement"] = a.placement
	}
	e.Origin = answers.Origin{Channel: "Display", Source: "adnet", Medium: "cpm", Campaign: a.campaign}
	e.URL = "https://magazine.example/"
}
