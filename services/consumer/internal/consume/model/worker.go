package model

// Phase is where a process stands for the partition. Between two phases it may be stopped, killed, or overtaken.
type Phase int

// The phases, in the order a range meets them. A phase that ends in Wait waits for an answer.
const (
	Down       Phase = iota
	Join             // not in the group
	Standby          // in the group, without the partition
	Fetch            // asks Kafka for the group's position
	WaitEmpty        // there is none: one insert deadline
	ListEmpty        // … the views from the last batch on are listed
	StartEmpty       // … start behind the last row
	Look             // asks events for the last rows
	Repeat           // commits the fetched position again
	RepeatWait
	Judge   // is it ours, and is the topic the same?
	Recover // makes the rows of the declared range again
	List    // exception: lists the range for rebuild
	Decide  // exception, or restarted: are the rows there?
	Ready   // has a position; fetches
	Declare // has a batch; sends the declaration
	DeclareWait
	Check // is there time to insert?
	Send  // sends the insert
	InsertWait
	Renew // sends the same declaration again
	RenewWait
	Again // may the insert be repeated?
	Ask   // since when does ClickHouse run?
	Fill  // restarted, the rows are there: sends what views lack
	FillWait
	Done // the range is stored
	IdleWait
	Leave   // a commit's answer is unknown
	Stopped // alarm; a person must look
)

// Answer is what a process knows of the message it waits for.
type Answer int

// The answers.
const (
	None    Answer = iota
	OK             // taken
	Refused        // the generation is over
	Unknown        // failed, or no answer came
)

// Reasons to stop.
const (
	OffsetsMoved = "offsets_moved"
	TopicChanged = "topic_changed"
)

// Batch is the range in hand.
type Batch struct {
	A, B      int
	Meta      Meta // the declaration as committed
	Rows      []Row
	Deadline  int64  // no insert is sent or taken after it
	Left      int64  // what the check found left of it
	Select    bool   // complete the views from the stored rows
	Recovered bool   // declared by an earlier assignment, or stored by an exception
	Cause     string // of the exception, "" if it is none
	Restarted bool   // ClickHouse may have started since the declaration
	Server    int    // the start of the one that has the connection; 0 after a restart: any will do
	Sent      int64  // when the last insert of it was sent
	Untold    int    // renewals of the token that are not declared
}

// Worker is one consumer process.
type Worker struct {
	Index       int
	Phase       Phase
	Paused, Cut bool // stopped (SIGSTOP); cut off from Kafka
	Rules       RulesID
	Skew        int64 // how far its wall clock is ahead
	Wishes      int   // suppression list read so far
	Member, Gen int
	Since       int64 // when it learnt of this generation
	Seq         int   // of the message it waits for
	Answer      Answer

	Fetched Position
	Last    int  // highest offset in events when it looked
	Changed bool // the last stored record is not Kafka's
	Epoch   int  // of the topic it reads
	Pos     int  // next offset
	Idled   bool // Pos is committed as idle
	Window  []Seen
	Loaded  bool
	Batch   Batch
	Stop    string

	moved bool // for the checks: the position it fetched or looked beyond had been changed by hand
}

// reset forgets everything that belongs to a generation.
func (k *Worker) reset() {
	k.Fetched, k.Last, k.Changed, k.Batch, k.Stop = Position{}, -1, false, Batch{}, ""
	k.Pos, k.Idled, k.Window, k.Loaded, k.Answer, k.moved = 0, false, nil, false, None, false
}

func (w *World) wallClock(k *Worker) int64 { return w.Now + k.Skew }

// step lets a process do the next thing; false if there is nothing to do. size is how much a fetch gives, pref who gets the
// partition if the group changes.
func (w *World) step(k *Worker, size, pref int) bool {
	if k.waits() {
		return false
	}
	switch k.Phase {
	case Join, Fetch:
		if k.Cut {
			return false
		}
		w.stepGroup(k, pref)
	case Leave:
		w.stepLeave(k, pref)
	case WaitEmpty, ListEmpty, StartEmpty, Look, Repeat, RepeatWait, Judge, Recover, List, Decide:
		return w.stepAssigned(k)
	case Ready:
		return w.stepReady(k, size)
	case Declare, DeclareWait, IdleWait:
		w.stepDeclare(k)
	case Ask:
		w.ask(k, pref)
	case Fill, FillWait:
		w.stepFill(k)
	case Renew:
		return w.renew(k)
	case Check, Send, InsertWait, RenewWait, Again, Done:
		w.stepInsert(k)
	default:
		return false
	}
	return true
}

func (k *Worker) waits() bool {
	switch k.Phase {
	case RepeatWait, DeclareWait, IdleWait, RenewWait, InsertWait, FillWait:
		return k.Answer == None
	}
	return false
}

func (w *World) stepGroup(k *Worker, pref int) {
	if k.Phase == Join {
		w.join(k, pref)
		return
	}
	k.Fetched, k.moved = w.Group.Position, w.ghost.moved
	w.say("w%d fetches the position: %s", k.Index, k.Fetched)
	switch {
	case !k.Fetched.Set:
		k.Phase = WaitEmpty
	case k.Fetched.Meta.Mark == Foreign && w.Rules.EmptyMetadataStops:
		w.stop(k, OffsetsMoved)
	case w.Rules.LookFirst || !w.Rules.RepeatBeforeStop:
		k.Phase = Look
	default:
		k.Phase = Repeat
	}
}

// stepReady fetches the next range, or says that there is none.
func (w *World) stepReady(k *Worker, size int) bool {
	if k.Epoch != w.Topic.Epoch { // the fetch says that the topic is gone
		k.Phase = Leave
		return true
	}
	if k.Pos < w.Topic.End {
		b := min(k.Pos+size, w.Topic.End) - 1
		first, _ := w.Topic.first(k.Pos, b)
		k.Batch = Batch{A: k.Pos, B: b, Rows: w.makeRows(k, k.Pos, b, k.Rules, k.Wishes)}
		k.Batch.Meta = Meta{Mark: Declared, B: b, DeclaredAt: w.wallClock(k), Day: w.wallClock(k) / day,
			Rules: k.Rules, Wishes: k.Wishes, Hash: first.Hash}
		if w.Rules.KeepRulesText && !w.Store.knows(k.Rules) {
			w.Store.Texts = append(w.Store.Texts, k.Rules)
		}
		k.Idled, k.Phase = false, Declare
		w.say("w%d fetches [%d..%d]", k.Index, k.Batch.A, b)
		return true
	}
	if k.Idled || !w.Rules.IdleCommit {
		return false
	}
	w.commitIdle(k)
	return true
}

func (w *World) commitIdle(k *Worker) {
	pos := Position{Set: true, Offset: k.Pos, Meta: Meta{Mark: Idle}}
	if !w.Rules.IdleMetadata {
		pos.Meta = Meta{}
	}
	w.sendCommit(k, pos, IdleWait)
}

func (w *World) stepDeclare(k *Worker) {
	switch {
	case k.Phase == Declare && !w.Rules.Declare:
		w.lease(k)
		k.Phase = Ask
	case k.Phase == Declare:
		w.lease(k)
		w.sendCommit(k, k.Batch.position(), DeclareWait)
	case k.Phase == DeclareWait:
		w.commitAnswered(k, Ask, Declare)
	case k.Phase == IdleWait:
		w.commitAnswered(k, Ready, Ready)
		k.Idled = k.Answer == OK && k.Phase == Ready
	}
}

func (b *Batch) position() Position { return Position{Set: true, Offset: b.A, Meta: b.Meta} }

// lease starts the insert deadline: it runs from before the commit is sent.
func (w *World) lease(k *Worker) { k.Batch.Deadline = w.Now + InsertDeadline }

func (w *World) sendCommit(k *Worker, pos Position, then Phase) {
	k.Seq, k.Answer, k.Phase = w.next(), None, then
	w.Commits = append(w.Commits, Commit{Worker: k.Index, Seq: k.Seq, Member: k.Member, Gen: k.Gen, Epoch: k.Epoch, Pos: pos,
		Again: then == RepeatWait || then == RenewWait})
	w.say("w%d sends the commit of %s", k.Index, pos)
}

// commitAnswered goes on to then if Kafka took the commit, and out of the generation if it did not say.
func (w *World) commitAnswered(k *Worker, then, naive Phase) {
	switch {
	case k.Answer == OK:
		if !w.Rules.DeadlineFromSend {
			w.lease(k)
		}
		k.Phase = then
	case k.Answer == Refused:
		w.sync(k)
	case w.Rules.LeaveOnUnknown:
		k.Phase = Leave
	default:
		k.Phase = naive // send it again and hope
	}
}

// stepLeave leaves the generation, so that no commit of it can land any more.
func (w *World) stepLeave(k *Worker, pref int) {
	if !w.Rules.FreshMember && !k.Cut {
		w.rejoin(k, pref)
		return
	}
	w.say("w%d leaves the group", k.Index)
	if !k.Cut {
		w.leave(k, pref)
	}
	k.reset()
	k.Phase = Join
}

// hiccup ends a worker's generation from its own side. What it has sent is still on its way.
func (w *World) hiccup(k *Worker, pref int) {
	w.say("w%d's heartbeat fails", k.Index)
	asked := k.Phase == RepeatWait || k.Phase == DeclareWait || k.Phase == IdleWait || k.Phase == RenewWait
	if asked && (k.Answer == None || k.Answer == Unknown) && w.Rules.InterruptedIsUnknown {
		k.Phase = Leave
		return
	}
	w.rejoin(k, pref)
}

// stepInsert brings the declared range into ClickHouse.
func (w *World) stepInsert(k *Worker) {
	b := &k.Batch
	switch k.Phase {
	case Check:
		b.Left = b.Deadline - w.Now
		k.Phase = Send
		if w.Rules.Deadline && b.Left < 0 {
			k.Phase = Renew
		}
	case Send:
		w.sendInsert(k)
	case InsertWait:
		k.Phase = Done
		if k.Answer != OK && w.Rules.RecoverUnknown {
			k.Phase = Renew
		}
	case RenewWait:
		w.commitAnswered(k, Again, Renew)
	case Again:
		k.Phase = Ask
		if b.Cause == "" && w.Rules.OldRetryException && w.old(k) {
			b.Cause, b.Recovered, k.Phase = "old", true, List
		}
	case Done:
		w.done(k)
	}
}

func (w *World) sendInsert(k *Worker) {
	b := &k.Batch
	in := Insert{Day: b.Meta.Day, Rows: b.Rows, Select: b.Select, Left: []int{Table, ViewA, ViewBEven, ViewBOdd}}
	if !w.Rules.DeclaredDay && !b.Select {
		in.Day = w.wallClock(k) / day
	}
	if !w.Rules.OnePart {
		in.Left = []int{Table, TableOdd, ViewA, ViewBEven, ViewBOdd}
	}
	if b.Select {
		in.Rows = nil
	} else if w.Rules.SameServer { // the range of a SELECT is listed, so that may go to whoever runs
		in.Server = b.Server
	}
	w.send(k, in, InsertWait)
	w.say("w%d sends the insert of [%d..%d]%s", k.Index, b.A, b.B, when(b.Select, " (SELECT of the stored rows)"))
}

// send sends an insert of the range in hand, under its token and with its deadline.
func (w *World) send(k *Worker, in Insert, then Phase) {
	b := &k.Batch
	k.Seq, k.Answer, k.Phase, b.Sent = w.next(), None, then, w.Now
	in.Worker, in.Seq, in.Epoch, in.A, in.B, in.Until = k.Index, k.Seq, k.Epoch, b.A, b.B, b.Deadline+k.Skew
	in.Token = Token{A: b.A, B: b.B, Hash: b.Meta.Hash, Again: b.Meta.Again + b.Untold}
	if w.Rules.TokenAt {
		in.Token.At = b.Meta.DeclaredAt
	}
	if !w.Rules.Token || !w.Rules.ExceptionToken && b.Cause != "" && !b.Select {
		in.Token.Serial = k.Seq
	}
	switch {
	case !w.Rules.Deadline:
		in.Until = 1 << 60
	case !w.Rules.DeadlineAbsolute:
		in.Until = w.Now + b.Left
	}
	w.Inserts = append(w.Inserts, in)
}

// done makes the range's end the position. The next declaration says so to Kafka.
func (w *World) done(k *Worker) {
	b := &k.Batch
	k.Pos, k.Phase = b.B+1, Ready
	if b.Recovered && w.Rules.WindowAgain {
		k.Loaded, k.Window = false, nil
	} else {
		for _, r := range b.Rows {
			k.Window = see(k.Window, r)
		}
	}
	k.Batch = Batch{}
	if !w.Rules.Declare {
		w.commitIdle(k)
	}
}

func (w *World) stop(k *Worker, reason string) {
	w.say("w%d stops: %s", k.Index, reason)
	k.Phase, k.Stop = Stopped, reason
	w.checkStop(k)
}
