package enrich

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"math"
	"slices"
	"time"
)

const day = 24 * time.Hour

// DayIn returns 00:00 UTC of the date that the zone shows at t, within what ClickHouse's Date holds: 65536 days from
// 1970-01-01 on. Days are counted from it without the clock changes of the zone.
func DayIn(zone *time.Location, t time.Time) time.Time {
	_, offset := t.In(zone).Zone()
	seconds := t.Unix() + int64(offset)
	days := min(max(seconds/int64(day/time.Second), 0), math.MaxUint16)
	return time.Unix(days*int64(day/time.Second), 0).UTC()
}

// Zones are compared hour by hour between these times. (time.Time.ZoneBounds would be exact, but after 2037 it stands still
// at some ends of years.)
var (
	zonesFrom = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	zonesTo   = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
)

// hashZones is a hash of when the zones of the sites change their offset, and to what. Time zones are the one list that
// the machine may give instead of this binary: governments change them, and two machines may know different ones.
func hashZones(sites map[string]site) string {
	zones := map[string]*time.Location{}
	for _, s := range sites {
		zones[s.zone.String()] = s.zone
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		fmt.Fprintln(sum, name)
		hashZone(sum, zones[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func hashZone(sum hash.Hash, zone *time.Location) {
	last := math.MinInt
	for t := zonesFrom.In(zone); t.Before(zonesTo); t = t.Add(time.Hour) {
		if _, offset := t.Zone(); offset != last {
			fmt.Fprintln(sum, t.Unix(), offset)
			last = offset
		}
	}
}
