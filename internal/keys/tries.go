package keys

import (
	"net/netip"
	"sync"
	"time"
)

// How often an account may be tried from one network, and how an account's own delay grows.
const (
	triesAllowed = 5
	triesWindow  = 15 * time.Minute
	firstDelay   = 100 * time.Millisecond
	longestDelay = 3 * time.Second
	mostTried    = 20_000 // entries of each kind; one is about 100 bytes
)

// tries counts failed sign-ins. Nobody can lock another person out: what is refused is the pair of
// account and network, and an account under attack from everywhere answers later, not never. It keeps
// digests of what was typed, because people type passwords into the wrong field. It is safe for
// concurrent use, and bounded: an arbitrary entry is forgotten when there are too many.
type tries struct {
	mu       sync.Mutex
	pairs    map[triedPair]tried
	accounts map[Digest]tried
}

type triedPair struct {
	account Digest
	network netip.Addr
}

type tried struct {
	since time.Time
	n     int
}

func newTries() *tries {
	return &tries{pairs: map[triedPair]tried{}, accounts: map[Digest]tried{}}
}

// wait returns how long this pair is refused, 0 when it may try, and how long to wait before its try
// is looked at. A try that is let through counts as failed until succeeded takes that back, so that
// many at once cannot all be the fifth.
func (t *tries) wait(account Digest, client netip.Addr, now time.Time) (refused, delay time.Duration) {
	pair := triedPair{account, ClientNetwork(client)}
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := current(t.pairs[pair], now)
	if mine.n >= triesAllowed {
		return mine.since.Add(triesWindow).Sub(now), 0
	}
	all := current(t.accounts[account], now)
	if over := all.n - triesAllowed; over >= 0 {
		delay = min(firstDelay<<min(over, 10), longestDelay)
	}
	room(t.pairs, pair, now)
	room(t.accounts, account, now)
	mine.n++
	all.n++
	t.pairs[pair], t.accounts[account] = mine, all
	return 0, delay
}

// succeeded forgets the pair's failures and takes its own tries from the account's.
func (t *tries) succeeded(account Digest, client netip.Addr) {
	pair := triedPair{account, ClientNetwork(client)}
	t.mu.Lock()
	defer t.mu.Unlock()
	all, mine := t.accounts[account], t.pairs[pair]
	delete(t.pairs, pair)
	if all.n -= mine.n; all.n <= 0 {
		delete(t.accounts, account)
		return
	}
	t.accounts[account] = all
}

// unlooked takes back a try that nobody looked at.
func (t *tries) unlooked(account Digest, client netip.Addr) {
	pair := triedPair{account, ClientNetwork(client)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.pairs[pair]; c.n > 0 {
		c.n--
		t.pairs[pair] = c
	}
	if c := t.accounts[account]; c.n > 0 {
		c.n--
		t.accounts[account] = c
	}
}

// current is the count that still holds.
func current(c tried, now time.Time) tried {
	if age := now.Sub(c.since); c.n == 0 || age >= triesWindow || age < 0 {
		return tried{since: now}
	}
	return c
}

// room drops one entry of a full map before a new one comes: the first among a few that is over, else
// the last of these.
func room[K comparable](m map[K]tried, next K, now time.Time) {
	if _, known := m[next]; known || len(m) < mostTried {
		return
	}
	looked := 0
	for k, c := range m {
		if looked++; looked == 8 || now.Sub(c.since) >= triesWindow {
			delete(m, k)
			return
		}
	}
}
