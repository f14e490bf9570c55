package api

import (
	"io/fs"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/language"
)

func TestAllTextsAreThereInAllLanguages(t *testing.T) {
	files, err := fs.Glob(wishFiles, "wish/*.json")
	require.NoError(t, err)
	require.Len(t, languages, len(files), "a file that nobody reads")
	require.Equal(t, "en", languages[0].Language)
	seen := map[string]bool{}
	for _, texts := range languages {
		require.Equal(t, texts.Language, language.MustParse(texts.Language).String())
		require.Contains(t, []string{"ltr", "rtl"}, texts.Direction)
		fields := reflect.ValueOf(texts).Elem()
		for i := range fields.NumField() {
			text, name := fields.Field(i).String(), fields.Type().Field(i).Name
			require.NotEmpty(t, text, "%s.%s", texts.Language, name)
			require.True(t, name == "Direction" || !seen[text], "%s.%s is the same elsewhere: %s", texts.Language, name, text)
			seen[text] = true
		}
	}
}
