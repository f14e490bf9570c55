package api

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Exports knows how far exports have come; see exportlog.Log.
type Exports interface {
	Last(ctx context.Context, id uuid.UUID) (exportlog.Export, bool, error)
	Latest(ctx context.Context, site string, limit int) ([]exportlog.Export, error)
}

type askExportInput struct {
	SiteInput
	Body struct {
		Segment  string `json:"segment" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"Id of the audience." example:"cart_abandoners"`
		Format   string `json:"format" enum:"csv,ndjson,parquet,google_customer_match,meta,tiktok,the_trade_desk" doc:"The first three are for the site itself, the others for the platforms of these names." example:"meta"`
		Contacts string `json:"contacts,omitempty" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"Name of the site's file of customers, for platforms." example:"customers"`
	}
}

type askExportOutput struct {
	Location string `header:"Location" doc:"Where to ask how far it has come."`
	Body     struct {
		ID ID `json:"id" doc:"Id of the export."`
	}
}

type exportFile struct {
	Name  string `json:"name" example:"members.csv"`
	Lines uint64 `json:"lines" doc:"Lines without the header; rows in Parquet."`
}

// export is an export as the API shows it.
type export struct {
	ID       ID         `json:"id"`
	Segment  string     `json:"segment,omitempty" example:"cart_abandoners"`
	Version  string     `json:"version,omitempty" doc:"Of the audience's rule."`
	Format   string     `json:"format,omitempty" example:"meta"`
	Contacts string     `json:"contacts,omitempty"`
	Step     string     `json:"step" doc:"waiting, asked, snapshot, written, done; or failed. The files of one that was done may be gone later: erased, removed." example:"done"`
	AskedBy  string     `json:"asked_by,omitempty"`
	AskedAt  *time.Time `json:"asked_at,omitempty"`
	At       *time.Time `json:"at,omitempty" doc:"The members are those of this instant."`
	DoneAt   *time.Time `json:"done_at,omitempty" doc:"When the step was done."`
	// What is counted appears with the files.
	Previous       *ID          `json:"previous,omitempty" doc:"The export that this one is compared with."`
	Members        uint64       `json:"members" doc:"Visitors in the list."`
	Added          uint64       `json:"added" doc:"Not in the previous one; visitors, or customers where the format is a platform's."`
	Removed        uint64       `json:"removed" doc:"In the previous one only."`
	WithoutContact uint64       `json:"without_contact" doc:"Members who stand in no file, since no contact of theirs can be used."`
	WithoutShare   uint64       `json:"without_share" doc:"Visitors of the audience who are not in the list, since they don't allow sharing."`
	Unusable       uint64       `json:"unusable" doc:"Texts of contacts that the format has no value for."`
	Bytes          uint64       `json:"bytes"`
	Files          []exportFile `json:"files"`
	Error          string       `json:"error,omitempty" doc:"Why it failed."`
}

func exportOf(e *exportlog.Export) export {
	out := export{
		ID: ID(e.ID), Segment: e.Segment, Version: e.Version, Format: e.Format, Contacts: e.Contacts, Step: e.Step, AskedBy: e.AskedBy, AskedAt: utc(e.AskedAt), At: utc(e.At), DoneAt: utc(e.DoneAt),
		Members: e.Members, Added: e.Added, Removed: e.Removed, WithoutContact: e.WithoutContact, WithoutShare: e.WithoutShare, Unusable: e.Unusable, Bytes: e.Bytes,
		Files: []exportFile{}, Error: e.Error,
	}
	if e.Previous != uuid.Nil {
		out.Previous = (*ID)(&e.Previous)
	}
	if e.Step == exportlog.Done {
		for i, name := range e.Files {
			out.Files = append(out.Files, exportFile{name, e.Lines[i]})
		}
	}
	return out
}

// utc is a moment; nil for one that has not come.
func utc(at time.Time) *time.Time {
	if at.Unix() == 0 {
		return nil
	}
	at = at.UTC()
	return &at
}

// ExportInput is the part of a path that names an export.
type ExportInput struct {
	SiteInput
	Export ID `path:"export" doc:"Id of the export." example:"3f1c2d4a-9d6a-8b1f-9d6a-5b0e3f1c2d4a"`
}

type exportOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         export
}

type exportsInput struct {
	SiteInput
	Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"How many, the latest first."`
}

type exportsOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Exports []export `json:"exports"`
	}
}

type exportFileInput struct {
	ExportInput
	Name string `path:"name" maxLength:"64" doc:"Name of the file, as the export lists it." example:"members.csv"`
}

func (s *Server) registerExports() {
	const right = siteconfig.RightExports
	ask := operation("export", http.MethodPost, "/exports", right, "Write an audience to files",
		"Writes a job, which `consumer jobs` does; docs/audiences.md has the formats.")
	ask.DefaultStatus = http.StatusAccepted
	register(s, ask, s.export)
	register(s, operation("list-exports", http.MethodGet, "/exports", right, "The latest exports of the site", ""), s.listExports)
	register(s, operation("get-export", http.MethodGet, "/exports/{export}", right, "How far an export has come, and what it holds", ""), s.getExport)
	file := operation("get-export-file", http.MethodGet, "/exports/{export}/files/{name}", right, "A file of an export",
		"Only of consoles that see the folder of exports. Ranges may be asked for.")
	file.Responses = map[string]*huma.Response{"200": {
		Description: "The file.", Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}}
	register(s, file, s.exportFile)
}

func (s *Server) export(ctx context.Context, in *askExportInput) (*askExportOutput, error) {
	list := jobs.List{Segment: in.Body.Segment, Format: jobs.Format(in.Body.Format), Contacts: in.Body.Contacts}
	if err := list.Validate(); err != nil {
		return nil, errInvalid("body", err.Error())
	}
	err := s.ask(ctx, func(ctx context.Context) error {
		found, err := s.deps.Audiences.Audiences(ctx, in.Site, list.Segment)
		if err == nil && len(found) == 0 {
			return errInvalid("body.segment", "is no audience of the site")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	job := s.job(ctx, jobs.Export, jobs.People{})
	job.List = &list
	if err := s.write(ctx, job); err != nil {
		return nil, err
	}
	out := &askExportOutput{Location: "/v1/sites/" + in.Site + "/exports/" + job.ID.String()}
	out.Body.ID = ID(job.ID)
	return out, nil
}

func (s *Server) listExports(ctx context.Context, in *exportsInput) (*exportsOutput, error) {
	out := &exportsOutput{CacheControl: "no-store"}
	out.Body.Exports = []export{}
	return out, s.ask(ctx, func(ctx context.Context) error {
		all, err := s.deps.Exports.Latest(ctx, in.Site, in.Limit)
		for i := range all {
			out.Body.Exports = append(out.Body.Exports, exportOf(&all[i]))
		}
		return err
	})
}

// last returns an export of the site. One that nobody has begun has only its id and the step waiting.
func (s *Server) last(ctx context.Context, in *ExportInput) (e exportlog.Export, err error) {
	err = s.ask(ctx, func(ctx context.Context) error {
		id, known := uuid.UUID(in.Export), false
		e, known, err = s.deps.Exports.Last(ctx, id)
		switch {
		case err != nil:
			return err
		case known && e.Site == in.Site:
			return nil
		case known || !s.deps.Sealer.Owns(id, in.Site):
			return errNotFound()
		}
		e = exportlog.New(jobs.Job{ID: id, Site: in.Site, AskedAt: time.Unix(0, 0), List: &jobs.List{}})
		e.Step = stepWaiting
		return nil
	})
	return e, err
}

func (s *Server) getExport(ctx context.Context, in *ExportInput) (*exportOutput, error) {
	e, err := s.last(ctx, in)
	return &exportOutput{CacheControl: "no-store", Body: exportOf(&e)}, err
}

// fileTime bounds the download of a file.
const fileTime = 30 * time.Minute

func (s *Server) exportFile(ctx context.Context, in *exportFileInput) (*huma.StreamResponse, error) {
	e, err := s.last(ctx, &in.ExportInput)
	if err != nil {
		return nil, err
	}
	if e.Step != exportlog.Done || !slices.Contains(e.Files, in.Name) || s.deps.ExportDir == "" {
		return nil, errNotFound()
	}
	file, info, err := s.openExport(&e, in.Name)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer func() { _ = file.Close() }()
		c := humaecho.Unwrap(ctx)
		_ = http.NewResponseController(c.Response()).SetWriteDeadline(s.deps.Now().Add(fileTime)) // a recorder of a test has none
		header := c.Response().Header()
		header.Set("Content-Type", contentTypes[in.Name[strings.LastIndexByte(in.Name, '.')+1:]])
		header.Set("Content-Disposition", `attachment; filename="`+e.Segment+"-"+in.Name+`"`)
		header.Set("Cache-Control", "no-store")
		http.ServeContent(c.Response(), c.Request(), "", info.ModTime(), file)
	}}, nil
}

// contentTypes are those of files, by the ends of their names.
var contentTypes = map[string]string{"csv": "text/csv; charset=utf-8", "ndjson": ndjson, "parquet": "application/vnd.apache.parquet"}

// openExport opens a file of an export below the folder of exports.
func (s *Server) openExport(e *exportlog.Export, name string) (*os.File, os.FileInfo, error) {
	root, err := os.OpenRoot(s.deps.ExportDir)
	if err != nil {
		return nil, nil, errors.Join(huma.Error503ServiceUnavailable("the folder of exports can't be read; ask the operator"), err)
	}
	defer func() { _ = root.Close() }()
	file, err := root.Open(e.Folder() + "/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errNotFound()
	}
	if err != nil {
		return nil, nil, errors.Join(huma.Error503ServiceUnavailable("the file can't be read; ask the operator"), err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, nil, errors.Join(huma.Error503ServiceUnavailable("the file can't be read; ask the operator"), err, file.Close())
	}
	return file, info, nil
}
