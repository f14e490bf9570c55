package settings

// Secret is a setting that must not be seen: however it is printed, logged or
// encoded, only a placeholder shows. Keep it in exported fields: package fmt prints
// unexported ones without asking them how.
type Secret string

const hidden = "(hidden)"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns a placeholder.
func (Secret) String() string { return hidden }

// GoString returns a placeholder.
func (Secret) GoString() string { return hidden }

// MarshalText returns a placeholder, for JSON and for structured logs.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
