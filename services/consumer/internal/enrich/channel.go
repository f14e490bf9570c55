package enrich

import (
	"regexp"
	"slices"
	"strings"
)

// The channels, in the order of their rules. They are the default channel group of Google Analytics 4
// (support.google.com/analytics/answer/9756891) with AI assistants added.
const (
	ChannelCrossNetwork    = "Cross-network"
	ChannelPaidShopping    = "Paid Shopping"
	ChannelPaidSearch      = "Paid Search"
	ChannelPaidSocial      = "Paid Social"
	ChannelPaidVideo       = "Paid Video"
	ChannelDisplay         = "Display"
	ChannelPaidOther       = "Paid Other"
	ChannelOrganicShopping = "Organic Shopping"
	ChannelOrganicSocial   = "Organic Social"
	ChannelOrganicVideo    = "Organic Video"
	ChannelAIAssistants    = "AI Assistants"
	ChannelOrganicSearch   = "Organic Search"
	ChannelEmail           = "Email"
	ChannelAffiliates      = "Affiliates"
	ChannelAudio           = "Audio"
	ChannelSMS             = "SMS"
	ChannelMobilePush      = "Mobile Push Notifications"
	ChannelReferral        = "Referral"
	// ChannelUnassigned has a medium or a campaign that no rule knows, and no source.
	ChannelUnassigned = "Unassigned"
	ChannelDirect     = "Direct"
)

// Channels are all words of Facts.Channel.
var Channels = []string{
	ChannelCrossNetwork, ChannelPaidShopping, ChannelPaidSearch, ChannelPaidSocial, ChannelPaidVideo, ChannelDisplay,
	ChannelPaidOther, ChannelOrganicShopping, ChannelOrganicSocial, ChannelOrganicVideo, ChannelAIAssistants,
	ChannelOrganicSearch, ChannelEmail, ChannelAffiliates, ChannelAudio, ChannelSMS, ChannelMobilePush, ChannelReferral,
	ChannelUnassigned, ChannelDirect,
}

// Media that name their channel.
var (
	displayMedia  = []string{"display", "banner", "expandable", "interstitial", "cpm"}
	socialMedia   = []string{"social", "social-network", "social-media", "sm", "social network", "social media"}
	referralMedia = []string{"referral", "app", "link"}
	emailMedia    = []string{"email", "e-mail", "e_mail", "e mail", "newsletter"}
)

// shoppingCampaign knows my-shop, eshop and coffeeshop, but not workshop and photoshop: Google's rule.
var shoppingCampaign = regexp.MustCompile(`([^a-df-z]|^)shop|shopping`)

// channel applies the rules in their order; the first that fits decides.
func (a arrival) channel() string {
	campaign := strings.ToLower(a.campaign)
	if strings.Contains(campaign, "cross-network") {
		return ChannelCrossNetwork
	}
	shopping := a.source.category == categoryShopping || strings.Contains(campaign, "shop") && shoppingCampaign.MatchString(campaign)
	if a.paid || paidMedium(a.medium) {
		return a.paidChannel(shopping)
	}
	if slices.Contains(displayMedia, a.medium) {
		return ChannelDisplay
	}
	return a.unpaidChannel(shopping)
}

// paidMedium is Google's ^(.*cp.*|ppc|retargeting|paid.*)$.
func paidMedium(medium string) bool {
	return strings.Contains(medium, "cp") || medium == "ppc" || medium == "retargeting" || strings.HasPrefix(medium, "paid")
}

func (a arrival) paidChannel(shopping bool) string {
	switch {
	case shopping:
		return ChannelPaidShopping
	case a.source.category == categorySearch:
		return ChannelPaidSearch
	case a.source.category == categorySocial:
		return ChannelPaidSocial
	case a.source.category == categoryVideo:
		return ChannelPaidVideo
	case slices.Contains(displayMedia, a.medium):
		return ChannelDisplay
	}
	return ChannelPaidOther
}

func (a arrival) unpaidChannel(shopping bool) string {
	switch category, medium, name := a.source.category, a.medium, a.source.name; {
	case shopping:
		return ChannelOrganicShopping
	case category == categorySocial || slices.Contains(socialMedia, medium):
		return ChannelOrganicSocial
	case category == categoryVideo || strings.Contains(medium, "video"):
		return ChannelOrganicVideo
	case category == categoryAI:
		return ChannelAIAssistants
	case category == categorySearch || medium == mediumOrganic:
		return ChannelOrganicSearch
	case category == categoryMail || saysEmail(name) || saysEmail(medium):
		return ChannelEmail
	case medium == "affiliate":
		return ChannelAffiliates
	case medium == "audio":
		return ChannelAudio
	case name == "sms" || medium == "sms":
		return ChannelSMS
	case strings.HasSuffix(medium, "push") || strings.Contains(medium, "mobile") || strings.Contains(medium, "notification") || name == "firebase":
		return ChannelMobilePush
	case name != "" || slices.Contains(referralMedia, medium):
		return ChannelReferral
	case medium != "" || a.campaign != "":
		return ChannelUnassigned
	}
	return ChannelDirect
}

// saysEmail knows newsletter-march, but not the host email-tips.example.
func saysEmail(text string) bool {
	says := func(word string) bool { return strings.Contains(text, word) }
	return !strings.Contains(text, ".") && slices.ContainsFunc(emailMedia, says)
}
