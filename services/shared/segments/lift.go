package segments

// Lift is the query of the view retargeting_lift, with its parameters.
func Lift(database string) string {
	b := newBlocks(Source{Database: database})
	b.ByAll = b.judge(b.render("hits_of_lift"), "visitor_id", []level{
		{"ordered", ""}, {"numbered", "everywhere"}, {"spans", "everywhere"}, {"bounds", "spans"},
		{"entered_in_spans", "spans, overs"}, {"counted_in_spans", "spans, overs"}, {"firsts", ""}, {"first", ""},
	})
	return b.render("lift")
}
