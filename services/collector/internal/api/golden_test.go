package api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
)

var update = flag.Bool("update", false, "write testdata/hits anew")

// golden is one file of testdata/hits: a request, and the event and answer that come of it. Tags in other languages can be
// tested with the same files.
type golden struct {
	// About says what is special.
	About string `json:"about"`
	// Method is GET unless given.
	Method  string            `json:"method,omitempty"`
	Target  string            `json:"target"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	// Answer is the header Onepx-Event, Event the event stored, or null.
	Answer string          `json:"answer"`
	Event  json.RawMessage `json:"event"`
}

func TestGoldenHits(t *testing.T) {
	files, err := filepath.Glob("testdata/hits/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var want golden
			require.NoError(t, json.Unmarshal(data, &want))
			e := start(t)
			headers := []string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "X-Forwarded-For", "81.2.69.160"}
			for name, value := range want.Headers {
				headers = append(headers, name, value)
			}
			got := want
			method := cmp.Or(want.Method, http.MethodGet)
			got.Answer = e.send(method, want.Target, strings.NewReader(want.Body), headers...).onepx()
			got.Event = json.RawMessage("null")
			if len(e.publisher.events) == 1 {
				got.Event, err = protojson.MarshalOptions{UseProtoNames: true}.Marshal(e.publisher.events[0])
				require.NoError(t, err)
			}
			if *update {
				var out bytes.Buffer
				encoder := json.NewEncoder(&out)
				encoder.SetEscapeHTML(false)
				encoder.SetIndent("", "  ")
				require.NoError(t, encoder.Encode(got))
				require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
				return
			}
			require.Equal(t, want.Answer, got.Answer)
			require.JSONEq(t, string(want.Event), string(got.Event))
		})
	}
}
