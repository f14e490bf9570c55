package main

import "time"

// campaign is a source of visits, as reports name it; the zero one is a direct visit.
type campaign struct{ source, medium, name string }

func (c campaign) String() string {
	if c == direct {
		return "direct"
	}
	return c.source + "/" + c.medium + "/" + c.name
}

var (
	newsletter = campaign{"news", "email", "autumn-26"}
	search     = campaign{"google", "cpc", "brand"}
	social     = campaign{"facebook", "cpc", "retarget"}
	banner     = campaign{"adnet", "cpm", "autumn-26"}
	direct     = campaign{}
)

// models are those of docs/questions.md; the figures of a campaign are in this order.
var models = [...]string{"first", "last", "last_non_direct", "linear", "position", "time_decay"}

// credit is a campaign's share of conversions and of revenue, both in millionths.
type credit struct{ conversions, revenue int64 }

// journey is what some people do, each in the same way.
type journey struct {
	// name tells it to readers, and its people's visitor ids.
	name   string
	people int
	// machine is true when it is no person who does it.
	machine bool
	// touches are in order.
	touches []touch
	// value is what each of them orders for, bought how long ago the first of them does; the others do an hour earlier each.
	// refund, if not empty, is paid back a day after. Both are amounts in euros.
	value, refund string
	bought        time.Duration
	// credits are what each of them must bring to each campaign, by model. They were computed by hand.
	credits map[campaign][len(models)]credit
}

// touch is a visit's landing page, or an ad that is shown (event impression).
type touch struct {
	event    string
	campaign campaign
	// before is how long before the order it is, less the ten minutes that ordering takes.
	before time.Duration
}

// one is a whole in millionths: a conversion, or a euro.
const one = 1_000_000

var none = credit{}

// trueConversions and trueBookings are the sums: 24 + 10 + 8 + 6 people; 24 · 60 + 10 · 40 + 8 · 100 + 6 · 20 euros sold,
// of which 8 · 25 were refunded. By every model all campaigns together have these conversions, and the net.
const trueConversions = 48 * one

var trueBookings = bookings{Sales: 2760 * one, Refunds: 200 * one, Net: 2560 * one, Machines: 1}

// journeys are the people, and the machine, whose truth is known. Time decay halves a touch's weight every 7 days, so what
// counts is how far the touches of a path are apart: 56 hours are a third of 7 days, 84 a half.
var journeys = []journey{
	{
		name: "newsletter, search ad, direct", people: 24, value: "60", bought: time.Hour,
		touches: []touch{{"page_view", newsletter, 112 * time.Hour}, {"page_view", search, 56 * time.Hour}, {"page_view", direct, 0}},
		credits: map[campaign][len(models)]credit{
			// linear: a third of 60 each; the millionth that remains of the conversion goes to the earliest. position: 40, 20 and
			// 40 %. time_decay: 1, ∛2 and ∛4 parts of their sum, 3.847322: 25.992105 %, 32.748000 % and 41.259895 %.
			newsletter: {{one, 60 * one}, none, none, {333_334, 20 * one}, {400_000, 24 * one}, {259_921, 15_595_263}},
			search:     {none, none, {one, 60 * one}, {333_333, 20 * one}, {200_000, 12 * one}, {327_480, 19_648_800}},
			direct:     {none, {one, 60 * one}, none, {333_333, 20 * one}, {400_000, 24 * one}, {412_599, 24_755_937}},
		},
	},
	{
		// Where there is no click, the ad that was shown has all of it: a direct visit beside it counts for nothing.
		name: "banner seen, direct", people: 10, value: "40", bought: 3 * time.Hour,
		touches: []touch{{"impression", banner, 5 * time.Hour}, {"page_view", direct, 0}},
		credits: map[campaign][len(models)]credit{
			banner: {{one, 40 * one}, {one, 40 * one}, {one, 40 * one}, {one, 40 * one}, {one, 40 * one}, {one, 40 * one}},
		},
	},
	{
		name: "search ad, social ad", people: 8, value: "100", refund: "25", bought: 30 * time.Hour,
		touches: []touch{{"page_view", search, 84 * time.Hour}, {"page_view", social, 0}},
		credits: map[campaign][len(models)]credit{
			// Shared is the net, 75. time_decay: 1 and √2 parts of their sum, 2.414214: 41.421356 % and 58.578644 %.
			search: {{one, 75 * one}, none, none, {500_000, 37_500_000}, {500_000, 37_500_000}, {414_214, 31_066_017}},
			social: {none, {one, 75 * one}, {one, 75 * one}, {500_000, 37_500_000}, {500_000, 37_500_000}, {585_786, 43_933_983}},
		},
	},
	{
		name: "direct", people: 6, value: "20", bought: 50 * time.Hour,
		touches: []touch{{"page_view", direct, 0}},
		credits: map[campaign][len(models)]credit{
			direct: {{one, 20 * one}, {one, 20 * one}, {one, 20 * one}, {one, 20 * one}, {one, 20 * one}, {one, 20 * one}},
		},
	},
	{
		name: "newsletter", people: 1, machine: true, value: "500", bought: 2 * time.Hour,
		touches: []touch{{"page_view", newsletter, 0}},
	},
}
