package clickhouseconn

import (
	"reflect"
	"strings"
)

// Columns are the columns that a struct is a row of, in the order of its fields, quoted; by its tags `ch`.
func Columns[R any]() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[R]()) {
		if !field.Anonymous {
			names = append(names, "`"+field.Tag.Get("ch")+"`")
		}
	}
	return names
}

// Literal is a text as it stands in a query.
func Literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
