package enrich

// CertainPart is for the fuzz test, to which a whole Enricher for each pattern is too slow.
var CertainPart = certainPart
