package keys

import (
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"io"
	"unsafe"
)

// The texts are, with prefix pst:
//
//	pst_live_<id 12>_<secret 43><check 6>   API key; pst_test_… for test keys
//	psts_<secret's id 12>_<43><6>           client secret
//	psta_<token's id 12>_<43><6>            admin token
//
// All parts are base62. 43 digits hold 256 bits. The check is the CRC-32 (IEEE) of everything
// before it; it keeps typing errors and random texts from costing a look-up, and tells leak
// scanners a real key from a look-alike. It protects nothing.
const (
	idLen     = 12
	secretLen = 43
	checkLen  = 6
	tailLen   = 1 + idLen + 1 + secretLen + checkLen // from the underscore before the id on
	labelLen  = len("_live")
	shownLen  = 4 // characters of the secret part in a preview
)

// Format makes and reads the texts of keys, client secrets and admin tokens of one prefix. Its zero
// value finds nothing ours.
type Format struct{ prefix string }

// NewFormat checks the prefix ([a-z][a-z0-9]{1,9}).
func NewFormat(prefix string) (Format, error) {
	ok := len(prefix) >= 2 && len(prefix) <= 10 && 'a' <= prefix[0] && prefix[0] <= 'z'
	for i := 0; i < len(prefix); i++ {
		c := prefix[i]
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9')
	}
	if !ok {
		return Format{}, fmt.Errorf("check credential prefix %q: it must be 2 to 10 characters, "+
			"a-z and 0-9, and start with a letter, as in pst", prefix)
	}
	return Format{prefix: prefix}, nil
}

// Text is what was read of a secret text of ours.
type Text struct {
	Kind TextKind
	Test bool   // label test, API keys only
	ID   string // 12 base62 characters: credential's (key), secret's (client), token's (token)
}

// TextKind is what a text is for.
type TextKind uint8

// The kinds of text; NotOurs is the zero value.
const (
	NotOurs TextKind = iota
	KeyText
	ClientSecretText
	TokenText
)

// Parse tells what a text is; NotOurs if the form or the checksum is wrong. It does not allocate,
// and takes no notice of whether anybody was ever given the text.
func (f Format) Parse(text string) Text {
	n := len(f.prefix)
	if n == 0 || len(text) <= n || text[:n] != f.prefix {
		return Text{}
	}
	var t Text
	rest := text[n:]
	switch len(rest) {
	case labelLen + tailLen:
		switch rest[:labelLen] {
		case "_live":
			t.Kind = KeyText
		case "_test":
			t.Kind, t.Test = KeyText, true
		default:
			return Text{}
		}
		rest = rest[labelLen:]
	case 1 + tailLen:
		switch rest[0] {
		case 's':
			t.Kind = ClientSecretText
		case 'a':
			t.Kind = TokenText
		default:
			return Text{}
		}
		rest = rest[1:]
	default:
		return Text{}
	}
	id, tail := rest[1:1+idLen], rest[1+idLen+1:]
	if rest[0] != '_' || rest[1+idLen] != '_' || !isBase62(id) || !isBase62(tail) {
		return Text{}
	}
	if !checks(text) {
		return Text{}
	}
	t.ID = id
	return t
}

// Expression is the regular expression for leak scanners that matches exactly our API keys (but
// for the checksum).
func (f Format) Expression() string {
	return fmt.Sprintf("^%s_(live|test)_[0-9A-Za-z]{%d}_[0-9A-Za-z]{%d}[0-9A-Za-z]{%d}$",
		f.prefix, idLen, secretLen, checkLen)
}

// NewKey makes an API key's text with a fresh id (12 base62 characters) and a fresh 256-bit secret.
// random nil means crypto/rand.
func (f Format) NewKey(random io.Reader, test bool) (id string, s Secret, err error) {
	label := "_live"
	if test {
		label = "_test"
	}
	return f.generate(random, label, "")
}

// FurtherKey makes a further text of the API key with this id, with a fresh 256-bit secret. random nil
// means crypto/rand.
func (f Format) FurtherKey(random io.Reader, id string, test bool) (Secret, error) {
	if len(id) != idLen || !isBase62(id) {
		return Secret{}, fmt.Errorf("make secret: %q is no id of a key", id)
	}
	label := "_live"
	if test {
		label = "_test"
	}
	_, text, err := f.generate(random, label, id)
	return text, err
}

// NewClientSecret makes a client secret's text; id is the secret's.
func (f Format) NewClientSecret(random io.Reader) (id string, s Secret, err error) {
	return f.generate(random, "s", "")
}

// NewToken makes an admin token's text; id is the token's.
func (f Format) NewToken(random io.Reader) (id string, s Secret, err error) {
	return f.generate(random, "a", "")
}

// generate makes a text with the id given, or with a fresh one.
func (f Format) generate(random io.Reader, kind, id string) (string, Secret, error) {
	if f.prefix == "" {
		return "", Secret{}, fmt.Errorf("make secret: the format has no prefix")
	}
	if random == nil {
		random = rand.Reader
	}
	b := make([]byte, 0, len(f.prefix)+len(kind)+tailLen)
	b = append(b, f.prefix...)
	b = append(b, kind...)
	b = append(b, '_')
	at := len(b)
	var err error
	if b = append(b, id...); id == "" {
		if b, err = appendRandom62(b, random, idLen); err != nil {
			return "", Secret{}, err
		}
	}
	b = append(b, '_')
	if b, err = appendRandom62(b, random, secretLen); err != nil {
		return "", Secret{}, err
	}
	b = appendBase62(b, uint64(crc32.ChecksumIEEE(b)), checkLen)
	return string(b[at : at+idLen]), NewSecret(string(b)), nil
}

// preview returns the characters of a text of ours that may be shown: everything that is no secret,
// and enough of the secret to tell two secrets of one credential apart. 232 of 256 bits stay unseen.
func preview(text string) string {
	return text[:len(text)-secretLen-checkLen+shownLen]
}

// checks tells whether the last six characters are the checksum of what is before them.
func checks(text string) bool {
	body, check := text[:len(text)-checkLen], text[len(text)-checkLen:]
	// A conversion to []byte would allocate, and the table form of the sum takes six times as long.
	// ChecksumIEEE only reads what it is given.
	crc := crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(body), len(body)))
	var want [checkLen]byte
	appendBase62(want[:0], uint64(crc), checkLen)
	return string(want[:]) == check
}
