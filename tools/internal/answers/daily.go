package answers

// DailyRow is one of sessions_daily.
type DailyRow struct {
	Day        Day   `key:"day"`
	Sessions   int   `col:"sessions"`
	Visitors   int   `col:"visitors"`
	PageViews  int   `col:"page_views"`
	Bounces    int   `col:"bounces"`
	BounceRate Share `col:"bounce_rate"`
	Average    Share `col:"average_seconds"`
	Converting int   `col:"converting_sessions"`
	Machines   int   `col:"machine_events"`
}

// ChannelRow is one of channel_daily.
type ChannelRow struct {
	Channel string `key:"channel"`
	DailyRow
}

type dailyKey struct {
	day     Day
	channel string
}

// SessionsDaily answers: how many sessions, how long, how many bounce?
func (a *Answers) SessionsDaily(r Range) []DailyRow {
	return values(a.daily(r, func(f *fact) dailyKey { return dailyKey{day: f.day} }))
}

// ChannelDaily answers: which channel brings sessions?
func (a *Answers) ChannelDaily(r Range) []ChannelRow {
	var rows []ChannelRow
	for k, row := range a.daily(r, func(f *fact) dailyKey { return dailyKey{f.day, channelOf(f)} }) {
		rows = append(rows, ChannelRow{k.channel, *row})
	}
	return rows
}

func channelOf(f *fact) string {
	if f.Origin.Channel == "" {
		return "Direct"
	}
	return f.Origin.Channel
}

func (a *Answers) daily(r Range, keyOf func(*fact) dailyKey) map[dailyKey]*DailyRow {
	sessions := a.sessions(r.To)
	converting := map[*session]bool{}
	for _, g := range a.site.Goals {
		for _, c := range a.conversions(g, r.To) {
			if s := sessionOf(sessions, c.hit, c.visitor, c.hit.occurred); s != nil {
				converting[s] = true
			}
		}
	}
	rows := map[dailyKey]*DailyRow{}
	row := func(f *fact) *DailyRow {
		k := keyOf(f)
		if rows[k] == nil {
			rows[k] = &DailyRow{Day: k.day}
		}
		return rows[k]
	}
	visitors := map[dailyKey]map[string]bool{}
	seconds := map[dailyKey]float64{}
	for _, s := range sessions {
		if !r.has(s.first().day) {
			continue
		}
		one, k := row(s.first()), keyOf(s.first())
		one.Sessions++
		seconds[k] += s.last().occurred.Sub(s.first().occurred).Seconds()
		see(visitors, k, s.visitor)
		if len(s.events) == 1 {
			one.Bounces++
		}
		if converting[s] {
			one.Converting++
		}
		for _, f := range s.events {
			if f.kind == "page_view" {
				one.PageViews++
			}
		}
	}
	for _, f := range a.facts {
		if f.Bot && !f.repeat && f.inSessions() && r.has(f.day) {
			row(f).Machines++
		}
	}
	for k, one := range rows {
		one.Visitors, one.BounceRate = len(visitors[k]), share64(one.Bounces, one.Sessions)
		if one.Sessions > 0 {
			average := seconds[k] / float64(one.Sessions)
			one.Average = &average
		}
	}
	return rows
}

// NewRow is one of new_vs_returning.
type NewRow struct {
	Day             Day   `key:"day"`
	Visitors        int   `col:"visitors"`
	New             int   `col:"new"`
	Returning       int   `col:"returning"`
	Cookieless      int   `col:"cookieless"`
	CookielessShare Share `col:"cookieless_share"`
	Machines        int   `col:"machine_events"`
}

// NewVsReturning answers: new or returning?
func (a *Answers) NewVsReturning(r Range) []NewRow {
	first := map[string]Day{}
	for _, f := range a.counted { // in order, so the first day comes first
		if _, known := first[f.visitor]; !known {
			first[f.visitor] = f.day
		}
	}
	rows := map[Day]*NewRow{}
	row := func(day Day) *NewRow {
		if rows[day] == nil {
			rows[day] = &NewRow{Day: day}
		}
		return rows[day]
	}
	seen := map[dailyKey]map[string]bool{}
	for _, f := range a.facts {
		if f.repeat || !r.has(f.day) || !f.inSessions() {
			continue
		}
		if f.Bot {
			row(f.day).Machines++
			continue
		}
		if f.visitor == "" || seen[dailyKey{day: f.day}][f.visitor] {
			continue
		}
		see(seen, dailyKey{day: f.day}, f.visitor)
		one := row(f.day)
		one.Visitors++
		switch {
		case f.visitor == f.hash:
			one.Cookieless++
		case first[f.visitor] == f.day:
			one.New++
		default:
			one.Returning++
		}
	}
	for _, one := range rows {
		one.CookielessShare = share64(one.Cookieless, one.Visitors)
	}
	return values(rows)
}

// TrafficRow is one of traffic.
type TrafficRow struct {
	Day              Day    `key:"day"`
	Channel          string `key:"channel"`
	PageViews        int    `col:"page_views"`
	Events           int    `col:"events"`
	Visitors         int    `col:"visitors"`
	DayVisitors      int    `col:"day_visitors"`
	MachinePageViews int    `col:"machine_page_views"`
	MachineEvents    int    `col:"machine_events"`
	Duplicates       int    `col:"duplicates"`
}

// Traffic answers: how much traffic does each channel bring?
func (a *Answers) Traffic(r Range) []TrafficRow {
	rows := map[dailyKey]*TrafficRow{}
	seen := map[dailyKey]map[string]bool{} // a day without a channel is for all
	for _, f := range a.facts {
		if !r.has(f.day) {
			continue
		}
		k := dailyKey{f.day, channelOf(f)}
		if rows[k] == nil {
			rows[k] = &TrafficRow{Day: k.day, Channel: k.channel}
		}
		row, pageViews := rows[k], 0
		if f.kind == "page_view" {
			pageViews = 1
		}
		switch {
		case f.repeat:
			row.Duplicates++
		case f.Bot:
			row.MachineEvents++
			row.MachinePageViews += pageViews
		default:
			row.Events++
			row.PageViews += pageViews
			see(seen, k, f.visitor)
			see(seen, dailyKey{day: f.day}, f.visitor)
		}
	}
	for k, row := range rows {
		row.Visitors, row.DayVisitors = len(seen[k]), len(seen[dailyKey{day: k.day}])
	}
	return values(rows)
}

// see notes a visitor, if there is one.
func see(seen map[dailyKey]map[string]bool, k dailyKey, visitor string) {
	if visitor == "" {
		return
	}
	if seen[k] == nil {
		seen[k] = map[string]bool{}
	}
	seen[k][visitor] = true
}
