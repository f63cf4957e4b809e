package keys

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The cost of a password by argon2id: OWASP's second choice (19 MiB, two passes, one lane), about 25 ms
// of one core. PHC strings carry their own cost, so that it can be raised later.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonSalt   = 16
	argonKey    = 32
)

// The bounds of a password, in characters: NIST SP 800-63B asks for length and for nothing else.
const (
	shortestPassword = 12
	longestPassword  = 200
)

// How many passwords may be checked or wait for it: each that is checked takes 19 MiB. One site gets
// a small share, so that nobody can keep everybody else from signing in.
const (
	passwordQueue = 64
	networkShare  = 4
)

// errBusy says that too many passwords are being checked at once.
var errBusy = errors.New("too many passwords are being checked")

// passwords hashes and checks, a bounded number at a time so that a flood of sign-ins takes neither
// all memory nor all cores. It is safe for concurrent use.
type passwords struct {
	running  chan struct{}
	mu       sync.Mutex
	networks map[netip.Addr]int // running and waiting
	all      int
	nobody   string // hash of a password that nobody has, for accounts that do not exist
}

func newPasswords() *passwords {
	p := &passwords{
		running:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		networks: map[netip.Addr]int{},
	}
	// No password has this hash: all that matters is that checking one against it takes as long.
	p.nobody = phc(make([]byte, argonSalt), make([]byte, argonKey))
	return p
}

// enter waits for a turn, first come, first served; errBusy when too many wait already, in all or of
// the client's network, or the context's error.
func (p *passwords) enter(ctx context.Context, client netip.Addr) (leave func(), err error) {
	network := site(client)
	if !p.join(network) {
		return nil, errBusy
	}
	select {
	case p.running <- struct{}{}:
		return func() {
			<-p.running
			p.part(network)
		}, nil
	case <-ctx.Done():
		p.part(network)
		return nil, ctx.Err()
	}
}

// site is what has one share of the line: an IPv4 address, or the /48 that a single customer can have
// (RFC 6177), who has 65,536 of the networks that failures are counted by and could fill the line with
// a few of them.
func site(client netip.Addr) netip.Addr {
	network := ClientNetwork(client)
	if p, err := network.Prefix(48); err == nil && network.Is6() {
		return p.Addr()
	}
	return network
}

func (p *passwords) join(network netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= passwordQueue || p.networks[network] >= networkShare {
		return false
	}
	p.all++
	p.networks[network]++
	return true
}

func (p *passwords) part(network netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.networks[network]--; p.networks[network] == 0 {
		delete(p.networks, network)
	}
}

// hash makes the PHC string of a password.
func (p *passwords) hash(ctx context.Context, password Secret, client netip.Addr) (string, error) {
	leave, err := p.enter(ctx, client)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails, see crypto/rand
	return phc(salt, argon2.IDKey([]byte(password.Reveal()), salt, argonTime, argonMemory, argonLanes, argonKey)), nil
}

// matches tells whether a password is the one of a PHC string. "" is the hash of nobody's password, and
// costs as much as any.
func (p *passwords) matches(ctx context.Context, password Secret, hash string, client netip.Addr) (bool, error) {
	leave, err := p.enter(ctx, client)
	if err != nil {
		return false, err
	}
	defer leave()
	somebody := hash != ""
	if !somebody {
		hash = p.nobody
	}
	salt, want, cost, err := parsePHC(hash)
	if err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(password.Reveal()), salt, cost.time, cost.memory, cost.lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && somebody, nil
}

// phc writes a hash in the string format of the Password Hashing Competition.
func phc(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

type argonCost struct {
	memory, time uint32
	lanes        uint8
}

// parsePHC reads a PHC string of argon2id. The costs are bounded: they are ours, but a damaged row must
// not take all memory.
func parsePHC(s string) (salt, key []byte, c argonCost, err error) {
	bad := errors.New("read password hash: it is no PHC string of argon2id")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, nil, c, bad
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.lanes); n != 3 || err != nil {
		return nil, nil, c, bad
	}
	salt, saltErr := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(key) < 16 || len(key) > 64 ||
		c.memory > 1<<20 || c.time < 1 || c.time > 64 || c.lanes < 1 {
		return nil, nil, c, bad
	}
	return salt, key, c, nil
}

// password checks a new password for a person.
func (e *fieldErrors) password(field string, password Secret, u *User) {
	text := password.Reveal()
	first, _ := utf8.DecodeRuneInString(text)
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		e.add(field, "is no valid UTF-8")
	case n < shortestPassword:
		e.add(field, "has %d characters; at least %d are needed", n, shortestPassword)
	case n > longestPassword:
		e.add(field, "has %d characters; at most %d are possible", n, longestPassword)
	case strings.Trim(text, string(first)) == "":
		e.add(field, "is one character again and again")
	case u != nil && strings.EqualFold(text, u.Email):
		e.add(field, "is the e-mail address")
	}
}

// busy is the refusal for errBusy.
func busy() *Refusal {
	return &Refusal{
		Code:       TooManyFailuresHere,
		Detail:     "Too many people are signing in at this moment.",
		Hint:       "Try again in a second.",
		RetryAfter: time.Second,
	}
}
