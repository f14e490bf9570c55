package ac_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/consent/ac"
)

// ofTheSpecification is Google's own example.
const ofTheSpecification = "2~1.35.41.101~dv.9.21.81"

func TestStrings(t *testing.T) {
	for _, test := range []struct {
		why, text            string
		consented, disclosed []int
		err                  error
	}{
		{"of Google's specification", ofTheSpecification, []int{1, 35, 41, 101}, []int{9, 21, 81}, nil},
		{"of version 1", "1~1.35", []int{1, 35}, nil, nil},
		{"of version 1, nobody allowed", "1~", nil, nil, nil},
		{"nobody allowed, all told of", "2~~dv.9.21", nil, []int{9, 21}, nil},
		{"all allowed", "2~9.21~dv.", []int{9, 21}, nil, nil},
		{"nobody at all", "2~~dv.", nil, nil, nil},
		{"version 2 without those told of", "2~9", []int{9}, nil, nil},
		{"empty", "", nil, nil, ac.ErrVersion},
		{"a version alone", "2", nil, nil, ac.ErrFormat},
		{"another version", "3~1", nil, nil, ac.ErrVersion},
		{"a macro", "${ADDTL_CONSENT}", nil, nil, ac.ErrVersion},
		{"version 1 with those told of", "1~1~dv.2", nil, nil, ac.ErrFormat},
		{"a third part without its mark", "2~1~9.21", nil, nil, ac.ErrFormat},
		{"a fourth part", "2~1~dv.2~3", nil, nil, ac.ErrFormat},
		{"commas", "2~1,35~dv.", nil, nil, ac.ErrFormat},
		{"two dots", "2~1..35~dv.", nil, nil, ac.ErrFormat},
		{"a dot at the end", "2~1.~dv.", nil, nil, ac.ErrFormat},
		{"an id that is none", "2~0~dv.", nil, nil, ac.ErrFormat},
		{"an id written with noughts", "2~007~dv.", nil, nil, ac.ErrFormat},
		{"an id below", "2~-1~dv.", nil, nil, ac.ErrFormat},
		{"a huge id", "2~1234567~dv.", nil, nil, ac.ErrFormat},
		{"huge", "2~1" + strings.Repeat(".1", ac.MaxLength) + "~dv.", nil, nil, ac.ErrLength},
	} {
		t.Run(test.why, func(t *testing.T) {
			s, err := ac.Parse(test.text)
			require.Equal(t, test.err, err)
			require.Equal(t, test.consented, ids(s.Consented))
			require.Equal(t, test.disclosed, ids(s.Disclosed))
		})
	}
}

func ids(p ac.Providers) (in []int) {
	for id := -2; id < 300; id++ {
		if p.Contains(id) {
			in = append(in, id)
		}
	}
	return in
}

func BenchmarkParseAndAsk(b *testing.B) {
	text := "2~1" + strings.Repeat(".3077", 500) + ".4000~dv.9" + strings.Repeat(".2072", 200)
	b.ReportAllocs()
	for b.Loop() {
		if s, err := ac.Parse(text); err != nil || !s.Consented.Contains(4000) {
			b.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{ofTheSpecification, "1~1.35", "2~~dv.", "1~", "2~1~dv.2~3", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ac.Parse(text)
		if err != nil {
			require.Zero(t, s)
			return
		}
		require.False(t, s.Consented.Contains(0) || s.Disclosed.Contains(-1) || s.Consented.Contains(ac.MaxID+1))
	})
}
