package answers

import "strings"

// CampaignRow is one of campaign_revenue.
type CampaignRow struct {
	Goal        string `key:"goal"`
	Currency    string `key:"currency"`
	RateMissing bool   `key:"rate_missing"`
	Channel     string `key:"channel"`
	Source      string `key:"source"`
	Medium      string `key:"medium"`
	Campaign    string `key:"campaign"`
	Conversions Amount `col:"conversions"`
	Revenue     Amount `col:"revenue"`
	Clicks      int    `col:"clicks"`
	Views       int    `col:"views"`
	Machines    int    `col:"machine_hits"`
}

// campaignKey tells the rows of campaign_revenue apart.
type campaignKey struct {
	goal, currency string
	rateMissing    bool
	origin         Origin
}

func (c credit) key() campaignKey {
	k := campaignKey{goal: c.goal.ID, currency: c.currency, rateMissing: c.rateMissing, origin: Origin{Channel: "Direct"}}
	if c.kind != "direct" {
		k.origin = c.fact.Origin
	}
	return k
}

// CampaignRevenue answers: which campaigns bring revenue?
func (a *Answers) CampaignRevenue(r Range, model, goal string) []CampaignRow {
	rows := map[campaignKey]*CampaignRow{}
	for _, g := range a.goals(goal) {
		machines := a.machineHits(g, r)
		for _, c := range a.credits(a.inRange(g, r), model) {
			k := c.key()
			row := rows[k]
			if row == nil {
				row = &CampaignRow{
					Goal: g.ID, Currency: k.currency, RateMissing: k.rateMissing, Channel: k.origin.Channel, Source: k.origin.Source,
					Medium: k.origin.Medium, Campaign: k.origin.Campaign, Conversions: zero(), Revenue: zero(), Machines: machines,
				}
				rows[k] = row
			}
			row.Conversions, row.Revenue = plus(row.Conversions, c.conversions), plus(row.Revenue, c.revenue)
			switch c.kind {
			case "click":
				row.Clicks++
			case "view":
				row.Views++
			}
		}
	}
	return values(rows)
}

func values[K comparable, V any](rows map[K]*V) []V {
	all := make([]V, 0, len(rows))
	for _, row := range rows {
		all = append(all, *row)
	}
	return all
}

// ComparisonRow is one of model_comparison: revenue and conversions by model.
type ComparisonRow struct {
	Goal        string            `key:"goal"`
	Currency    string            `key:"currency"`
	RateMissing bool              `key:"rate_missing"`
	Channel     string            `key:"channel"`
	Source      string            `key:"source"`
	Medium      string            `key:"medium"`
	Campaign    string            `key:"campaign"`
	Revenue     map[string]Amount `cols:""`
	Conversions map[string]Amount `cols:"conversions_"`
	Machines    int               `col:"machine_hits"`
}

// ModelComparison answers: how do the models differ?
func (a *Answers) ModelComparison(r Range, goal string) []ComparisonRow {
	rows := map[campaignKey]*ComparisonRow{}
	for _, model := range Models {
		for _, one := range a.CampaignRevenue(r, model, goal) {
			k := campaignKey{one.Goal, one.Currency, one.RateMissing, Origin{one.Channel, one.Source, one.Medium, one.Campaign}}
			if rows[k] == nil {
				rows[k] = newComparison(one)
			}
			rows[k].Revenue[model], rows[k].Conversions[model] = one.Revenue, one.Conversions
		}
	}
	return values(rows)
}

func newComparison(one CampaignRow) *ComparisonRow {
	row := &ComparisonRow{
		Goal: one.Goal, Currency: one.Currency, RateMissing: one.RateMissing, Channel: one.Channel, Source: one.Source, Medium: one.Medium,
		Campaign: one.Campaign, Revenue: map[string]Amount{}, Conversions: map[string]Amount{}, Machines: one.Machines,
	}
	for _, model := range Models {
		row.Revenue[model], row.Conversions[model] = zero(), zero()
	}
	return row
}

// Share is a quotient, nil without a divisor. It is compared with a tolerance.
type Share = *float64

func share64(part, whole int) Share {
	if whole == 0 {
		return nil
	}
	q := float64(part) / float64(whole)
	return &q
}

func quotient(part, whole Amount) Share {
	if whole.Sign() == 0 {
		return nil
	}
	p, _ := part.Float64()
	w, _ := whole.Float64()
	p /= w
	return &p
}

// RoasRow is one of roas.
type RoasRow struct {
	Goal              string `key:"goal"`
	Source            string `key:"source"`
	Medium            string `key:"medium"`
	Campaign          string `key:"campaign"`
	Conversions       Amount `col:"conversions"`
	Revenue           Amount `col:"revenue"`
	Cost              Amount `col:"cost"`
	Roas              Share  `col:"roas"`
	CostPerConversion Share  `col:"cost_per_conversion"`
	RateMissing       bool   `col:"rate_missing"`
	Machines          int    `col:"machine_hits"`
}

type roasKey struct{ goal, source, medium, campaign string }

// Roas answers: what does a campaign bring for its cost?
func (a *Answers) Roas(r Range, model, goal string) []RoasRow {
	rows := map[roasKey]*RoasRow{}
	row := func(goal, source, medium, campaign string) *RoasRow {
		k := roasKey{goal, strings.ToLower(source), strings.ToLower(medium), strings.ToLower(campaign)}
		if rows[k] == nil {
			rows[k] = &RoasRow{Goal: goal, Source: k.source, Medium: k.medium, Campaign: k.campaign, Conversions: zero(), Revenue: zero(), Cost: zero()}
		}
		return rows[k]
	}
	for _, one := range a.CampaignRevenue(r, model, goal) {
		to := row(one.Goal, one.Source, one.Medium, one.Campaign)
		to.Conversions = plus(to.Conversions, one.Conversions)
		if one.RateMissing {
			to.RateMissing = true
		} else {
			to.Revenue = plus(to.Revenue, one.Revenue)
		}
	}
	for _, cost := range a.site.Costs {
		if !r.has(cost.Day) {
			continue
		}
		amount := a.site.convert(ParseAmount(cost.Amount), cost.Currency, cost.Day)
		for _, g := range a.goals(goal) {
			to := row(g.ID, cost.Source, cost.Medium, cost.Campaign)
			if amount == nil {
				to.RateMissing = true
			} else {
				to.Cost = plus(to.Cost, amount)
			}
		}
	}
	machines := map[string]int{}
	for _, g := range a.goals(goal) {
		machines[g.ID] = a.machineHits(g, r)
	}
	for _, one := range rows {
		one.Machines = machines[one.Goal]
		one.Roas, one.CostPerConversion = quotient(one.Revenue, one.Cost), quotient(one.Cost, one.Conversions)
	}
	return values(rows)
}

// ViewRow is one of view_through.
type ViewRow struct {
	Campaign    string `key:"campaign"`
	Creative    string `key:"creative"`
	Placement   string `key:"placement"`
	Impressions int    `col:"impressions"`
	Joined      int    `col:"joined"`
	JoinedShare Share  `col:"joined_share"`
	Conversions Amount `col:"conversions"`
	Revenue     Amount `col:"revenue"`
	Machines    int    `col:"machine_impressions"`
}

type viewKey struct{ campaign, creative, placement string }

func (f *fact) viewKey() viewKey {
	creative := f.UTM["content"]
	if creative == "" {
		creative = f.Props["creative"]
	}
	return viewKey{f.Origin.Campaign, creative, f.Props["placement"]}
}

// ViewThrough answers: what do shown ads bring without a click?
func (a *Answers) ViewThrough(r Range, goal string) []ViewRow {
	onSite := map[string]bool{}
	for _, f := range a.counted {
		if f.kind != "impression" && f.visitor != "" {
			onSite[f.visitor] = true
		}
	}
	rows := map[viewKey]*ViewRow{}
	row := func(f *fact) *ViewRow {
		k := f.viewKey()
		if rows[k] == nil {
			rows[k] = &ViewRow{Campaign: k.campaign, Creative: k.creative, Placement: k.placement, Conversions: zero(), Revenue: zero()}
		}
		return rows[k]
	}
	for _, f := range a.facts {
		switch {
		case f.kind != "impression" || f.repeat || !r.has(f.day):
		case f.Bot:
			row(f).Machines++
		default:
			row(f).Impressions++
			if onSite[f.visitor] {
				row(f).Joined++
			}
		}
	}
	for _, g := range a.goals(goal) {
		for _, c := range a.credits(a.inRange(g, r), DefaultModel) {
			if c.kind != "view" {
				continue
			}
			to := row(c.fact)
			to.Conversions = plus(to.Conversions, c.conversions)
			if !c.rateMissing {
				to.Revenue = plus(to.Revenue, c.revenue)
			}
		}
	}
	for _, one := range rows {
		one.JoinedShare = share64(one.Joined, one.Impressions)
	}
	return values(rows)
}
