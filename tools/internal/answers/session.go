package answers

import "time"

const sessionGap = 30 * time.Minute

// session is the counted events of one visitor without a long gap, in order.
type session struct {
	visitor string
	events  []*fact
}

func (s *session) first() *fact { return s.events[0] }
func (s *session) last() *fact  { return s.events[len(s.events)-1] }

// covers tells that the time is between the first and the last event.
func (s *session) covers(t time.Time) bool {
	return !t.Before(s.first().occurred) && !t.After(s.last().occurred)
}

// sessions are all sessions, as far as events of days up to the day after `to` make them.
func (a *Answers) sessions(to Day) []*session {
	type run struct {
		session *session
		// carried is the last campaign since the gap.
		carried *[4]string
	}
	var sessions []*session
	runs := map[string]*run{}
	for _, f := range a.counted {
		if !f.inSessions() || f.visitor == "" || f.day > to.Add(1) {
			continue
		}
		r := runs[f.visitor]
		fresh := r == nil || f.occurred.Sub(r.session.last().occurred) > sessionGap
		if fresh {
			r = &run{}
			runs[f.visitor] = r
		}
		another := false
		if f.tagged() {
			campaign := f.campaign()
			another = r.carried == nil || *r.carried != campaign
			r.carried = &campaign
		}
		if fresh || another {
			r.session = &session{visitor: f.visitor}
			sessions = append(sessions, r.session)
		}
		r.session.events = append(r.session.events, f)
	}
	return sessions
}

// sessionOf finds the session in which the visitor did something at that time; nil when there is none.
func sessionOf(sessions []*session, f *fact, visitor string, at time.Time) *session {
	for _, s := range sessions {
		for _, e := range s.events {
			if e == f {
				return s
			}
		}
	}
	for _, s := range sessions {
		if visitor != "" && s.visitor == visitor && s.covers(at) {
			return s
		}
	}
	return nil
}
