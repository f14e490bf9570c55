//go:build integration

package golden_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/ledger"
)

// comparison holds answers against those of the reference.
type comparison struct {
	clickHouse ledger.ClickHouse
	site       string
	// ids are those that senders gave; the others are the collector's, and nobody knows them before.
	ids map[string]bool
	mu  sync.Mutex // guards persons and labels
	// persons and labels say which id of the product is which person of the reference: one to one.
	persons map[string]answers.Label
	labels  map[answers.Label]string
}

func newComparison(clickHouse ledger.ClickHouse, site string, events []answers.Event) *comparison {
	c := &comparison{clickHouse: clickHouse, site: site, ids: map[string]bool{}, persons: map[string]answers.Label{}, labels: map[answers.Label]string{}}
	for _, e := range events {
		c.ids[e.ID] = true
	}
	return c
}

// nobody is the person of a conversion that nobody is known of.
const nobody = "00000000-0000-0000-0000-000000000000"

// row is a row of an answer: the columns that tell it apart, and the others.
type row struct {
	key    string
	values map[string]any
}

// maxDifferences are printed of a question.
const maxDifferences = 15

func (c *comparison) compare(t *testing.T, q question, r answers.Range) {
	want, keys, columns := expected(q.want)
	sql := fmt.Sprintf("SELECT * FROM onepx.%s(site = '%s', from = '%s', to = '%s'%s)", q.view, c.site, r.From, r.To, q.more)
	got := map[string]map[string]any{}
	var differences []string
	differs := func(key, column string, got, want any) {
		differences = append(differences, fmt.Sprintf("%s: %s: got %v, want %v", key, column, got, want))
	}
	require.NoError(t, c.clickHouse.Query(t.Context(), sql, func(raw json.RawMessage) error {
		values := map[string]any{}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		err := decoder.Decode(&values)
		for column, value := range values {
			values[column] = truth(value, columns[column])
		}
		if id, ok := values["event_id"].(string); ok && !c.ids[id] {
			values["event_id"] = ""
		}
		key := keyOf(keys, values)
		if _, twice := got[key]; twice {
			differs(key, "row", "two", "one")
		}
		got[key] = values
		return err
	}), sql)
	for _, w := range want {
		values, found := got[w.key]
		delete(got, w.key)
		if !found {
			differs(w.key, "row", "none", shown(w.values))
			continue
		}
		for _, column := range slices.Sorted(maps.Keys(w.values)) {
			value, has := values[column]
			if !has || !c.same(value, w.values[column]) {
				differs(w.key, column, value, show(w.values[column]))
			}
		}
	}
	for key, values := range got {
		differs(key, "row", values, "none")
	}
	slices.Sort(differences)
	if n := len(differences); n > 0 {
		t.Errorf("seed %d: %s\n%d rows wanted, %d differences\n%s", seed(t), sql, len(want), n, strings.Join(differences[:min(n, maxDifferences)], "\n"))
	}
}

// truth writes ClickHouse's 0 and 1 as what they mean where the reference has a bool.
func truth(got, want any) any {
	if _, ok := want.(bool); ok && (got == json.Number("0") || got == json.Number("1")) {
		return got == json.Number("1")
	}
	return got
}

// expected reads the rows of the reference, which columns are the key, and an example of each column.
func expected(rows any) (all []row, keys []string, columns map[string]any) {
	list := reflect.ValueOf(rows)
	columns = map[string]any{}
	walk(reflect.New(list.Type().Elem()).Elem(), columns, &keys)
	for i := range list.Len() {
		values := map[string]any{}
		walk(list.Index(i), values, new([]string))
		all = append(all, row{keyOf(keys, values), values})
	}
	return all, keys, columns
}

// walk adds the fields of a row; `key` and `col` name columns, `cols` the first part of several.
func walk(of reflect.Value, values map[string]any, keys *[]string) {
	for i := range of.NumField() {
		field, value := of.Type().Field(i), of.Field(i)
		if field.Anonymous {
			walk(value, values, keys)
			continue
		}
		if prefix, several := field.Tag.Lookup("cols"); several {
			for one := value.MapRange(); one.Next(); {
				values[prefix+one.Key().String()] = one.Value().Interface()
			}
			continue
		}
		if name, ok := field.Tag.Lookup("key"); ok {
			*keys = append(*keys, name)
			values[name] = value.Interface()
			continue
		}
		values[field.Tag.Get("col")] = value.Interface()
	}
}

func keyOf(columns []string, values map[string]any) string {
	var parts []string
	for _, column := range columns {
		parts = append(parts, fmt.Sprintf("%s=%v", column, values[column]))
	}
	return strings.Join(parts, " ")
}

// same compares what ClickHouse says with what the reference says.
func (c *comparison) same(got, want any) bool {
	switch w := want.(type) {
	case answers.Label:
		return c.samePerson(fmt.Sprint(got), w)
	case *float64:
		number, ok := got.(json.Number)
		if !ok || w == nil {
			return got == nil && w == nil
		}
		g, err := number.Float64()
		return err == nil && math.Abs(g-*w) <= 1e-6*max(1, math.Abs(*w))
	case *big.Int:
		if got == nil || w == nil {
			return got == nil && w == nil
		}
		return sameNumber(got, answers.Decimal(w))
	case int:
		return sameNumber(got, fmt.Sprint(w))
	case bool:
		return got == w
	case []string:
		list, ok := got.([]any)
		if !ok {
			return false
		}
		var g []string
		for _, one := range list {
			g = append(g, fmt.Sprint(one))
		}
		slices.Sort(g)
		return slices.Equal(g, slices.Sorted(slices.Values(w))) // w is of other questions too
	}
	return fmt.Sprint(got) == fmt.Sprint(want)
}

func sameNumber(got any, want string) bool {
	g, ok := new(big.Rat).SetString(fmt.Sprint(got))
	w, _ := new(big.Rat).SetString(want)
	return ok && g.Cmp(w) == 0
}

func (c *comparison) samePerson(id string, label answers.Label) bool {
	if label == "" || id == nobody {
		return label == "" && id == nobody
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.persons[id]; !known && c.labels[label] == "" {
		c.persons[id], c.labels[label] = label, id
	}
	return c.persons[id] == label && c.labels[label] == id
}

func show(value any) any {
	switch v := value.(type) {
	case *big.Int:
		if v == nil {
			return "null"
		}
		return answers.Decimal(v)
	case *float64:
		if v == nil {
			return "null"
		}
		return *v
	}
	return value
}

func shown(values map[string]any) map[string]any {
	texts := map[string]any{}
	for column, value := range values {
		texts[column] = show(value)
	}
	return texts
}
