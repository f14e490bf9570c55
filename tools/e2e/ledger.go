package main

import (
	"context"
	"errors"
	"fmt"
)

// ledgerBalance is what the views ledger and ledger_gaps say of the last days.
type ledgerBalance struct {
	// Minutes is how many minutes of a partition have rows.
	Minutes int
	// Gaps and Doubles are how many ranges of offsets have no row or fewer than collectors tell of, and more than one.
	Gaps, Doubles int
	// Accounts is how many minutes collectors told of, and Unknown how many of a partition have rows that none of them told
	// of, as it was killed.
	Accounts, Unknown int
	// Views is how many ranges and days of tables that views fill differ from the rows.
	Views int
}

func (w *world) compareLedger(ctx context.Context) (b ledgerBalance, err error) {
	const days = "(from = today() - 1, to = today() + 1)"
	err = w.sql().One(ctx, "SELECT (SELECT count() FROM onepx.ledger"+days+") AS Minutes, (SELECT count() FROM onepx.ledger_accounts"+days+") AS Accounts, "+
		"countIf(difference NOT IN ('double', 'unknown')) AS Gaps, countIf(difference = 'unknown') AS Unknown, (SELECT count() FROM onepx.ledger_views"+days+") AS Views, "+
		"countIf(difference = 'double') AS Doubles FROM onepx.ledger_gaps"+days, &b)
	return b, err
}

// Err says what is wrong, or nil.
func (b ledgerBalance) Err() error {
	return errors.Join(want(b.Views == 0, "ledger_views shows %d differences", b.Views), want(b.Gaps == 0, "ledger_gaps shows %d gaps", b.Gaps), want(b.Doubles == 0, "ledger_gaps shows %d doubles", b.Doubles))
}

func (b ledgerBalance) String() string {
	return fmt.Sprintf("minutes=%d gaps=%d doubles=%d accounts=%d unknown=%d views=%d", b.Minutes, b.Gaps, b.Doubles, b.Accounts, b.Unknown, b.Views)
}
