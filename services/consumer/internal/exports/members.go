package exports

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"

	"github.com/onepx/onepx/services/shared/jobs"
)

// Member is a visitor of an audience, a line of the formats for the site itself.
type Member struct {
	VisitorID uuid.UUID
	// Products are those by which the visitor is a member, the newest first.
	Products            []string
	QualifiedAt, EndsAt time.Time
}

// memberWriter writes members one after the other. Without close the file is not complete.
type memberWriter interface {
	write(*Member) error
	close() error
}

// newMemberWriter begins a file of one of the formats for the site itself.
func newMemberWriter(format jobs.Format, out io.Writer) memberWriter {
	switch format {
	case jobs.NDJSON:
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		return &ndjsonWriter{lines}
	case jobs.Parquet:
		return &parquetWriter{writer: parquet.NewGenericWriter[parquetMember](out, parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(rowGroup))}
	default:
		return &csvWriter{csv: csv.NewWriter(out)}
	}
}

// instantLayout is RFC 3339 with milliseconds, in UTC.
const instantLayout = "2006-01-02T15:04:05.000Z07:00"

// csvWriter writes columns visitor_id, products, qualified_at, ends_at. Products are a JSON array.
type csvWriter struct {
	csv    *csv.Writer
	begun  bool
	record [4]string
}

func (w *csvWriter) write(m *Member) error {
	if err := w.begin(); err != nil {
		return err
	}
	products, err := json.Marshal(append([]string{}, m.Products...))
	if err != nil {
		return err
	}
	// Ids of products are whatever pages say. A cell that begins with [ is no formula to any spreadsheet; and one that takes
	// semicolons for the ends of cells, as those of many countries do, finds none.
	w.record = [4]string{m.VisitorID.String(), strings.ReplaceAll(string(products), ";", `\u003b`), instantText(m.QualifiedAt), instantText(m.EndsAt)}
	return w.csv.Write(w.record[:])
}

func (w *csvWriter) begin() error {
	if w.begun {
		return nil
	}
	w.begun = true
	return w.csv.Write([]string{"visitor_id", "products", "qualified_at", "ends_at"})
}

func (w *csvWriter) close() error {
	if err := w.begin(); err != nil {
		return err
	}
	w.csv.Flush()
	return w.csv.Error()
}

func instantText(at time.Time) string { return at.UTC().Format(instantLayout) }

// ndjsonWriter writes a JSON object a line.
type ndjsonWriter struct{ lines *json.Encoder }

func (w *ndjsonWriter) write(m *Member) error {
	return w.lines.Encode(struct {
		VisitorID   uuid.UUID `json:"visitor_id"`
		Products    []string  `json:"products"`
		QualifiedAt string    `json:"qualified_at"`
		EndsAt      string    `json:"ends_at"`
	}{m.VisitorID, append([]string{}, m.Products...), instantText(m.QualifiedAt), instantText(m.EndsAt)})
}

func (w *ndjsonWriter) close() error { return nil }

const (
	// rowGroup is how many rows Parquet holds in memory until it writes them.
	rowGroup = 1 << 15
	// parquetBlock is how many rows are given to it at once.
	parquetBlock = 256
)

// parquetMember has the columns of a Parquet file.
type parquetMember struct {
	VisitorID   uuid.UUID `parquet:"visitor_id"`
	Products    []string  `parquet:"products,list"`
	QualifiedAt time.Time `parquet:"qualified_at,timestamp(millisecond)"`
	EndsAt      time.Time `parquet:"ends_at,timestamp(millisecond)"`
}

type parquetWriter struct {
	writer *parquet.GenericWriter[parquetMember]
	block  []parquetMember
}

func (w *parquetWriter) write(m *Member) error {
	w.block = append(w.block, parquetMember(*m))
	if len(w.block) < parquetBlock {
		return nil
	}
	return w.flush()
}

func (w *parquetWriter) flush() error {
	_, err := w.writer.Write(w.block)
	w.block = w.block[:0]
	return err
}

func (w *parquetWriter) close() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.writer.Close()
}
