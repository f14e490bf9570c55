package deliveries

import (
	"crypto/sha256"
	"sync"
)

// maxUsedTokens is how many tokens are known at once; they take some 10 MB.
const maxUsedTokens = 100_000

// usedTokens knows which event each token has proven; of more than limit tokens the oldest are forgotten.
type usedTokens struct {
	limit int

	mu     sync.Mutex
	events map[[16]byte][16]byte
	// order are the tokens as they came, a ring that begins at next once it is full.
	order [][16]byte
	next  int
}

func newUsedTokens(limit int) *usedTokens {
	return &usedTokens{limit: limit, events: map[[16]byte][16]byte{}}
}

// claim tells whether the token may prove the event: for the first time, or again, as Mailgun sends again what was not answered.
func (u *usedTokens) claim(token, event string) bool {
	key, value := short(token), short(event)
	u.mu.Lock()
	defer u.mu.Unlock()
	if before, used := u.events[key]; used {
		return before == value
	}
	if len(u.order) < u.limit {
		u.order = append(u.order, key)
	} else {
		delete(u.events, u.order[u.next])
		u.order[u.next] = key
		u.next = (u.next + 1) % u.limit
	}
	u.events[key] = value
	return true
}

// short stands for a text of any length.
func short(text string) [16]byte {
	hash := sha256.Sum256([]byte(text))
	return [16]byte(hash[:16])
}
