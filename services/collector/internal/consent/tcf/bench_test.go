package tcf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/consent/tcf"
)

// typical is what a large banner writes: ten purposes, some 900 vendors, restrictions, disclosed vendors, publisher.
const typical = "CQt-4cAQt-4cAEsADADECWFgAP_AAEPAAAYgHBuy3x6wP1-3_23_n3d3uPS2P353vr7Zed_1_-_OZ_XzUN0_xf_sXcP_Ofs7ce29_-i_3_v_3Nldn9d5r-_vj76eftH-e_7_O365f2Pv__8dfn-vf_9vv9J9FSbfs79r5zuDZhzf-_q3Km6_kfbyz2evgbyIARDgAZULb1bCECAgEgEIAoKFQMsIgwWMCdAgIjRZEAyQxELGQYAHs4cBEgCKhEiKIIiUgYEAiQhDgOA4aHBoIgAbAaRmYZBAkAAAo26AxAQQo8hAoTghgUBIyhCAhEGAEAAAzjIJUoABoA4BAPZgAhIBwAnQBRgCpAMSAaIA3QB6QD3gKAAU4AtABeQDcAHBgAAA.IImNr5P_d-P7-073____f0-__qm_n_Y_8u-fne__7_5Xa_fvT-__--P__7_fr83_7_P-77N3__-3_rP_v__7v_-n____7t67a_-nnf294vv4-3__di3P93t9-_1x____292_v__-8_1-_XP_rf33u_973u3-_9uvv_96p_r3ffvZEX_-7v_z7_9t-8kA.cCAAAAAAAAAA"

func BenchmarkParseAndAsk(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s, err := tcf.Parse(typical)
		if err != nil || !s.Disclosed.Contains(755) || s.Restriction(2, 755) != tcf.Unrestricted {
			b.Fatal(err)
		}
	}
}

func TestATypicalStringCostsFewAllocations(t *testing.T) {
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = tcf.Parse(typical) }), 5.0)
}
