package gpp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/consent/gpp"
)

// What banners write: for a visitor in California, and one in the EU with a TC string of a few vendors.
const (
	typical   = "DBABzYA~1YNN~CEAqAAAAAACA.QA~BQoAAACA.QA"
	typicalEU = "DBABMA~CQuSqEAQuSqEAAAAAAENAAUogBAtuEAtnAAAAKqEqCAAAAAA.IBVO356OmP0PnutzOa2rd2W2dngS-8tM.aQMmwAAAAAAA"
)

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{"us": typical, "eu": typicalEU} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s, err := gpp.Parse(text)
				if err != nil || s.Unread != 0 {
					b.Fatal(err)
				}
				for i := range s.Sections {
					_ = s.Sections[i].Has(gpp.SaleOptOut, gpp.OptedOut)
				}
			}
		})
	}
}

func TestATypicalStringCostsFewAllocations(t *testing.T) {
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = gpp.Parse(typical) }), 3.0)
}
