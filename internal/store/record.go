package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"postern/internal/keys"
)

// The packed record, in this order:
//
//	format (1 byte) · id · tenant · kind · owner type, id, name · status · plan · managed by ·
//	APIs · scopes · flags (1 byte, 1 = test) · expires, created, updated, revoked, deleted ·
//	version · allowed prefixes · MAC (32) · secrets · hold, unless it is empty
//
// A string is its length and its bytes; a list its count and its elements; a time the microseconds
// since the year 1, so that no time is one zero byte; numbers are unsigned varints
// (encoding/binary). A prefix is the address, 4 or 16 bytes as a string, and one byte of bits. A
// secret is a string that holds id · digest (32) · pepper · preview · sealed · created, expires ·
// MAC (32). Bytes after the known ones are ignored, in the record and in a secret: a later release
// appends there, and this one still reads what it knows.
const recordFormat = 1

const flagTest = 1

// errDamaged: the bytes are no record. They were not written by us.
var errDamaged = errors.New("the stored record is damaged")

// yearOne is where times count from.
var yearOne = time.Time{}.UnixMicro()

// appendRecord packs the deciding half of a credential.
func appendRecord(b []byte, c *keys.Credential) ([]byte, error) {
	b = append(b, recordFormat)
	for _, s := range [...]string{
		string(c.ID), string(c.Tenant), string(c.Kind), string(c.Owner.Type), c.Owner.ID, c.Owner.Name,
		string(c.Status), string(c.Plan), c.ManagedBy,
	} {
		b = appendString(b, s)
	}
	b = appendStrings(b, c.APIs)
	b = appendStrings(b, c.Scopes)
	var flags byte
	if c.Test {
		flags |= flagTest
	}
	b = append(b, flags)
	var err error
	for _, t := range [...]time.Time{c.ExpiresAt, c.CreatedAt, c.UpdatedAt, c.RevokedAt, c.DeletedAt} {
		if b, err = appendTime(b, t); err != nil {
			return nil, err
		}
	}
	b = binary.AppendUvarint(b, uint64(c.Version))
	b = binary.AppendUvarint(b, uint64(len(c.AllowedIPs)))
	for _, p := range c.AllowedIPs {
		if !p.IsValid() {
			return nil, fmt.Errorf("allowed address range %q is not valid", p)
		}
		b = appendString(b, string(p.Addr().WithZone("").AsSlice()))
		b = append(b, byte(p.Bits()))
	}
	b = append(b, c.MAC[:]...)
	b = binary.AppendUvarint(b, uint64(len(c.Secrets)))
	var one []byte
	for i := range c.Secrets {
		if one, err = appendSecret(one[:0], &c.Secrets[i]); err != nil {
			return nil, err
		}
		b = appendString(b, string(one))
	}
	if c.Hold != keys.NoHold {
		b = appendString(b, string(c.Hold))
	}
	return b, nil
}

func appendSecret(b []byte, s *keys.StoredSecret) ([]byte, error) {
	b = appendString(b, string(s.ID))
	b = append(b, s.Digest[:]...)
	b = binary.AppendUvarint(b, uint64(s.Pepper))
	b = appendString(b, s.Preview)
	b = appendString(b, string(s.Sealed))
	var err error
	for _, t := range [...]time.Time{s.CreatedAt, s.ExpiresAt} {
		if b, err = appendTime(b, t); err != nil {
			return nil, err
		}
	}
	return append(b, s.MAC[:]...), nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStrings[S ~string](b []byte, list []S) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, string(s))
	}
	return b
}

func appendTime(b []byte, t time.Time) ([]byte, error) {
	us := t.UnixMicro()
	if us < yearOne || t.Year() > 9999 {
		return nil, fmt.Errorf("time %v is outside the years 1 to 9999", t)
	}
	return binary.AppendUvarint(b, uint64(us-yearOne)), nil
}

// parseRecord unpacks what appendRecord packed. The credential shares no memory with data. With w, words
// that repeat from one credential to the next come from there, and so do the slices of APIs, scopes and
// secrets, which hold until the next call.
func parseRecord(data []byte, w *words) (keys.Credential, error) {
	var c keys.Credential
	w.begin()
	d := unpacker{data: data, words: w}
	if format := d.byte(); format != recordFormat {
		return c, fmt.Errorf("%w: format %d", errDamaged, format)
	}
	c.ID = keys.CredentialID(d.bytes())
	c.Tenant = keys.TenantID(d.word())
	c.Kind = keys.Kind(d.word())
	c.Owner = keys.Owner{Type: keys.OwnerType(d.word()), ID: d.word(), Name: d.word()}
	c.Status = keys.Status(d.word())
	c.Plan = keys.PlanName(d.word())
	c.ManagedBy = d.word()
	var apis []keys.APIName
	var scopes []keys.Scope
	var secrets []keys.StoredSecret
	if w != nil {
		apis, scopes, secrets = w.apis[:0], w.scopes[:0], w.secrets[:0]
	}
	c.APIs = unpackWords(&d, apis)
	c.Scopes = unpackWords(&d, scopes)
	c.Test = d.byte()&flagTest != 0
	for _, t := range [...]*time.Time{&c.ExpiresAt, &c.CreatedAt, &c.UpdatedAt, &c.RevokedAt, &c.DeletedAt} {
		*t = d.time()
	}
	c.Version = int64(d.number())
	if n := d.count(); n > 0 {
		c.AllowedIPs = make([]netip.Prefix, n)
		for i := range c.AllowedIPs {
			c.AllowedIPs[i] = d.prefix()
		}
	}
	d.array((*[32]byte)(&c.MAC))
	if n := d.count(); n > 0 {
		c.Secrets = slices.Grow(secrets, n)[:n]
		for i := range c.Secrets {
			d.secret(&c.Secrets[i])
		}
	}
	if len(d.data) > 0 {
		c.Hold = keys.Hold(d.word())
	}
	if w != nil {
		w.apis, w.scopes, w.secrets = keep(w.apis, c.APIs), keep(w.scopes, c.Scopes), keep(w.secrets, c.Secrets)
	}
	if d.bad {
		return keys.Credential{}, errDamaged
	}
	return c, nil
}

// unpacker reads fields one after another. After a field that is not there, bad is set and every
// further one is empty.
type unpacker struct {
	data  []byte
	words *words
	bad   bool
}

func (d *unpacker) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.data)) {
		d.bad = true
		return nil
	}
	b := d.data[:n]
	d.data = d.data[n:]
	return b
}

func (d *unpacker) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *unpacker) number() uint64 {
	v, n := binary.Uvarint(d.data)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.data = d.data[n:]
	return v
}

// count reads a list's length. Every element takes at least a byte, so that a damaged count
// cannot ask for more memory than the record had.
func (d *unpacker) count() int {
	n := d.number()
	if n > uint64(len(d.data)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *unpacker) bytes() []byte { return d.take(d.number()) }

func (d *unpacker) word() string { return d.words.of(d.bytes()) }

func (d *unpacker) time() time.Time {
	us := d.number()
	if us == 0 {
		return time.Time{}
	}
	return instant(int64(us) + yearOne)
}

func (d *unpacker) prefix() netip.Prefix {
	addr, ok := netip.AddrFromSlice(d.bytes())
	p := netip.PrefixFrom(addr, int(d.byte()))
	if !ok || !p.IsValid() {
		d.bad = true
	}
	return p
}

func (d *unpacker) array(to *[32]byte) { copy(to[:], d.take(32)) }

func (d *unpacker) secret(s *keys.StoredSecret) {
	in := unpacker{data: d.bytes(), words: d.words, bad: d.bad}
	*s = keys.StoredSecret{}
	s.ID = keys.SecretID(in.bytes())
	in.array((*[32]byte)(&s.Digest))
	s.Pepper = uint32(in.number())
	s.Preview = string(in.bytes())
	if sealed := in.bytes(); len(sealed) > 0 {
		s.Sealed = append([]byte(nil), sealed...)
	}
	s.CreatedAt, s.ExpiresAt = in.time(), in.time()
	in.array((*[32]byte)(&s.MAC))
	d.bad = d.bad || in.bad
}

func unpackWords[S ~string](d *unpacker, list []S) []S {
	n := d.count()
	if n == 0 {
		return nil
	}
	list = slices.Grow(list, n)[:n]
	for i := range list {
		list[i] = S(d.word())
	}
	return list
}

// words keeps one copy of each word that credentials share: tenants, plans, scopes. A nil one keeps
// none.
type words struct {
	kept map[string]string
	// last are the latest words by place in the record: mostly it is the same again, and to compare
	// takes a fifth of the time to look one up.
	last [16]string
	next int

	// The slices of the latest record.
	apis    []keys.APIName
	scopes  []keys.Scope
	secrets []keys.StoredSecret
}

// keep returns the longer of two slices to be used again.
func keep[T any](old, latest []T) []T {
	if cap(latest) > cap(old) {
		return latest
	}
	return old
}

// maxWords bounds it: owners may be as many as credentials.
const maxWords = 1 << 14

func newWords() *words { return &words{kept: make(map[string]string)} }

// begin starts a record.
func (w *words) begin() {
	if w != nil {
		w.next = 0
	}
}

func (w *words) of(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if w == nil {
		return string(b)
	}
	last := &w.last[w.next%len(w.last)]
	w.next++
	if *last != string(b) { // no allocation: the compiler knows this form
		*last = w.look(b)
	}
	return *last
}

func (w *words) look(b []byte) string {
	if s, ok := w.kept[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(w.kept) < maxWords {
		w.kept[s] = s
	}
	return s
}
