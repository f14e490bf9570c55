package model

// Settle ends a schedule: faults are over, everybody runs, and all that can move moves, until nothing does. Then the promises are
// checked. Where the partition had to stop, an operator accepts and it must come to rest once more.
func (w *World) Settle() {
	w.say("faults end")
	for i := range w.Workers {
		w.Workers[i].Paused, w.Workers[i].Cut = false, false
	}
	w.publish(3, 200) // the stream goes on, so a gap at its end shows
	w.comeToRest()
	if w.stopped() == TopicChanged || w.violation != "" {
		return
	}
	if w.ghost.moved || w.stopped() == OffsetsMoved {
		if w.stopped() != OffsetsMoved {
			w.broken("the position was changed by hand and no worker says so")
		}
		for i := range w.Workers {
			w.Apply(Action{Kind: Quit, A: i})
		}
		w.tick(SessionTimeout+1, 0)
		w.flush()
		if !w.Apply(Action{Kind: Accept}) && w.topicChanged() {
			return
		}
		w.comeToRest()
	}
	if w.violation == "" {
		w.checkEnd()
	}
}

// comeToRest runs until no worker has anything to do and no message is on its way.
func (w *World) comeToRest() {
	for quiet, round := 0, 0; quiet < 20; round++ {
		if round == 1500 {
			w.broken("it never comes to rest")
		}
		if w.violation != "" {
			return
		}
		w.startOne()
		moved := w.flush()
		for i := range w.Workers {
			w.Apply(Action{Kind: Learn, A: i})
			moved = w.Apply(Action{Kind: Notice, A: i}) || moved
			moved = w.Apply(Action{Kind: Step, A: i, B: 2}) || moved
		}
		quiet++
		if moved {
			quiet = 0
		} else {
			w.tick(5, 0)
		}
	}
}

func (w *World) startOne() {
	for _, k := range w.Workers {
		if k.Phase != Down {
			return
		}
	}
	w.Apply(Action{Kind: Start, A: 0, B: w.Workers[0].Rules.Text | w.Workers[0].Rules.Binary<<1})
}

// flush lets every message arrive.
func (w *World) flush() bool {
	moved := len(w.Commits)+len(w.Inserts) > 0
	for len(w.Commits) > 0 {
		w.Apply(Action{Kind: Land})
	}
	for len(w.Inserts) > 0 {
		w.Apply(Action{Kind: Progress})
	}
	return moved
}

// stopped is the reason why the owner of the partition stopped, "" if it did not.
func (w *World) stopped() string {
	for _, k := range w.Workers {
		if k.Phase == Stopped && k.Member == w.Group.Owner && k.Gen == w.Group.Gen {
			return k.Stop
		}
	}
	return ""
}
