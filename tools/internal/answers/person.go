package answers

import "slices"

// setVisitors names the visitor of each event.
func (a *Answers) setVisitors() {
	returned := map[string]bool{}
	for _, f := range a.counted {
		if f.identity == "cookie" || f.identity == "provided" {
			returned[f.id] = true
		}
	}
	for _, f := range a.facts {
		f.visitor = f.hash
		if f.identity == "cookie" || f.identity == "provided" || f.identity == "minted" && returned[f.id] {
			f.visitor = f.id
		}
	}
}

// setPersons names the person of each counted event.
func (a *Answers) setPersons() {
	known := map[string][]*fact{} // visitor to the events with a user key, in order
	for _, f := range a.counted {
		if f.visitor != "" && f.userKey != "" {
			known[f.visitor] = append(known[f.visitor], f)
		}
	}
	for _, f := range a.counted {
		switch {
		case f.userKey != "":
			f.person = f.userKey
		case f.visitor != "":
			f.person = personOf(f, known[f.visitor])
		}
	}
}

// personOf looks for the user key of an event without one, among the events of its visitor that have one.
func personOf(f *fact, known []*fact) string {
	for _, k := range known {
		if k.occurred.Before(f.occurred) {
			continue
		}
		if k.occurred.Sub(f.occurred) <= identityFor {
			return k.userKey
		}
		break
	}
	var last *fact
	for _, k := range known {
		if k.occurred.Before(f.occurred) && (last == nil || k.occurred.After(last.occurred)) {
			last = k
		}
	}
	if last != nil {
		return last.userKey
	}
	return f.visitor
}

// setTouches says which events are touches.
func (a *Answers) setTouches() {
	last := map[string]*fact{} // the last page view of the visitor that might be a touch
	for _, f := range a.counted {
		kind := f.TouchKind()
		if kind == "" || kind == "view" {
			f.touch = kind
			continue
		}
		before := last[f.visitor]
		if f.visitor == "" {
			before = nil
		}
		last[f.visitor] = f
		if before != nil && f.occurred.Sub(before.occurred) <= sessionGap && (kind == "direct" || f.campaign() == before.campaign()) {
			continue
		}
		f.touch = kind
	}
}

// campaign is what makes one arrival another than the one before.
func (f *fact) campaign() [4]string {
	return [4]string{f.Origin.Source, f.Origin.Medium, f.Origin.Campaign, f.ClickID}
}

// touchesOf are the touches of a person, in order.
func (a *Answers) touchesOf(person string) []*fact {
	var touches []*fact
	for _, f := range a.counted {
		if person != "" && f.person == person && f.touch != "" {
			touches = append(touches, f)
		}
	}
	return slices.Clip(touches)
}
