package store

import (
	"github.com/onepx/onepx/services/consumer/internal/mailrules"
	"github.com/onepx/onepx/services/shared/mailtoken"
)

// The functions here are template functions of 0024_mail.sql and 0025_mail_reports.sql; docs/mail-reports.md defines what they compute.

// MailFound is the rule that was found for a hit of an e-mail.
func (s Schema) MailFound() string { return mailrules.Found() }

// MailIsScan tells that a hit shows a scanner's network.
func (s Schema) MailIsScan() string { return mailrules.IsScan() }

// MailRule is the rule of a hit.
func (s Schema) MailRule() string { return mailrules.Final() }

// MailClass is the class of a hit.
func (s Schema) MailClass() string { return mailrules.Class() }

// MailLimits are the limits of the rules.
func (s Schema) MailLimits() map[string]any {
	return map[string]any{
		"SweepLinks": mailrules.SweepLinks, "SweepMs": mailrules.SweepMs, "SweepNearMs": mailrules.SweepNearMs,
		"HoneypotMs": mailrules.HoneypotMs, "HoneypotLink": mailtoken.Honeypot,
		"OrderLinks": mailrules.OrderLinks, "OrderMs": mailrules.OrderMs,
		"EarlyMs": mailrules.EarlyMs, "EarlyBeforeMs": mailrules.EarlyBeforeMs,
		"NetworkRecipients": mailrules.NetworkRecipients, "NetworkHalfMs": mailrules.NetworkHalfMs,
		"OnSiteMs": mailrules.OnSiteMs, "TogetherMs": mailrules.TogetherMs,
	}
}
