package keys

import (
	"bytes"
	"cmp"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// pepperLen is the length of a pepper in bytes.
const pepperLen = 32

// pepper is one version of the installation's pepper with the keys made of it, one for each use,
// so that no answer of one use serves another.
type pepper struct {
	version uint32
	digest  *macKey // the pepper itself: HMAC-SHA-256(pepper, SHA-256(text)) is the published rule
	row     *macKey
	audit   *macKey
	canary  string
	address []byte // see Vault.AddressKey
	trail   []byte // the key of audit
}

// newPepper derives the keys by HKDF-Expand (RFC 5869); the pepper is uniformly random, so Extract
// adds nothing.
func newPepper(version uint32, secret []byte) (*pepper, error) {
	p := &pepper{version: version, digest: newMACKey(secret)}
	var canary []byte
	for _, use := range []struct {
		label string
		key   **macKey
	}{{"postern row", &p.row}, {"postern audit", &p.audit}, {"postern canary", nil}, {"postern address", nil}} {
		key, err := hkdf.Expand(sha256.New, secret, use.label, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("derive key %q: %w", use.label, err)
		}
		switch use.label {
		case "postern canary":
			canary = key
		case "postern address":
			p.address = key
		case "postern audit":
			p.trail = key
			fallthrough
		default:
			*use.key = newMACKey(key)
		}
	}
	p.canary = fmt.Sprintf("%d:%s", version, hex.EncodeToString(canary))
	return p, nil
}

// NewPepper makes the contents of a fresh pepper file: one line "1:<base64 of 32 bytes>". To put a
// new pepper in force add a line with a higher version; the old one must stay until no stored
// secret uses it. random nil means crypto/rand.
func NewPepper(random io.Reader) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	secret := make([]byte, pepperLen)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, fmt.Errorf("make pepper: %w", err)
	}
	return []byte("1:" + base64.StdEncoding.EncodeToString(secret) + "\n"), nil
}

// retiredWord stands in the line of a pepper that was dropped, between its version and the key that
// verifies the audit entries of its time.
const retiredWord = "audit:"

// retiredPepper is what is left of a pepper that was dropped. Nothing can be digested or sealed with
// it. That it verifies old audit entries does not let its holder change them: each chain went on
// under the next pepper, and its first entry there holds on to the last one before.
type retiredPepper struct {
	version uint32
	audit   *macKey
}

// parsePeppers reads a pepper file, current version first. Errors name the line and never what is
// on it.
func parsePeppers(file []byte) (ps []*pepper, retired []retiredPepper, err error) {
	versions := map[uint32]bool{}
	for i, line := range pepperLines(file) {
		if line == "" {
			continue
		}
		bad := func(what string) error {
			return fmt.Errorf("read pepper file: line %d: %s; each line is <version>:<base64 of %d bytes>: "+
				"restore the file from a backup, or make one for a new installation with postern init", i+1, what, pepperLen)
		}
		number, text, found := strings.Cut(line, ":")
		if !found {
			return nil, nil, bad("there is no colon")
		}
		version, err := strconv.ParseUint(number, 10, 32)
		if err != nil || version == 0 {
			return nil, nil, bad("the version is no number from 1 on")
		}
		text, dropped := strings.CutPrefix(text, retiredWord)
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, nil, bad("what follows the colon is no base64")
		}
		if len(secret) != pepperLen {
			return nil, nil, bad(fmt.Sprintf("the pepper has %d bytes", len(secret)))
		}
		if slices.Equal(secret, make([]byte, pepperLen)) {
			return nil, nil, bad("the pepper is all zeros")
		}
		if versions[uint32(version)] {
			return nil, nil, bad(fmt.Sprintf("version %d stands there twice", version))
		}
		versions[uint32(version)] = true
		if dropped {
			retired = append(retired, retiredPepper{uint32(version), newMACKey(secret)})
			continue
		}
		p, err := newPepper(uint32(version), secret)
		if err != nil {
			return nil, nil, err
		}
		ps = append(ps, p)
	}
	if len(ps) == 0 {
		return nil, nil, fmt.Errorf("read pepper file: it is empty; restore it from a backup, or make one for a new " +
			"installation with postern init")
	}
	slices.SortFunc(ps, func(a, b *pepper) int { return cmp.Compare(b.version, a.version) })
	for _, r := range retired {
		if r.version > ps[0].version {
			return nil, nil, fmt.Errorf("read pepper file: the newest version, %d, was dropped: restore the file from a backup", r.version)
		}
	}
	return ps, retired, nil
}

// pepperLines are the file's lines without what is around them; comments are empty.
func pepperLines(file []byte) []string {
	lines := strings.Split(string(bytes.TrimPrefix(file, []byte("\ufeff"))), "\n")
	for i, line := range lines {
		if lines[i] = strings.TrimSpace(line); strings.HasPrefix(lines[i], "#") {
			lines[i] = ""
		}
	}
	return lines
}

// AddPepper returns the contents of a pepper file with one more line, a new pepper of the next
// version, which is in force from the next start on. The others stay. random nil means crypto/rand.
func AddPepper(file []byte, random io.Reader) ([]byte, error) {
	ps, _, err := parsePeppers(file)
	if err != nil {
		return nil, err
	}
	if ps[0].version == math.MaxUint32 {
		return nil, fmt.Errorf("add a pepper: there is no version after %d", ps[0].version)
	}
	line, err := NewPepper(random)
	if err != nil {
		return nil, err
	}
	_, secret, _ := strings.Cut(string(line), ":")
	return fmt.Appendf(slices.Concat(bytes.TrimRight(file, "\r\n"), []byte("\n")), "%d:%s", ps[0].version+1, secret), nil
}

// RetirePeppers returns the contents of a pepper file in which nothing is left of the superseded
// peppers but what verifies the audit entries of their time, and the versions that were dropped.
func RetirePeppers(file []byte) (next []byte, dropped []uint32, err error) {
	ps, _, err := parsePeppers(file)
	if err != nil {
		return nil, nil, err
	}
	superseded := map[string]*pepper{}
	for _, p := range ps[1:] {
		superseded[strconv.FormatUint(uint64(p.version), 10)] = p
		dropped = append(dropped, p.version)
	}
	kept := strings.Split(strings.TrimRight(string(file), "\r\n"), "\n")
	for i, line := range pepperLines([]byte(strings.Join(kept, "\n"))) {
		number, text, _ := strings.Cut(line, ":")
		version, _ := strconv.ParseUint(number, 10, 32) // it was parsed before
		if p := superseded[strconv.FormatUint(version, 10)]; p != nil && !strings.HasPrefix(text, retiredWord) {
			kept[i] = fmt.Sprintf("%d:%s%s", p.version, retiredWord, base64.StdEncoding.EncodeToString(p.trail))
		}
	}
	slices.Sort(dropped)
	return []byte(strings.Join(kept, "\n") + "\n"), dropped, nil
}
