package gateway

import "strings"

// Rules of this file: it collects what some software or other may take a path for, by doing to it
// what such software does, again and again, until nothing new comes. It is used only for requests that
// are odd already, to see that none of their readings leads past a route that observes.

// Bounds of what one path may cost. A path with more readings is refused.
const (
	maxReadings     = 128
	maxReadingBytes = 32 << 10 // of all readings together
	maxOddPath      = 8 << 10  // longer request lines few servers take
)

// readings returns the path and everything that it may be read as, the path itself first; nil when
// there are too many.
func readings(path string) []string {
	if len(path) > maxOddPath {
		return nil
	}
	forms := []string{path}
	known := map[string]bool{path: true}
	bytes := len(path)
	for i := 0; i < len(forms); i++ {
		for _, read := range [...]func(string) string{
			lenientlyDecoded, unicodeDecoded, fitted, backslashed, cutParameters, cutAtControl, cutAtMark,
			withoutControls, trimmedSegments, merged, withoutDots,
		} {
			form := read(forms[i])
			if form == "" || form[0] != '/' {
				form = "/" + form
			}
			if known[form] {
				continue
			}
			if bytes += len(form); len(forms) == maxReadings || bytes > maxReadingBytes {
				return nil
			}
			known[form] = true
			forms = append(forms, form)
		}
	}
	return forms
}

// lenientlyDecoded decodes each valid escape once and leaves what is none.
func lenientlyDecoded(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && startsHexPair(s[i+1:]) {
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

// decodedButSlashes is the path for who leaves encoded slashes alone.
func decodedButSlashes(s string) string {
	parts := strings.Split(strings.ReplaceAll(s, "%2f", "%2F"), "%2F")
	for i := range parts {
		parts[i] = lenientlyDecoded(parts[i])
	}
	return strings.Join(parts, "%2F")
}

// unicodeDecoded decodes %uXXXX, which IIS had.
func unicodeDecoded(s string) string {
	if !strings.Contains(s, "%u") && !strings.Contains(s, "%U") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && startsUnicodeEscape(s[i+1:]) {
			r := rune(unhex(s[i+2]))<<12 | rune(unhex(s[i+3]))<<8 | rune(unhex(s[i+4]))<<4 | rune(unhex(s[i+5]))
			b.WriteRune(r)
			i += 5
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// fitted turns what best-fit mappings and lax UTF-8 decoders take for ASCII into that.
func fitted(s string) string {
	ascii := true
	for i := 0; i < len(s) && ascii; i++ {
		ascii = s[i] < 0x80
	}
	if ascii {
		return s
	}
	s = strings.NewReplacer(
		"\u2024", ".", "\ufe52", ".", "\uff0e", ".",
		"\u2044", "/", "\u2215", "/", "\u29f8", "/", "\uff0f", "/",
		"\ufe68", `\`, "\uff3c", `\`, "\u2216", `\`, "\u29f5", `\`,
		"\u00a0", " ", "\u3000", " ", "\uff05", "%", "\uff1b", ";",
	).Replace(s)
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case (c == 0xc0 || c == 0xc1) && i+1 < len(s) && s[i+1]&0xc0 == 0x80: // overlong, two bytes
			b = append(b, c&1<<6|s[i+1]&0x3f)
			i++
		case c == 0xe0 && i+2 < len(s) && s[i+1]&0xfe == 0x80 && s[i+2]&0xc0 == 0x80: // three bytes
			b = append(b, s[i+1]&1<<6|s[i+2]&0x3f)
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func backslashed(s string) string { return strings.ReplaceAll(s, `\`, "/") }

// cutParameters cuts parameters off each segment, but unlike withoutParameters keeps segments that
// are empty then.
func cutParameters(s string) string {
	if strings.IndexByte(s, ';') < 0 {
		return s
	}
	return eachSegment(s, func(segment string) string {
		segment, _, _ = strings.Cut(segment, ";")
		return segment
	})
}

// cutAtControl ends the path where C strings and naive request lines end.
func cutAtControl(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return s[:i]
		}
	}
	return s
}

// cutAtMark ends the path where a query or a fragment begins.
func cutAtMark(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return s[:i]
	}
	return s
}

// withoutControls drops what browsers drop from addresses.
func withoutControls(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] >= ' ' && s[i] != 0x7f {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// trimmedSegments is the path as Windows sees it.
func trimmedSegments(s string) string {
	return eachSegment(s, func(segment string) string {
		trimmed := strings.TrimRight(segment, " ")
		if dots := strings.Trim(trimmed, "."); dots == "" {
			return trimmed // . and .. mean something
		}
		return strings.TrimRight(segment, " .")
	})
}

// merged takes several slashes for one.
func merged(s string) string {
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	return s
}

// withoutDots removes dot segments (RFC 3986, section 5.2.4); empty segments count as segments.
func withoutDots(s string) string {
	if !strings.Contains(s, "/.") {
		return s
	}
	var kept []string
	segments := strings.Split(strings.TrimPrefix(s, "/"), "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		case ".":
		default:
			kept = append(kept, segment)
			continue
		}
		if last {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

func eachSegment(s string, do func(string) string) string {
	segments := strings.Split(s, "/")
	for i := range segments {
		segments[i] = do(segments[i])
	}
	return strings.Join(segments, "/")
}
