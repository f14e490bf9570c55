package clickhouseconn

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
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

// Discreet is the error without what ClickHouse repeats of a query and its data, which may hold ids of people; for logs.
func Discreet(err error) error {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return fmt.Errorf("clickhouse exception %d (%s)", exception.Code, exception.Name)
	}
	return err
}
