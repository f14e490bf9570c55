package model

import (
	"fmt"
	"slices"
)

// Record is one record of the partition.
type Record struct {
	Offset   int
	Time     int64 // the producer's, up to MaxDisorder before that of earlier records
	ID       int   // event id; 0 is an undecodable record
	Replayed bool  // came out of a spool: may repeat something much older
	Hash     int   // of the raw bytes; no two records have the same
}

// Topic is one partition's log. Expired records stay in Records, for the checks.
type Topic struct {
	Records []Record // ascending offsets, with gaps
	Start   int      // first offset Kafka still has
	End     int      // next offset to be given out
	Epoch   int      // grows when the topic is made anew
}

// at is what a fetch of one offset gives; false if Kafka skips it.
func (t *Topic) at(offset int) (Record, bool) {
	if offset < t.Start {
		return Record{}, false
	}
	i, ok := slices.BinarySearchFunc(t.Records, offset, func(r Record, o int) int { return r.Offset - o })
	if !ok {
		return Record{}, false
	}
	return t.Records[i], true
}

// first is the first record that Kafka has in [a..b].
func (t *Topic) first(a, b int) (Record, bool) {
	for o := a; o <= b; o++ {
		if r, ok := t.at(o); ok {
			return r, true
		}
	}
	return Record{}, false
}

// Mark is what the metadata of a commit says the offset is.
type Mark int

// The marks.
const (
	Foreign  Mark = iota // empty metadata: not written by us
	Idle                 // everything below the offset is stored
	Declared             // [offset..B] is being inserted
)

// RulesID names all that rows depend on besides the records: a text (goals, lists) and the binary that understands it.
type RulesID struct{ Text, Binary int }

// Meta is the metadata of a commit.
type Meta struct {
	Mark       Mark
	B          int // last offset of the range
	DeclaredAt int64
	Day        int64
	Rules      RulesID
	Wishes     int // suppression position
	Hash       int // of the first record in the range; 0 if it holds none
	Again      int // how often the token was renewed
}

// Position is what a group has committed.
type Position struct {
	Set    bool
	Offset int
	Meta   Meta
}

// String writes the position as the schedules show it.
func (p Position) String() string {
	switch {
	case !p.Set:
		return "no position"
	case p.Meta.Mark == Foreign:
		return fmt.Sprintf("%d, empty metadata", p.Offset)
	case p.Meta.Mark == Idle:
		return fmt.Sprintf("%d, idle", p.Offset)
	}
	return fmt.Sprintf("range [%d..%d]%s", p.Offset, p.Meta.B, when(p.Meta.Again > 0, fmt.Sprintf(" again=%d", p.Meta.Again)))
}

// Commit is a commit on its way. Its sender may have given up on it.
type Commit struct {
	Worker, Seq, Member, Gen, Epoch int
	Pos                             Position
	Again                           bool // repeats a fetched position or an own declaration
}

// Member is one process in the group.
type Member struct {
	Worker, ID int
	Seen       int64 // last heartbeat or commit
}

// Group is the group coordinator's state. Owner is the member that has the partition.
type Group struct {
	Gen        int
	Members    []Member
	Owner      int
	Position   Position
	EmptySince int64
}

func (g *Group) member(id int) int {
	return slices.IndexFunc(g.Members, func(m Member) bool { return m.ID == id })
}

// rebalance starts a new generation; pref chooses the owner.
func (w *World) rebalance(pref int) {
	g := &w.Group
	g.Gen++
	if len(g.Members) == 0 {
		g.Owner, g.EmptySince = 0, w.Now
		return
	}
	g.Owner = g.Members[pref%len(g.Members)].ID
}

// join adds the worker under a new member id.
func (w *World) join(k *Worker, pref int) {
	k.Member = w.next()
	w.Group.Members = append(w.Group.Members, Member{Worker: k.Index, ID: k.Member, Seen: w.Now})
	w.rebalance(pref)
	w.sync(k)
}

// sync tells a member its generation and whether the partition is its own.
func (w *World) sync(k *Worker) {
	k.reset()
	if w.Group.member(k.Member) < 0 {
		k.Phase = Join
		w.say("w%d is not in the group any more", k.Index)
		return
	}
	k.Gen, k.Since, k.Phase = w.Group.Gen, w.Now, Standby
	if w.Group.Owner == k.Member {
		k.Phase = Fetch
	}
	w.say("w%d is in generation %d%s", k.Index, k.Gen, when(k.Phase == Fetch, " and owns the partition"))
}

// rejoin joins under the old member id. Kafka starts a new generation for the leader only; another member gets the old one back.
func (w *World) rejoin(k *Worker, pref int) {
	if w.Group.member(k.Member) == 0 {
		w.rebalance(pref)
	}
	w.sync(k)
}

// leave takes the member out of the group.
func (w *World) leave(k *Worker, pref int) {
	if i := w.Group.member(k.Member); i >= 0 {
		w.Group.Members = slices.Delete(w.Group.Members, i, i+1)
		w.rebalance(pref)
	}
	k.Member = 0
}

// expel takes out every member that Kafka has not heard of for a session timeout.
func (w *World) expel(pref int) {
	before := len(w.Group.Members)
	w.Group.Members = slices.DeleteFunc(w.Group.Members, func(m Member) bool { return w.Now-m.Seen > SessionTimeout })
	if len(w.Group.Members) != before {
		w.say("Kafka takes silent members out of the group")
		w.rebalance(pref)
	}
}

// landCommit is Kafka's answer to a commit: true if it took it.
func (w *World) landCommit(c Commit) bool {
	g := &w.Group
	i := g.member(c.Member)
	if w.Rules.MemberID && i < 0 || w.Rules.Generation && c.Gen != g.Gen {
		w.say("Kafka refuses w%d's commit of %s: generation %d is over", c.Worker, c.Pos, c.Gen)
		return false
	}
	if i >= 0 {
		g.Members[i].Seen = w.Now
	}
	w.checkCommit(c)
	g.Position = c.Pos
	w.ghost.accepted = append(w.ghost.accepted, c.Pos)
	w.say("Kafka takes w%d's commit of %s", c.Worker, c.Pos)
	return true
}
