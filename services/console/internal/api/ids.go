package api

import (
	"errors"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// ID is the id of a visitor, a customer or a request: a UUID in its usual text form, of somebody.
type ID uuid.UUID

const idLength = 36

// The reasons why a text is no ID. They do not repeat it.
var (
	errNoUUID = errors.New("is not a UUID such as 0190b5ad-3c2e-7b1f-9d6a-5b0e3f1c2d4a")
	errNobody = errors.New("an id of zeros is nobody's")
)

// UnmarshalText reads the text form.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := uuid.ParseBytes(text)
	if err != nil || len(text) != idLength {
		return errNoUUID
	}
	if parsed == uuid.Nil {
		return errNobody
	}
	*id = ID(parsed)
	return nil
}

// MarshalText writes the text form.
func (id ID) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// Schema describes it.
func (ID) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid", MinLength: new(idLength), MaxLength: new(idLength)}
}

var _ huma.SchemaProvider = ID{}
