// Package migrations holds the ClickHouse schema. Its only owner is the consumer; store.Migrate applies the files in the
// order of their numbers. A file is a Go template (the methods of store.Schema) and may use what itself and the files before it
// define; every statement can be repeated.
package migrations

import "embed"

// Files are the migrations by name, NNNN_noun.sql.
//
//go:embed *.sql
var Files embed.FS
