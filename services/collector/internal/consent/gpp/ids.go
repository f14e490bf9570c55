package gpp

import (
	"errors"
	"strconv"
	"strings"
)

// Ids of sections that the package knows; those of US laws lie between firstUS and lastUS.
const (
	TCFEU     = 2
	USPrivacy = 6

	firstUS = 7  // the national section
	lastUS  = 27 // Rhode Island
)

// IDs is a set of sections, by their ids from 1 to 63; there are 27.
type IDs uint64

// US are all sections of US laws.
const US IDs = 1<<(lastUS+1) - 1<<firstUS

// Contains tells whether the section is in the set.
func (s IDs) Contains(id int) bool { return id >= 1 && id <= 63 && s>>id&1 == 1 }

func (s *IDs) add(id int) {
	if id <= 63 {
		*s |= 1 << id
	}
}

// maxList is how many characters ParseIDs reads; banners write two ids at most.
const maxList = 256

// ErrList says that a text is no list of ids.
var ErrList = errors.New("not section ids with commas between")

// ParseIDs reads the list of the sections that apply (`gpp_sid`). known is false if the banner did not know it: 0. -1 says
// that none applies.
func ParseIDs(text string) (ids IDs, known bool, err error) {
	if len(text) > maxList {
		return 0, false, ErrList
	}
	for element := range strings.SplitSeq(text, ",") {
		id, err := strconv.Atoi(strings.TrimSpace(element))
		switch {
		case err != nil || id < -1 || id > maxID:
			return 0, false, ErrList
		case id > 0:
			ids.add(id)
		}
		known = known || id != 0
	}
	return ids, known, nil
}
