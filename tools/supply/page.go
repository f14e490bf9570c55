package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const pageHead = `<!-- Written by make docs. DO NOT EDIT. -->
# Licences

onepx is under [Apache-2.0](../LICENSE). Each service is one static program, linked from the Go standard library (BSD-3-Clause) and from the modules below.
The ids are SPDX's; several on a line hold together, each for a part of the module. They were told from the texts in the modules, of
the linked packages' folders and those above. ` + "`make check`" + ` fails when a module comes with a text that is not known or under a licence other than: %s.

Who passes the programs on passes the texts on with them: ` + "`make sbom`" + ` writes them to ` + "`bin/sbom/SERVICE.licences.txt`" + `, beside the bill of materials.
Lists that come with the consumer have [their own](quality.md#lists). Kafka and ClickHouse are not part of onepx.

| Module | Version | Licence | In |
|---|---|---|---|
`

// row is a module of the page.
type row struct {
	module
	licences []string
	services []string
}

// licencesPage is docs/licences.md. The error names every module whose licence is not known or not allowed.
func licencesPage(ctx context.Context, root string) ([]byte, error) {
	rows := map[string]*row{}
	var wrong []error
	for _, service := range services {
		modules, err := linked(ctx, root, service)
		if err != nil {
			return nil, err
		}
		for _, m := range modules {
			if strings.HasPrefix(m.Path, own) {
				continue
			}
			// Services are separate modules and may have separate versions of the same one.
			key := m.Path + " " + m.Version
			if rows[key] == nil {
				licences, err := licencesOf(m)
				wrong = append(wrong, err)
				rows[key] = &row{module: m, licences: ids(licences)}
			}
			rows[key].services = append(rows[key].services, service)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	page := bytes.NewBufferString(fmt.Sprintf(pageHead, strings.Join(allowed, ", ")))
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		r := rows[key]
		_, _ = fmt.Fprintf(page, "| %s | %s | %s | %s |\n", r.Path, r.Version, strings.Join(r.licences, ", "), strings.Join(r.services, ", "))
	}
	return page.Bytes(), nil
}
