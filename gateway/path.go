package gateway

import (
	"strings"
	"unicode/utf8"
)

// Rules of this file: a path is decoded exactly once, here; what is matched is what decoding once
// gives; what goes upstream is that, encoded again in one canonical way. A path that some other
// parser could read differently (decoding twice, taking \ for /, cutting at ;, dropping dot
// segments or empty ones) is refused, never repaired.

const maxPath = 4 << 10 // bytes of the path as sent

// decodePath decodes the path of a request target (RFC 3986 section 3.3) and tells whether a slash
// was encoded in it. why is not empty when the path has more than one reading; it then says so in
// a sentence for the caller. A path without escapes is returned as it is, without allocation.
func decodePath(raw string) (path string, encodedSlash bool, why string) {
	if raw == "" || raw[0] != '/' {
		return "", false, "The path does not start with a slash."
	}
	if len(raw) > maxPath {
		return "", false, "The path is longer than 4096 bytes."
	}
	// One pass over the bytes as sent. Most paths hold nothing but these and are done after it.
	escapes, look := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; pathBytes[c] {
		case plainByte:
		case lookByte: // dots, semicolons, slashes followed by slashes, letters beyond ASCII
			if c != '/' || (i+1 < len(raw) && raw[i+1] == '/') {
				look = true
			}
		case percentByte:
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
				return "", false, "The path contains a percent sign that starts no escape."
			}
			if raw[i+1] == '2' && raw[i+2]|0x20 == 'f' {
				encodedSlash = true
			}
			escapes++
			i += 2
		default:
			return "", false, "The path contains a " + nameByte(c) + "."
		}
	}
	if escapes == 0 && !look {
		return raw, false, ""
	}
	path = raw
	if escapes > 0 {
		path = unescape(raw, escapes)
	}
	if why := misreadable(path); why != "" {
		return "", encodedSlash, why
	}
	return path, encodedSlash, ""
}

// misreadable looks at a decoded path for what another parser may read differently.
func misreadable(path string) string {
	for i := 0; i < len(path); {
		c := path[i]
		switch {
		case c < utf8.RuneSelf:
			if c < ' ' || c == 0x7f || c == '\\' {
				return "The path contains an encoded " + nameByte(c) + "."
			}
			if c == '%' && (startsHexPair(path[i+1:]) || startsUnicodeEscape(path[i+1:])) {
				return "The path is encoded twice."
			}
			i++
		default:
			r, n := utf8.DecodeRuneInString(path[i:])
			if r == utf8.RuneError && n == 1 {
				return "The path is not valid UTF-8."
			}
			if r < 0xa0 {
				return "The path contains a control character."
			}
			i += n
		}
	}
	for rest := path[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		if segment == "" && more {
			return "The path contains an empty segment (two slashes in a row)."
		}
		if hidesDots(segment) {
			return "The path contains a dot segment."
		}
		if !more {
			return ""
		}
		rest = after
	}
}

// hidesDots tells whether a segment is . or .. for some parser: with parameters behind a semicolon
// (servlet containers), with spaces (Windows), or in letters that best-fit mappings turn into
// dots, slashes and backslashes.
func hidesDots(segment string) bool {
	dots, only, params := 0, true, false
	for _, r := range segment {
		switch r {
		case ';':
			params = true
		case '.', '\u2024', '\ufe52', '\uff0e':
			if !params {
				dots++
			}
		case ' ', '\u00a0', '\u3000':
		case '\u2044', '\u2215', '\u29f8', '\uff0f', '\ufe68', '\uff3c', '\u2216', '\u29f5':
			if only && (dots == 1 || dots == 2) {
				return true
			}
			dots, only, params = 0, true, false
		default:
			if !params {
				only = false
			}
		}
	}
	return only && (dots == 1 || dots == 2)
}

// withoutParameters is the path as a servlet container sees it: what follows a semicolon is gone
// from each segment, and so are segments that are empty then.
func withoutParameters(path string) string {
	var b strings.Builder
	b.Grow(len(path))
	for rest := path[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		segment, _, _ = strings.Cut(segment, ";")
		if segment != "" || (!more && b.Len() == 0) {
			b.WriteByte('/')
			b.WriteString(segment)
		} else if !more {
			b.WriteByte('/')
		}
		if !more {
			return b.String()
		}
		rest = after
	}
}

// encodePath appends the canonical encoding of a path that decodePath accepted, given as sent: in
// it exactly the bytes outside RFC 3986's pchar and "/" are escaped, in capitals, and slashes that
// were encoded stay so.
func encodePath(b []byte, raw string) []byte {
	for i := 0; i < len(raw); i++ {
		c, escaped := raw[i], false
		if c == '%' {
			c, escaped = unhex(raw[i+1])<<4|unhex(raw[i+2]), true
			i += 2
		}
		if (isPathByte(c) && c != '/') || (c == '/' && !escaped) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
	}
	return b
}

// decodedPrefix returns how many bytes of raw decode to the first n bytes of its path, and whether
// an encoded slash is among them.
func decodedPrefix(raw string, n int) (length int, encodedSlash bool) {
	i := 0
	for ; n > 0 && i < len(raw); n-- {
		if raw[i] == '%' {
			if unhex(raw[i+1])<<4|unhex(raw[i+2]) == '/' {
				encodedSlash = true
			}
			i += 2
		}
		i++
	}
	return i, encodedSlash
}

// Kinds of bytes in a path as sent.
const (
	badByte = iota
	plainByte
	lookByte
	percentByte
)

// pathBytes sorts bytes by kind. Quotes, braces and the like are no pchar, but have one reading;
// they are accepted, and escaped for the upstream. So is UTF-8 as such.
var pathBytes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c == '%':
			t[c] = percentByte
		case c == '.', c == ';', c == '/', c >= utf8.RuneSelf:
			t[c] = lookByte
		case c > ' ' && c < 0x7f && c != '#' && c != '\\' && c != '?':
			t[c] = plainByte
		}
	}
	return t
}()

// isPathByte tells whether RFC 3986 lets the byte stand in a path unescaped.
func isPathByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0
}

// isPlainForURL tells whether net/url, left alone, writes the byte as encodePath does.
func isPlainForURL(c byte) bool {
	return isPathByte(c) && strings.IndexByte("!'()*", c) < 0
}

func unescape(raw string, escapes int) string {
	b := make([]byte, 0, len(raw)-2*escapes)
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
			i += 2
		}
		b = append(b, c)
	}
	return string(b)
}

func startsHexPair(s string) bool { return len(s) >= 2 && isHex(s[0]) && isHex(s[1]) }

// startsUnicodeEscape finds %uXXXX, which some servers decode though no standard has it.
func startsUnicodeEscape(s string) bool {
	return len(s) >= 5 && s[0]|0x20 == 'u' && startsHexPair(s[1:]) && startsHexPair(s[3:])
}

const upperHex = "0123456789ABCDEF"

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	default:
		return c | 0x20 - 'a' + 10
	}
}

// nameByte says in words which byte is not wanted.
func nameByte(c byte) string {
	switch c {
	case 0:
		return "NUL"
	case ' ':
		return "space"
	case '#':
		return "fragment mark (#)"
	case '\\':
		return "backslash"
	}
	return "control character"
}
