package jobs_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/suppression"
)

func job(change ...func(*jobs.Job)) jobs.Job {
	j := jobs.Job{
		ID: uuid.New(), Kind: jobs.Erase, AskedBy: "ticket 17", AskedAt: time.UnixMilli(1_795_608_000_123).UTC(),
		People: jobs.People{Visitors: []uuid.UUID{uuid.New(), uuid.New()}, Users: []uuid.UUID{uuid.New()}, Recipients: []uuid.UUID{uuid.New()}},
	}
	for _, c := range change {
		c(&j)
	}
	return j
}

func TestAJobIsReadAsItWasWritten(t *testing.T) {
	want := job()
	message, err := want.Message()
	require.NoError(t, err)
	require.Equal(t, want.ID[:], message.Key)
	got, err := jobs.Parse(message.Value)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func export(change ...func(*jobs.Job)) jobs.Job {
	return job(append([]func(*jobs.Job){func(j *jobs.Job) {
		j.Kind, j.Site, j.People = jobs.Export, "shop", jobs.People{}
		j.List = &jobs.List{Segment: "cart_abandoners", Format: jobs.Meta, Contacts: "customers"}
	}}, change...)...)
}

func TestAnExportIsReadAsItWasWritten(t *testing.T) {
	want := export()
	message, err := want.Message()
	require.NoError(t, err)
	got, err := jobs.Parse(message.Value)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NotContains(t, string(message.Value), "people")
}

func TestAJobFromBeforeThereWereExportsIsStillRead(t *testing.T) {
	got, err := jobs.Parse([]byte(`{"id":"0190b5ad-0000-7000-8000-000000000001","kind":"erase","asked_by":"ticket 17","asked_at":"2026-11-25T12:00:00.123Z","people":{"visitors":["0190b5ad-0000-7000-8000-000000000002"]}}`))
	require.NoError(t, err)
	require.Equal(t, jobs.Erase, got.Kind)
	require.Equal(t, []uuid.UUID{uuid.MustParse("0190b5ad-0000-7000-8000-000000000002")}, got.People.Visitors)
	require.Nil(t, got.List)
}

func TestTheLargestJobFitsIntoARecord(t *testing.T) {
	message, err := job(func(j *jobs.Job) {
		j.People = jobs.People{Visitors: make([]uuid.UUID, jobs.MaxIDs)}
		for i := range j.People.Visitors {
			j.People.Visitors[i] = uuid.New()
		}
	}).Message()
	require.NoError(t, err)
	require.Less(t, len(message.Value), 500_000)
}

func TestWhatIsNoJobIsRefused(t *testing.T) {
	for name, change := range map[string]func(*jobs.Job){
		"no id":                                  func(j *jobs.Job) { j.ID = uuid.Nil },
		"another kind":                           func(j *jobs.Job) { j.Kind = "rename" },
		"an export of no list":                   func(j *jobs.Job) { *j = export(); j.List = nil },
		"an export of people":                    func(j *jobs.Job) { j.Kind, j.List = jobs.Export, export().List },
		"an erasure of a list":                   func(j *jobs.Job) { j.List = export().List },
		"a path as a site":                       func(j *jobs.Job) { *j = export(); j.Site = "../shop" },
		"no segment":                             func(j *jobs.Job) { *j = export(); j.List.Segment = "" },
		"a path as contacts":                     func(j *jobs.Job) { *j = export(); j.List.Contacts = "a/b" },
		"an unknown format":                      func(j *jobs.Job) { *j = export(); j.List.Format = "xlsx" },
		"a platform's list without contacts":     func(j *jobs.Job) { *j = export(); j.List.Contacts = "" },
		"the site's own list, but with contacts": func(j *jobs.Job) { *j = export(); j.List.Format = jobs.CSV },
		"nobody asked":                           func(j *jobs.Job) { j.AskedBy = " " },
		"who asked is too long":                  func(j *jobs.Job) { j.AskedBy = strings.Repeat("ä", 129) },
		"no time":                                func(j *jobs.Job) { j.AskedAt = time.Time{} },
		"no ids":                                 func(j *jobs.Job) { j.People = jobs.People{} },
		"too many ids":                           func(j *jobs.Job) { j.People.Visitors = make([]uuid.UUID, jobs.MaxIDs+1) },
		"an id of zeros":                         func(j *jobs.Job) { j.People.Users[0] = uuid.Nil },
	} {
		t.Run(name, func(t *testing.T) {
			j := job(change)
			_, err := j.Message()
			require.ErrorIs(t, err, jobs.ErrInvalid)
			value, err := json.Marshal(j)
			require.NoError(t, err)
			_, err = jobs.Parse(value)
			require.ErrorIs(t, err, jobs.ErrInvalid)
		})
	}
}

func TestAnIDIsAddedOnce(t *testing.T) {
	var p jobs.People
	id := uuid.New()
	for range 2 {
		p.Add(suppression.Visitor, id)
		p.Add(suppression.User, id)
		p.Add(suppression.Recipient, id)
	}
	require.Equal(t, jobs.People{Visitors: []uuid.UUID{id}, Users: []uuid.UUID{id}, Recipients: []uuid.UUID{id}}, p)
}

func FuzzParse(f *testing.F) {
	message, err := job().Message()
	require.NoError(f, err)
	f.Add(message.Value)
	message, err = export().Message()
	require.NoError(f, err)
	f.Add(message.Value)
	f.Add([]byte("{}"))
	f.Add([]byte(`{"id":"x"}`))
	f.Add([]byte("null null"))
	f.Fuzz(func(t *testing.T, value []byte) {
		j, err := jobs.Parse(value)
		if err != nil {
			require.ErrorIs(t, err, jobs.ErrInvalid)
			return
		}
		_, err = j.Message()
		require.NoError(t, err)
	})
}
