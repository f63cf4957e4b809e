package keys

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Presented is what a request shows to prove who it is.
type Presented struct {
	Text     string // whole key text or client secret
	ClientID string // credential id given beside a client secret (Basic, X-Client-Id), else ""
}

// DirectoryOptions are the parts a Directory is built from.
type DirectoryOptions struct {
	Store          Store  // nil with store: none
	Vault          *Vault // nil only without a store
	Format         Format
	Catalog        *Catalog
	AcceptImported bool             // find texts that are not in our form by digest
	Log            *slog.Logger     // nil: nothing is logged
	Now            func() time.Time // nil: time.Now
	// MaxStale is for how long the directory may answer after its last successful read of the
	// store; 0: for ever. Without a store nothing gets stale.
	MaxStale time.Duration
	// Shared says that other gateways use the same store. Then the directory answers only while a
	// Fleet keeps this node registered there, at most MaxStale after the last heartbeat: others reckon
	// by it which gateways may still admit what they revoked.
	Shared bool
	// Uptime is the time since the machine was started, sleep included; nil: nobody can tell, and what
	// is known does not age while the machine sleeps.
	Uptime func() time.Duration
}

// Directory holds every credential in memory and answers the data path without I/O. It is safe for
// concurrent use. A credential costs about 330 bytes. Texts that belong to nobody cost a hash, no
// I/O and no memory.
type Directory struct {
	store          Store
	vault          *Vault
	format         Format
	acceptImported atomic.Bool
	log            *slog.Logger
	now            func() time.Time
	maxStale       time.Duration
	shared         bool
	uptime         func() time.Duration
	batch          int // changes that are read at once, changesBatch

	policy  *policyTable
	ids     idIndex
	digests digestIndex

	loaded   atomic.Bool
	managed  atomic.Bool // some stored credential is, or was, a declared one
	lastRead atomic.Pointer[instantRead]
	progress progress

	registration atomic.Pointer[registration]
	clock        atomic.Pointer[clockReading] // nil: the own one is all there is

	moves    moves
	forged   forgedRows
	declared declaredSet
	stats    statsCache
}

// NewDirectory returns an empty one, which answers DirectoryUnavailable; Load or LoadDeclared
// fills it.
func NewDirectory(o DirectoryOptions) *Directory {
	d := &Directory{
		store: o.Store, vault: o.Vault, format: o.Format, log: o.Log, now: o.Now, maxStale: o.MaxStale,
		shared: o.Shared, uptime: o.Uptime, batch: changesBatch,
		policy: newPolicyTable(o.Catalog),
	}
	if d.vault == nil {
		d.vault = newEphemeralVault()
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.now == nil {
		d.now = time.Now
	}
	d.acceptImported.Store(o.AcceptImported)
	d.ids.init()
	d.progress.init()
	d.moves = newMoves()
	return d
}

// Authenticate finds whose credential is presented. The code is Admitted, InvalidCredentials,
// credential_*, keys_disabled, plan_not_eligible or DirectoryUnavailable (not loaded, or past
// MaxStale). The principal is returned whenever possession was proved, also beside a refusal (then
// for the log only). It does not allocate.
//
// A text without our form or checksum costs no hash unless AcceptImported. A client secret is
// nothing without its client's id; an API key may come with its own id, and with no other.
func (d *Directory) Authenticate(p Presented, now time.Time) (*Principal, Code) {
	if !d.mayAnswer(now) {
		return nil, DirectoryUnavailable
	}
	t := d.format.Parse(p.Text)
	switch {
	case t.Kind == TokenText,
		t.Kind == ClientSecretText && p.ClientID == "",
		t.Kind == NotOurs && (!d.acceptImported.Load() || p.Text == ""):
		return nil, InvalidCredentials
	}
	e, s := d.find(p.Text)
	if e == nil || !e.takes(p.ClientID) {
		return nil, InvalidCredentials
	}
	who := e.principalOf(s)
	if t.Test && !e.Test {
		// Of a declared key only the hash was known: its text says now that it is a test key.
		twin := *who
		twin.Test = true
		who = &twin
	}
	if s.expires != 0 || e.expires != 0 {
		now = d.storeTime(now)
	}
	if s.expires != 0 && now.UnixMicro() >= s.expires && e.status == entryActive {
		return who, CredentialExpired // the other secret of a rollover may still be good
	}
	return who, e.verdict(now)
}

// find looks the text up under each pepper, the current one first. While an old pepper is kept, a
// text that is not found costs one hash more.
func (d *Directory) find(text string) (*entry, *entrySecret) {
	var current Digest
	for i, p := range d.vault.peppers {
		digest := Digest(p.digest.ofText(text))
		if i == 0 {
			current = digest
		}
		if e, s := d.digests.find(&digest); e != nil {
			if i > 0 {
				d.moves.offer(Move{e.ID, digest, current})
			}
			return e, s
		}
	}
	return nil, nil
}

// Recheck tells whether who was admitted a moment ago still would be, after something that may have
// waited. While the credential is as it was, that costs no hash; else what was shown is looked up again,
// so that a secret that was replaced counts too. It does not allocate.
func (d *Directory) Recheck(shown Presented, p *Principal, now time.Time) Code {
	if e := d.ids.find(p.ID); e != nil && e == p.entry && d.mayAnswer(now) {
		return e.verdict(d.storeTime(now))
	}
	_, code := d.Authenticate(shown, now)
	return code
}

// SetCatalog puts a new configuration in force. Requests decided meanwhile see the old or the new
// value of each plan, scope set and tenant plan.
func (d *Directory) SetCatalog(c *Catalog) { d.policy.setCatalog(c) }

// Catalog is the configuration in force. It is not to be changed.
func (d *Directory) Catalog() *Catalog { return d.policy.current() }

// SetAcceptImported tells whether texts that are not in our form are looked up from now on.
func (d *Directory) SetAcceptImported(accept bool) { d.acceptImported.Store(accept) }

// ErrNotLoaded, ErrStale and ErrUnregistered are the reasons that Ready gives, wrapped.
var (
	ErrNotLoaded = errors.New("credentials are not loaded yet")
	ErrStale     = errors.New("credentials are too old")
	// ErrUnregistered: the other gateways that share the store do not count on this one.
	ErrUnregistered = errors.New("this node is not registered in the store")
)

// Ready returns nil when the directory may answer at now, else why not.
func (d *Directory) Ready(now time.Time) error {
	switch {
	case !d.loaded.Load():
		return fmt.Errorf("check directory: %w", ErrNotLoaded)
	case !d.mayAnswer(now) && d.lag(now) <= d.maxStale:
		return fmt.Errorf("check directory: %w: the last heartbeat of this node was stored longer than max_stale ago, %s, or not yet", ErrUnregistered, d.maxStale)
	case !d.mayAnswer(now):
		return fmt.Errorf("check directory: %w: the store was last read %s ago, and max_stale is %s",
			ErrStale, d.lag(now).Round(time.Second), d.maxStale)
	}
	return nil
}

func (d *Directory) mayAnswer(now time.Time) bool {
	return d.loaded.Load() && d.trusted(now)
}

// lag is the time since the last successful read of the store.
func (d *Directory) lag(now time.Time) time.Duration {
	last := d.lastRead.Load()
	if last == nil {
		return 0
	}
	return d.elapsed(*last, now)
}

// forgedRows remembers which rows did not authenticate, to speak of each once.
type forgedRows struct {
	count atomic.Int64
	mu    sync.Mutex
	told  map[string]struct{}
}

// mostForgedTold bounds what whoever writes into the database can make us remember and log.
const mostForgedTold = 1000

// tell counts a forged row and logs its id the first time: lists that are looked at again and again
// do not make more of it. Beyond the bound it cannot tell rows apart, and counts each finding.
func (f *forgedRows) tell(log *slog.Logger, what, id string) {
	f.mu.Lock()
	_, known := f.told[id]
	if !known {
		f.count.Add(1)
	}
	if known || len(f.told) >= mostForgedTold {
		f.mu.Unlock()
		return
	}
	if f.told == nil {
		f.told = map[string]struct{}{}
	}
	f.told[id] = struct{}{}
	f.mu.Unlock()
	log.Warn("stored "+what+" does not authenticate and is refused: it was written with another pepper, "+
		"or behind Postern's back; restore it from a backup, or delete it", "id", id)
}
