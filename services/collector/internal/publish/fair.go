package publish

import "sync"

// shareOfFree is how many times as many places as are free a site may hold. One busy site gets 4/5 of all, two get 4/9 each,
// and there is always something free for a site that had none. The rule is that of switches with shared buffers
// (A. K. Choudhury, E. L. Hahne, Dynamic queue length thresholds for shared-memory packet switches, IEEE/ACM ToN 6(2), 1998).
const shareOfFree = 4

// shares counts the places each site holds, so that a site with more traffic than Kafka takes does not shut out the others.
type shares struct {
	mu   sync.Mutex
	held map[string]int
}

// take notes one more place for the site, or returns false if it holds its share of the places, of which so many are free.
func (s *shares) take(site string, free int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[site] >= shareOfFree*free {
		return false
	}
	s.held[site]++
	return true
}

// add notes one more place for the site.
func (s *shares) add(site string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[site]++
}

// give notes one place less.
func (s *shares) give(site string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[site]--; s.held[site] == 0 {
		delete(s.held, site)
	}
}
