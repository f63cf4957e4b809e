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

// parsePeppers reads a pepper file, current version first. Errors name the line and never what is
// on it.
func parsePeppers(file []byte) ([]*pepper, error) {
	var ps []*pepper
	for i, line := range strings.Split(string(bytes.TrimPrefix(file, []byte("\ufeff"))), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		bad := func(what string) error {
			return fmt.Errorf("read pepper file: line %d: %s; each line is <version>:<base64 of %d bytes>: "+
				"restore the file from a backup, or make one for a new installation with postern init", i+1, what, pepperLen)
		}
		number, text, found := strings.Cut(line, ":")
		if !found {
			return nil, bad("there is no colon")
		}
		version, err := strconv.ParseUint(number, 10, 32)
		if err != nil || version == 0 {
			return nil, bad("the version is no number from 1 on")
		}
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, bad("what follows the colon is no base64")
		}
		if len(secret) != pepperLen {
			return nil, bad(fmt.Sprintf("the pepper has %d bytes", len(secret)))
		}
		if slices.Equal(secret, make([]byte, pepperLen)) {
			return nil, bad("the pepper is all zeros")
		}
		if slices.ContainsFunc(ps, func(p *pepper) bool { return p.version == uint32(version) }) {
			return nil, bad(fmt.Sprintf("version %d stands there twice", version))
		}
		p, err := newPepper(uint32(version), secret)
		if err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	if len(ps) == 0 {
		return nil, fmt.Errorf("read pepper file: it is empty; restore it from a backup, or make one for a new " +
			"installation with postern init")
	}
	slices.SortFunc(ps, func(a, b *pepper) int { return cmp.Compare(b.version, a.version) })
	return ps, nil
}
