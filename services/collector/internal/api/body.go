package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/onepx/onepx/services/shared/reason"
)

const (
	// maxBodyBytes is how large a body may be, as sent and decompressed.
	maxBodyBytes = 1 << 20
	// maxBodiesBytes is how much memory the bodies of all requests at work may take; more requests are refused as
	// overloaded. Enough for thousands of beacons, or for tens of full batches.
	maxBodiesBytes = 32 << 20
)

// errNoMemory means that maxBodiesBytes are taken.
var errNoMemory = errors.New("too many bodies at once")

// readBody returns the request's body, decompressed. It stays within the limits whatever the body claims to be.
func (s *Server) readBody(b *batch) ([]byte, reason.Reason) {
	decompress, known := s.decompressor(b)
	if !known {
		return nil, reason.EncodingUnsupported
	}
	if b.request.ContentLength > maxBodyBytes {
		return nil, reason.BodyTooLarge
	}
	body, err := io.ReadAll(held{s, b, http.MaxBytesReader(b.writer, b.request.Body, maxBodyBytes)})
	// The time for the answer begins now; recorders in tests have no deadlines.
	_ = http.NewResponseController(b.writer).SetWriteDeadline(time.Now().Add(s.deps.WriteTimeout))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, reason.BodyTooLarge
	case errors.Is(err, errNoMemory):
		return nil, reason.Overloaded
	case err != nil:
		return nil, reason.BodyIncomplete
	}
	return decompress(body)
}

// decompressor returns what undoes the request's Content-Encoding, or false if that is unknown.
func (s *Server) decompressor(b *batch) (func([]byte) ([]byte, reason.Reason), bool) {
	switch strings.ToLower(strings.Join(b.request.Header.Values("Content-Encoding"), ",")) {
	case "", "identity":
		return func(body []byte) ([]byte, reason.Reason) { return body, "" }, true
	case "gzip", "x-gzip":
		return func(body []byte) ([]byte, reason.Reason) { return s.gunzip(b, body) }, true
	case "zstd":
		return func(body []byte) ([]byte, reason.Reason) { return s.unzstd(b, body) }, true
	}
	return nil, false
}

func (s *Server) gunzip(b *batch, body []byte) ([]byte, reason.Reason) {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, reason.CompressionInvalid
	}
	plain, err := io.ReadAll(held{s, b, io.LimitReader(reader, maxBodyBytes+1)})
	switch {
	case errors.Is(err, errNoMemory):
		return nil, reason.Overloaded
	case err != nil:
		return nil, reason.CompressionInvalid
	case len(plain) > maxBodyBytes:
		return nil, reason.BodyTooLarge
	}
	return plain, ""
}

func (s *Server) unzstd(b *batch, body []byte) ([]byte, reason.Reason) {
	if !s.hold(b, maxBodyBytes) {
		return nil, reason.Overloaded
	}
	plain, err := s.zstd.DecodeAll(body, make([]byte, 0, maxBodyBytes)) // never grows it
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, reason.BodyTooLarge
	case err != nil:
		return nil, reason.CompressionInvalid
	}
	return plain, ""
}

// newZstd returns a decoder for any number of bodies at once. That frames declare large windows is no harm: it decodes into
// the room it is given.
func newZstd() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true))
}

// held reads for a batch and has it hold the memory of what it reads.
type held struct {
	server *Server
	batch  *batch
	reader io.Reader
}

// Read fails with errNoMemory when there is none left.
func (h held) Read(p []byte) (int, error) {
	n, err := h.reader.Read(p)
	if !h.server.hold(h.batch, int64(n)) {
		return 0, errNoMemory
	}
	return n, err
}

// hold takes memory for the batch, or returns false if there is none left.
func (s *Server) hold(b *batch, n int64) bool {
	b.held += n
	return s.bodies.Add(n) <= maxBodiesBytes
}

// release gives back all that the batch holds.
func (s *Server) release(b *batch) { s.bodies.Add(-b.held) }
