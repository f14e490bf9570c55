package api_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
)

const exportsPath = "/v1/sites/shop/exports"

func TestAnExportIsAJobOfTheKeysSite(t *testing.T) {
	w := newWorld(t)
	answer := w.post(shopKey, exportsPath, `{"segment":"cart","format":"meta","contacts":"customers"}`)
	require.Equal(t, http.StatusAccepted, answer.status, answer.body)
	var got struct{ ID uuid.UUID }
	require.NoError(t, json.Unmarshal([]byte(answer.body), &got))
	require.Equal(t, exportsPath+"/"+got.ID.String(), answer.header.Get("Location"))
	require.Equal(t, []jobs.Job{{ID: got.ID, Kind: jobs.Export, Site: "shop", AskedBy: "key shop/all", AskedAt: now, List: &jobs.List{Segment: "cart", Format: jobs.Meta, Contacts: "customers"}}}, w.written)
	require.NoError(t, w.written[0].Validate())
	require.JSONEq(t, `{"id":"`+got.ID.String()+`","step":"waiting","members":0,"added":0,"removed":0,"without_contact":0,"without_share":0,"unusable":0,"bytes":0,"files":[]}`,
		w.get(shopKey, exportsPath+"/"+got.ID.String()).body)
}

func TestExportsThatCanNotBeAreRefusedAtOnce(t *testing.T) {
	w := newWorld(t)
	for body, want := range map[string]string{
		`{"segment":"nothing","format":"csv"}`:                         "body.segment is no audience of the site",
		`{"segment":"../x","format":"csv"}`:                            "body.segment",
		`{"segment":"cart","format":"xlsx"}`:                           "body.format",
		`{"segment":"cart","format":"meta"}`:                           "format meta needs contacts",
		`{"segment":"cart","format":"csv","contacts":"customers"}`:     "format csv takes no contacts",
		`{"segment":"cart","format":"meta","contacts":"../../passwd"}`: "body.contacts",
	} {
		answer := w.post(shopKey, exportsPath, body)
		require.Equal(t, http.StatusUnprocessableEntity, answer.status, body)
		require.Contains(t, answer.problem(t), want)
	}
	require.Equal(t, http.StatusForbidden, w.post(adsKey, exportsPath, `{"segment":"cart","format":"csv"}`).status)
	require.Equal(t, http.StatusNotFound, w.post(blogKey, exportsPath, `{"segment":"cart","format":"csv"}`).status)
	require.Empty(t, w.written)
}

func TestExportsTheirStepsAndTheirFiles(t *testing.T) {
	w := newWorld(t)
	done := exportlog.Export{
		ID: visitor(1), Site: "shop", Segment: "cart", Version: "v1", Format: "csv", Step: exportlog.Done, AskedBy: "ticket", AskedAt: now, At: now, DoneAt: now.Add(time.Second), Previous: visitor(2),
		Members: 2, Added: 1, Removed: 1, Bytes: 30, Files: []string{"members.csv", "added.csv", "removed.csv"}, Lines: []uint64{2, 1, 1},
	}
	failed, foreign, gone := done, done, done
	failed.ID, failed.Step, failed.Error, failed.Previous = visitor(3), exportlog.Failed, "contacts shop/x.csv: no such file or directory", uuid.Nil
	foreign.ID, foreign.Site = visitor(4), "blog"
	gone.ID, gone.Step = visitor(5), exportlog.Erased
	w.exports = []exportlog.Export{done, failed, foreign, gone}
	const at = `"2026-11-26T12:00:00Z"`
	want := `{"id":"` + visitor(1).String() + `","segment":"cart","version":"v1","format":"csv","step":"done","asked_by":"ticket","asked_at":` + at + `,"at":` + at + `,"done_at":"2026-11-26T12:00:01Z","previous":"` + visitor(2).String() + `",
		"members":2,"added":1,"removed":1,"without_contact":0,"without_share":0,"unusable":0,"bytes":30,"files":[{"name":"members.csv","lines":2},{"name":"added.csv","lines":1},{"name":"removed.csv","lines":1}]}`
	require.JSONEq(t, want, w.get(shopKey, exportsPath+"/"+visitor(1).String()).body)
	var list struct{ Exports []json.RawMessage }
	w.get(shopKey, exportsPath).into(t, &list)
	require.Len(t, list.Exports, 3, "not those of the blog")
	require.JSONEq(t, want, string(list.Exports[0]))
	require.Contains(t, string(list.Exports[1]), "no such file")
	require.NotContains(t, string(list.Exports[2]), "members.csv", "its files are gone")

	folder := filepath.Join(w.dir, done.Folder())
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "members.csv"), []byte("visitor_id\n"), 0o600))
	file := w.get(shopKey, exportsPath+"/"+visitor(1).String()+"/files/members.csv")
	require.Equal(t, http.StatusOK, file.status)
	require.Equal(t, "visitor_id\n", file.body)
	require.Equal(t, "text/csv; charset=utf-8", file.header.Get("Content-Type"))
	require.Equal(t, `attachment; filename="cart-members.csv"`, file.header.Get("Content-Disposition"))
	require.Equal(t, "no-store", file.header.Get("Cache-Control"))
	for _, path := range []string{
		"/" + visitor(4).String(), "/" + visitor(9).String(), "/" + visitor(4).String() + "/files/members.csv", "/" + visitor(1).String() + "/files/other.csv", "/" + visitor(1).String() + "/files/removed.csv",
		"/" + visitor(1).String() + "/files/..%2Fmembers.csv", "/" + visitor(3).String() + "/files/members.csv", "/" + visitor(5).String() + "/files/members.csv",
	} {
		answer := w.get(shopKey, exportsPath+path)
		require.Equal(t, http.StatusNotFound, answer.status, path)
		require.Equal(t, "there is nothing here for this key", answer.problem(t), path)
	}
	require.Equal(t, http.StatusForbidden, w.get(adsKey, exportsPath+"/"+visitor(1).String()+"/files/members.csv").status)
}
