// Package model is the exactly-once protocol of the consumer (docs/adr/0001-exactly-once.md) as a state machine in virtual
// time: one Kafka partition and its group, one ClickHouse, and two or three consumer processes. Nothing runs by itself, nothing
// looks at a real clock. Every step is an Action, so a schedule is a list of actions that can be replayed, shortened and read.
//
// It promises that what may happen between two steps of a process does happen in some schedule: another process, a message that
// comes late or never, a crash, a stop of any length, an operator's hand. Only tests import it.
//
// Read it in this order: rules.go (what the protocol says), worker.go and recovery.go (what a process does, step by step),
// rows.go (what the rows of a range are), kafka.go and clickhouse.go (what the two systems promise), restart.go (what they do not), check.go (what must hold),
// action.go and settle.go (what may happen, and how a schedule ends), explore.go (random and exhaustive schedules).
package model

import (
	"fmt"
	"slices"
)

// Times of the protocol, in seconds. Only their order matters: InsertDeadline + ClockDifference < SessionTimeout, and OldDeclaration
// plus one deadline < TokenLife.
const (
	InsertDeadline  = 15            // from sending the declaration to the last moment ClickHouse may take the insert
	ClockDifference = 10            // the most that a process' clock and ClickHouse's differ
	SessionTimeout  = 45            // Kafka takes a silent process out of the group
	TokenLife       = 25000         // 100000 blocks at 4 inserts a second: ClickHouse forgets a token no sooner
	OldDeclaration  = 6 * 3600      // an unfinished range older than this is an exception
	RepeatWindow    = 15 * 60       // a repeat of an event id within this is a duplicate
	RepeatHorizon   = 30 * 60       // how far back the repeat window is read: RepeatWindow plus disorder of record times
	MaxDisorder     = 14 * 60       // how far the time of a record may lie before that of an earlier record
	ReplayHorizon   = 7 * 24 * 3600 // a record marked replayed is compared this far back
	day             = 24 * 3600
)

// World is everything there is at one moment. Apply changes it.
type World struct {
	Rules   Rules
	Now     int64 // seconds
	Topic   Topic
	Group   Group
	Store   Store
	Wishes  []int // suppression list: each entry turns the suppression of one event id on or off
	Workers []Worker
	Commits []Commit // on their way to Kafka
	Inserts []Insert // on their way to or inside ClickHouse

	prune     bool
	seq       int   // last number given to a message or token
	ghost     ghost // what only the checks know
	violation string
	trace     *[]string // nil: nobody reads along
}

// ghost is what the checks know and no process does.
type ghost struct {
	moved    bool // the position was changed by hand and nobody has accepted that yet
	changed  bool // the topic was made anew after rows of the old one had been stored
	remade   bool
	first    int // offsets below had expired before the first start and need no row
	maxEnd   int // highest offset ever given out, plus one
	accepted []Position
}

// Config is what differs between schedules before the first action.
type Config struct {
	Workers int
	Start   int64 // virtual time of the first action
	Fresh   bool  // the group has never committed; otherwise its position is 0, idle
	Prune   bool  // drop messages as soon as they cannot change anything any more
}

// New returns a world in which nothing has happened yet; all workers are down.
func New(r Rules, c Config) *World {
	w := &World{Rules: r, Now: c.Start, prune: c.Prune, Workers: make([]Worker, c.Workers)}
	for i := range w.Workers {
		w.Workers[i] = Worker{Index: i, Skew: int64(1-i%3) * ClockDifference}
	}
	w.Store.Started, w.Store.Starts = c.Start-day, 1
	if !c.Fresh {
		w.Group.Position = Position{Set: true, Meta: Meta{Mark: Idle}}
	}
	return w
}

// Violation is the first promise that was broken, "" while all hold.
func (w *World) Violation() string { return w.violation }

// clone copies w so that the copy can be changed alone.
func (w *World) clone() *World {
	c := *w
	c.Topic.Records = slices.Clone(w.Topic.Records)
	c.Group.Members = slices.Clone(w.Group.Members)
	c.Store = w.Store.clone()
	c.Wishes = slices.Clone(w.Wishes)
	c.Workers = slices.Clone(w.Workers)
	for i := range c.Workers {
		k := &c.Workers[i]
		k.Window = slices.Clone(k.Window)
		k.Batch.Rows = slices.Clone(k.Batch.Rows)
	}
	c.Commits = slices.Clone(w.Commits)
	c.Inserts = slices.Clone(w.Inserts)
	for i := range c.Inserts {
		c.Inserts[i].Left = slices.Clone(c.Inserts[i].Left)
	}
	c.ghost.accepted = slices.Clone(w.ghost.accepted)
	return &c
}

func (w *World) next() int { w.seq++; return w.seq }

// say adds a line to the schedule that a person reads.
func (w *World) say(format string, args ...any) {
	if w.trace != nil {
		*w.trace = append(*w.trace, fmt.Sprintf("%s  ", clock(w.Now))+fmt.Sprintf(format, args...))
	}
}

// when is the text if the condition holds, else "".
func when(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

// broken records the first broken promise.
func (w *World) broken(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
		w.say("BROKEN: %s", w.violation)
	}
}

// clock writes virtual time as day+hh:mm:ss.
func clock(t int64) string {
	return fmt.Sprintf("%d+%02d:%02d:%02d", t/day, t%day/3600, t%3600/60, t%60)
}
