package main

import (
	"context"
	"fmt"
)

// tcString is what a large banner writes: ten purposes, some 900 vendors, restrictions, disclosed vendors, and a publisher with
// consent to a cookie and to measuring.
const tcString = "CQt-4cAQt-4cAEsADADECWFgAP_AAEPAAAYgHBuy3x6wP1-3_23_n3d3uPS2P353vr7Zed_1_-_OZ_XzUN0_xf_sXcP_Ofs7ce29_-i_3_v_3Nldn9d5r-_vj76eftH-e_7_O365f2Pv__8dfn-vf_9vv9J9FSbfs79r5zuDZhzf-_q3Km6_kfbyz2evgbyIARDgAZULb1bCECAgEgEIAoKFQMsIgwWMCdAgIjRZEAyQxELGQYAHs4cBEgCKhEiKIIiUgYEAiQhDgOA4aHBoIgAbAaRmYZBAkAAAo26AxAQQo8hAoTghgUBIyhCAhEGAEAAAzjIJUoABoA4BAPZgAhIBwAnQBRgCpAMSAaIA3QB6QD3gKAAU4AtABeQDcAHBgAAA.IImNr5P_d-P7-073____f0-__qm_n_Y_8u-fne__7_5Xa_fvT-__--P__7_fr83_7_P-77N3__-3_rP_v__7v_-n____7t67a_-nnf294vv4-3__di3P93t9-_1x____292_v__-8_1-_XP_rf33u_973u3-_9uvv_96p_r3ffvZEX_-7v_z7_9t-8kA.cCAAAAAAAAAA"

// consentBench compares hits with a TC string and hits without one, at the same collector.
func consentBench(ctx context.Context, w *world) (report, error) {
	collector, err := w.pipeline.StartCollector(ctx, "collector")
	if err != nil {
		return report{}, err
	}
	defer func() { _ = collector.Stop() }()
	without, err := contest("without", collector.Process, collector.URL, "stored")
	if err != nil {
		return report{}, err
	}
	with, err := contest("with", collector.Process, collector.URL, "stored")
	if err != nil {
		return report{}, err
	}
	with.client.more = "&gdpr=1&gdpr_consent=" + tcString
	if err := fullLoad(ctx, w, []*contestant{without, with}); err != nil {
		return report{}, err
	}
	return report{
		numbers: []number{
			{"consent_throughput_ratio", ratio(with.rates, without.rates), "x", atLeast(0.9), "answers per second of `/p.gif` with a TC string in every hit, against those without one"},
			{"consent_cpu_ratio", ratio(with.cpu, without.cpu), "x", nil, "CPU time of the collector for an answer, the same way"},
		},
		method: fmt.Sprintf(`One collector takes a page view with a cookie, by turns of %s with and without a TC string of %d characters (some 900 vendors) that allows cookie and
measuring. %d connections never wait; Kafka acknowledges each hit. A ratio is that of neighbouring turns.`, measured, len(tcString), busy),
	}, nil
}
