package model

// Seen is an event id in the window of repeats.
type Seen struct {
	ID   int
	Time int64
}

// suppressed says whether the list, read up to position, suppresses the event id.
func (w *World) suppressed(id, position int) bool {
	on := false
	for _, x := range w.Wishes[:position] {
		if x == id {
			on = !on
		}
	}
	return on
}

// makeRows makes the rows of [a..b] from the records that Kafka has now, and leaves the window as it is.
func (w *World) makeRows(k *Worker, a, b int, rules RulesID, wishes int) []Row {
	w.loadWindow(k, a, b)
	window := k.Window
	var rows []Row
	for o := a; o <= b; o++ {
		rec, ok := w.Topic.at(o)
		if !ok && !w.Rules.GapRows {
			continue
		}
		row := Row{Offset: o, Rules: rules, Wishes: wishes, A: a}
		switch {
		case !ok:
			row.Outcome = Missing
		case rec.ID == 0:
			row.Outcome = Dead
		case w.suppressed(rec.ID, wishes):
			row.Outcome = Suppressed
		case repeats(window, rec, RepeatWindow) || rec.Replayed && w.repeatsLongAgo(a, rows, rec):
			row.Outcome, row.ID = Duplicate, rec.ID
		default:
			row.Outcome, row.ID = Event, rec.ID
		}
		row.Time, row.Hash = rec.Time, rec.Hash
		rows = append(rows, row)
		window = see(window, row)
	}
	return rows
}

// see returns the window with one more row; a row that keeps no event id is not seen.
func see(window []Seen, row Row) []Seen {
	if row.ID == 0 {
		return window
	}
	return append(window[:len(window):len(window)], Seen{row.ID, row.Time})
}

func repeats(window []Seen, rec Record, within int64) bool {
	for _, s := range window {
		if s.ID == rec.ID && rec.Time-s.Time <= within {
			return true
		}
	}
	return false
}

// repeatsLongAgo asks events (offset < a) and the batch itself, as replayed records do.
func (w *World) repeatsLongAgo(a int, batch []Row, rec Record) bool {
	var seen []Seen
	if w.Rules.ReplayedAsks {
		for _, r := range w.Store.Rows {
			if r.Offset < a {
				seen = see(seen, r)
			}
		}
	}
	if w.Rules.ReplayedAsksBatch {
		for _, r := range batch {
			seen = see(seen, r)
		}
	}
	return repeats(seen, rec, ReplayHorizon)
}

// loadWindow reads the window from events once after each assignment, for the first range that holds a record.
func (w *World) loadWindow(k *Worker, a, b int) {
	first, ok := w.Topic.first(a, b)
	if k.Loaded || !ok {
		return
	}
	k.Loaded, k.Window = true, nil
	if !w.Rules.WindowRebuilt {
		return
	}
	horizon := int64(RepeatHorizon)
	if !w.Rules.WindowHorizon {
		horizon = RepeatWindow
	}
	for _, r := range w.Store.Rows {
		if r.Time >= first.Time-horizon && (r.Offset < a || !w.Rules.WindowBelow) {
			k.Window = see(k.Window, r)
		}
	}
}
