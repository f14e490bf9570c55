package model

import "reflect"

// Rules is the protocol with one switch for each of its rules; Protocol turns all on. The tag says the rule in words; what
// happens without it is in the table of docs/adr/0001-exactly-once.md, which TestEachRuleIsNeeded keeps.
type Rules struct {
	Declare     bool `says:"a range is declared (committed) before it is inserted"`
	ClosedRange bool `says:"the declaration holds the end of the range"`
	Generation  bool `says:"a commit counts only in its generation"`
	MemberID    bool `says:"a commit counts only from a member of the group"`

	Token            bool `says:"an insert carries the range's deduplication token"`
	TokenAt          bool `says:"the token holds the time of the declaration: no later one of the same range has it"`
	DeclaredDay      bool `says:"the partition (batch day) stands in the declaration"`
	OnePart          bool `says:"all rows of a range go into one partition, so into one part"`
	ViewsDeduplicate bool `says:"the views deduplicate for themselves"`

	Deadline         bool `says:"an insert has a deadline, well under the session timeout"`
	DeadlineFromSend bool `says:"the deadline counts from before the declaration is sent, not from its answer"`
	DeadlineAbsolute bool `says:"ClickHouse refuses by the moment of the deadline, not by a duration that starts when it gets the insert"`

	RecoverAssigned bool `says:"a declared range is recovered at assignment"`
	RecoverUnknown  bool `says:"an insert without an answer is repeated"`
	RenewFirst      bool `says:"before an insert is repeated its declaration is committed again"`
	KeepDeclaredAt  bool `says:"a renewed declaration keeps its first time"`

	DeclaredRules        bool `says:"a recovery makes rows by the declared rules"`
	KeepRulesText        bool `says:"the text of the rules is kept before its first use"`
	RulesException       bool `says:"exception: this binary cannot make the declared rules"`
	SuppressionException bool `says:"exception: the suppression list has changed since the declaration"`
	ExpiredException     bool `says:"exception: Kafka no longer holds the range"`
	OldException         bool `says:"exception: the declaration is more than 6 hours old"`
	OldRetryException    bool `says:"the age is judged again after every renewal"`
	OldInsertsNothing    bool `says:"old declaration, rows there: nothing is inserted, not even under the token"`
	ExceptionToken       bool `says:"today's rows of an exception go in under the token of the range"`
	ListFirst            bool `says:"the range is listed for rebuild before the insert of an exception"`

	ReadWithinLease bool `says:"what an exception reads from events counts only before the deadline"`

	RestartSeen      bool `says:"before each insert ClickHouse is asked since when it runs; if it started after the declaration, tokens may have no rows: restarted"`
	RestartForClocks bool `says:"a start that clocks may differ by counts as after the declaration"`
	RestartKept      bool `says:"a declaration with a renewed token stays restarted, whatever ClickHouse says the next time"`
	SameServer       bool `says:"an insert goes over a connection that was open before that question"`
	QuietFirst       bool `says:"restarted: wait until no insert of the range can be under way"`
	NewToken         bool `says:"restarted: take a new token, then count the rows"`
	DeclaredAgain    bool `says:"the number of a new token is declared before its use"`
	FillViews        bool `says:"restarted, rows there: the views get what they lack, told by what they hold"`

	LeaveOnUnknown       bool `says:"after a commit without an answer: leave the generation, rejoin, recover"`
	InterruptedIsUnknown bool `says:"a commit that the end of the generation interrupts is one without an answer"`
	FreshMember          bool `says:"leaving means a new member id, so a new generation"`

	EmptyMetadataStops bool `says:"a position with empty metadata stops the partition"`
	RowsBeyondStop     bool `says:"rows beyond the position stop the partition"`
	RepeatBeforeStop   bool `says:"the fetched position is committed again before a recovery, and before rows beyond it stop the partition"`
	LookFirst          bool `says:"rows beyond the position count only if they were seen before such a commit"`
	WaitWithoutOffset  bool `says:"without a position: wait one insert deadline"`
	StartAfterRows     bool `says:"without a position: start behind the last row"`
	ListWithoutOffset  bool `says:"without a position: list the views from the last batch on"`
	AcceptWaits        bool `says:"accept-offsets waits one insert deadline after the group is empty"`
	WaitForClocks      bool `says:"all waits add what clocks may differ"`
	AcceptLists        bool `says:"accept-offsets lists the views from the last batch on"`
	TopicCheck         bool `says:"the last stored record must be Kafka's"`
	DeclaredHash       bool `says:"the first record of a declared range must be Kafka's"`

	GapRows           bool `says:"an offset that Kafka skips gets a row"`
	WindowRebuilt     bool `says:"the window of repeats is read from events at assignment"`
	WindowHorizon     bool `says:"the window reaches 30 minutes back, not 15"`
	WindowBelow       bool `says:"the window holds only offsets below the range"`
	WindowAgain       bool `says:"after a recovery the window takes the stored rows, not the ones made again"`
	ReplayedAsks      bool `says:"replayed records ask events about 7 days"`
	ReplayedAsksBatch bool `says:"replayed records ask their own batch too"`

	IdleCommit   bool `says:"an idle consumer commits the end of the last range"`
	IdleMetadata bool `says:"an idle position has metadata"`
}

// Protocol is the protocol: every rule is kept.
func Protocol() Rules {
	var r Rules
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		v.Field(i).SetBool(true)
	}
	return r
}

// Without is the protocol with one rule, named by its field, taken out.
func Without(name string) Rules {
	r := Protocol()
	reflect.ValueOf(&r).Elem().FieldByName(name).SetBool(false)
	return r
}

// Rule is a rule's name and its sentence.
type Rule struct{ Name, Says string }

// RuleNames lists all rules in the order of the struct.
func RuleNames() []Rule {
	t := reflect.TypeFor[Rules]()
	out := make([]Rule, 0, t.NumField())
	for i := range t.NumField() {
		out = append(out, Rule{t.Field(i).Name, t.Field(i).Tag.Get("says")})
	}
	return out
}
