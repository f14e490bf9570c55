package main

import (
	"context"
	"errors"
	"fmt"
)

// ledgerBalance is what the views ledger and ledger_gaps say of the last days. They know the rows, not the collectors' counts.
type ledgerBalance struct {
	// Minutes is how many minutes of a partition have rows.
	Minutes int
	// Gaps and Doubles are how many ranges of offsets have no row, and more than one.
	Gaps, Doubles int
}

func (w *world) compareLedger(ctx context.Context) (b ledgerBalance, err error) {
	const days = "(from = today() - 1, to = today() + 1)"
	err = w.sql().One(ctx, "SELECT (SELECT count() FROM onepx.ledger"+days+") AS Minutes, countIf(difference != 'double') AS Gaps, "+
		"countIf(difference = 'double') AS Doubles FROM onepx.ledger_gaps"+days, &b)
	return b, err
}

// Err says what is wrong, or nil.
func (b ledgerBalance) Err() error {
	return errors.Join(want(b.Gaps == 0, "ledger_gaps shows %d gaps", b.Gaps), want(b.Doubles == 0, "ledger_gaps shows %d doubles", b.Doubles))
}

func (b ledgerBalance) String() string {
	return fmt.Sprintf("minutes=%d gaps=%d doubles=%d", b.Minutes, b.Gaps, b.Doubles)
}
