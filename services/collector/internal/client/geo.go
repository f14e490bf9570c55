package client

import (
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Geo answers from a file in MaxMind's format with city data (GeoLite2-City, DB-IP City and others). A nil Geo knows
// nothing.
type Geo struct{ db *maxminddb.Reader }

// OpenGeo opens and checks the file: a broken one is better found at start than as missing countries weeks later. Without a
// path it returns nil.
func OpenGeo(path string) (*Geo, error) {
	if path == "" {
		return nil, nil
	}
	db, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("geo file %s: %w", path, err)
	}
	if err := db.Verify(); err != nil {
		_ = db.Close() // it was only read
		return nil, fmt.Errorf("geo file %s: %w", path, err)
	}
	return &Geo{db: db}, nil
}

// Close gives the file back. No lookup may run or follow.
func (g *Geo) Close() error {
	if g == nil {
		return nil
	}
	return g.db.Close()
}

// Lookup returns the ISO codes of country and first subdivision, "" where the file has none.
func (g *Geo) Lookup(addr netip.Addr) (country, region string) {
	if g == nil {
		return "", ""
	}
	var record struct {
		Country struct {
			ISOCode string `maxminddb:"iso_code"`
		} `maxminddb:"country"`
		Subdivisions []struct {
			ISOCode string `maxminddb:"iso_code"`
		} `maxminddb:"subdivisions"`
	}
	if err := g.db.Lookup(addr).Decode(&record); err != nil {
		return "", "" // a record of another shape: the same as unknown
	}
	if len(record.Subdivisions) > 0 {
		region = record.Subdivisions[0].ISOCode
	}
	return record.Country.ISOCode, region
}
