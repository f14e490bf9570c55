package enrich

// Impossible is for tests, which want to know which rule holds.
var Impossible = impossible

// Impossibilities are the ids of the rules.
func Impossibilities() []string {
	var ids []string
	for _, rule := range impossibilities {
		ids = append(ids, rule.id)
	}
	return ids
}
