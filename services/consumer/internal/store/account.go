package store

import (
	"encoding/json"

	"github.com/google/uuid"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

// account is the column account of an outcome account; the view ledger_minutes_view reads it.
type account struct {
	Collector    uuid.UUID `json:"collector"`
	Sequence     uint64    `json:"sequence"`
	Acknowledged uint64    `json:"acknowledged"`
	Last         bool      `json:"last"`
	// Outcomes and Reasons are numbers of events; an event that was stored has no reason.
	Outcomes       map[string]uint64 `json:"outcomes"`
	Reasons        map[string]uint64 `json:"reasons"`
	Published      []published       `json:"published"`
	Unacknowledged uint64            `json:"unacknowledged"`
}

type published struct {
	MinuteMs  int64  `json:"minute"`
	Partition int32  `json:"partition"`
	Records   uint64 `json:"records"`
	First     int64  `json:"first"`
	Last      int64  `json:"last"`
}

// FillAccount writes a collector's account into the row, which is of no site.
func (r *Row) FillAccount(ev *onepxv1.Event) {
	r.EventID, r.EventIDOrigin = ID(ev.GetEventId()), word(ev.GetEventIdOrigin().String(), "ID_ORIGIN_")
	r.ReceivedAt, r.OccurredAt = instant(ev.GetReceivedAtMs()), instant(ev.GetOccurredAtMs())
	told := ev.GetAccount()
	a := account{
		Collector: ID(told.GetCollector()), Sequence: told.GetSequence(), Acknowledged: told.GetAcknowledged(), Last: told.GetLast(),
		Outcomes: map[string]uint64{}, Reasons: map[string]uint64{}, Published: []published{}, Unacknowledged: told.GetUnacknowledged(),
	}
	for _, e := range told.GetEnded() {
		a.Outcomes[e.GetOutcome()] += e.GetEvents()
		if e.GetReason() != "" {
			a.Reasons[e.GetReason()] += e.GetEvents()
		}
	}
	for _, p := range told.GetPublished() {
		a.Published = append(a.Published, published{instant(p.GetMinuteMs()).UnixMilli(), p.GetPartition(), p.GetRecords(), p.GetFirstOffset(), p.GetLastOffset()})
	}
	text, err := json.Marshal(a)
	if err != nil {
		return // not reached: maps of texts and numbers
	}
	r.Account = string(text)
}
