package keys

import (
	"bytes"
	"errors"
	"hash/crc32"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFormatMakesWhatItParses(t *testing.T) {
	f := testFormat(t)
	makers := []struct {
		name string
		form string
		want Text
		make func() (string, Secret, error)
	}{
		{"live key", `^pst_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$`, Text{Kind: KeyText}, func() (string, Secret, error) { return f.NewKey(nil, false) }},
		{"test key", `^pst_test_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$`, Text{Kind: KeyText, Test: true}, func() (string, Secret, error) { return f.NewKey(nil, true) }},
		{"client secret", `^psts_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$`, Text{Kind: ClientSecretText}, func() (string, Secret, error) { return f.NewClientSecret(nil) }},
		{"token", `^psta_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$`, Text{Kind: TokenText}, func() (string, Secret, error) { return f.NewToken(nil) }},
	}
	for _, m := range makers {
		t.Run(m.name, func(t *testing.T) {
			id, s, err := m.make()
			if err != nil {
				t.Fatal(err)
			}
			text := s.Reveal()
			if !regexp.MustCompile(m.form).MatchString(text) {
				t.Errorf("%s does not match %s", text, m.form)
			}
			m.want.ID = id
			if got := f.Parse(text); got != m.want {
				t.Errorf("Parse(%s) = %+v, want %+v", text, got, m.want)
			}
			if p := preview(text); !strings.HasPrefix(text, p) || len(text)-len(p) != 45 {
				t.Errorf("preview %s shows too much or too little of %s", p, text)
			}
			if got := regexp.MustCompile(f.Expression()).MatchString(text); got != (m.want.Kind == KeyText) {
				t.Errorf("the published expression matches: %t", got)
			}
		})
	}
}

// The text is fixed for ever: a release that read it differently would lock everybody out.
func TestFormatOfAKnownKey(t *testing.T) {
	body := "pst_live_abcdefABCDEF_" + strings.Repeat("0Az", 14) + "9"
	want := base62OfCRC(body)
	if got := testFormat(t).Parse(body + want); got != (Text{Kind: KeyText, ID: "abcdefABCDEF"}) {
		t.Errorf("Parse = %+v", got)
	}
	if got := testFormat(t).Parse("pst_live_000000000000_" + strings.Repeat("0", 43) + "0sAPwB"); got.Kind != NotOurs {
		t.Errorf("a wrong checksum was taken: %+v", got)
	}
	const zeros = "pst_live_000000000000_0000000000000000000000000000000000000000000"
	if got := base62OfCRC(zeros); got != "2kA6gV" {
		t.Errorf("checksum of the all-zero key is %s, want 2kA6gV", got)
	}
}

// base62OfCRC is the checksum rule written the slow way.
func base62OfCRC(s string) string {
	n := crc32.ChecksumIEEE([]byte(s))
	out := ""
	for range 6 {
		out = string(digits62[n%62]) + out
		n /= 62
	}
	return out
}

func TestParseRefuses(t *testing.T) {
	f := testFormat(t)
	_, key, _ := f.NewKey(nil, false)
	_, client, _ := f.NewClientSecret(nil)
	good := key.Reveal()
	other, _ := NewFormat("acme")
	_, foreign, _ := other.NewKey(nil, false)
	cases := map[string]string{
		"empty":               "",
		"prefix alone":        "pst",
		"prefix and label":    "pst_live_",
		"other prefix":        foreign.Reveal(),
		"space before":        " " + good,
		"space after":         good + " ",
		"newline after":       good + "\n",
		"NUL after":           good + "\x00",
		"upper case":          strings.ToUpper(good),
		"lower case":          strings.ToLower(good),
		"one shorter":         good[:len(good)-1],
		"one longer":          good + "0",
		"doubled":             good + good,
		"label prod":          strings.Replace(good, "_live_", "_prod_", 1),
		"label test":          strings.Replace(good, "_live_", "_test_", 1),
		"client as token":     strings.Replace(client.Reveal(), "psts_", "psta_", 1),
		"underscore in id":    good[:10] + "_" + good[11:],
		"non-ASCII digit":     good[:30] + "é" + good[32:],
		"full-width digit":    good[:30] + "１" + good[33:],
		"64 KiB of the shape": "pst_live_" + strings.Repeat("A", 1<<16),
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			if got := f.Parse(text); got != (Text{}) {
				t.Errorf("Parse(%.100q) = %+v, want not ours", text, got)
			}
		})
	}
	if got := (Format{}).Parse(good); got.Kind != NotOurs {
		t.Errorf("the zero format takes %+v", got)
	}
}

func TestParseFindsEverySingleEdit(t *testing.T) {
	f := testFormat(t)
	_, key, err := f.NewKey(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	edits(key.Reveal(), func(how, text string) {
		if got := f.Parse(text); got.Kind != NotOurs {
			t.Errorf("%s: %q is taken as %+v", how, text, got)
		}
	})
}

// edits calls fn with every text one edit away: another byte, a byte more or less, two neighbours
// swapped, other case.
func edits(text string, fn func(how, edited string)) {
	const bytesTried = digits62 + "_- .\x00\n\xff"
	each := func(how, edited string) {
		if edited != text {
			fn(how, edited)
		}
	}
	for i := 0; i <= len(text); i++ {
		for _, b := range []byte(bytesTried) {
			each("insert", text[:i]+string(rune(b))+text[i:])
			if i < len(text) {
				each("replace", text[:i]+string([]byte{b})+text[i+1:])
			}
		}
		if i < len(text) {
			each("drop", text[:i]+text[i+1:])
			each("upper", text[:i]+strings.ToUpper(text[i:i+1])+text[i+1:])
			each("lower", text[:i]+strings.ToLower(text[i:i+1])+text[i+1:])
		}
		if i+1 < len(text) {
			each("swap", text[:i]+text[i+1:i+2]+text[i:i+1]+text[i+2:])
		}
	}
}

func TestNewFormatChecksPrefix(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"pst": true, "ab": true, "a1": true, "abcdefghij": true,
		"": false, "a": false, "1a": false, "abcdefghijk": false, "Pst": false, "p_t": false, "p-t": false, "pé": false,
	} {
		if _, err := NewFormat(prefix); (err == nil) != ok {
			t.Errorf("NewFormat(%q): error %v, want ok %t", prefix, err, ok)
		}
	}
}

func TestGenerationIsUnbiasedAndFailsLoudly(t *testing.T) {
	// Every byte value once, over and over: each of the 62 digits must come equally often.
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	out, err := appendRandom62(nil, bytes.NewReader(bytes.Repeat(all, 62)), 62*248)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[byte]int{}
	for _, c := range out {
		counts[c]++
	}
	if len(counts) != 62 {
		t.Fatalf("%d different digits, want 62", len(counts))
	}
	for c, n := range counts {
		if n != 248 {
			t.Errorf("digit %c comes %d times, want 248", c, n)
		}
	}
	broken := errors.New("no entropy")
	if _, _, err := testFormat(t).NewKey(iotest.ErrReader(broken), false); !errors.Is(err, broken) {
		t.Errorf("a failing random source gives error %v", err)
	}
	if _, _, err := (Format{}).NewKey(nil, false); err == nil {
		t.Error("the zero format makes keys")
	}
}

func FuzzParse(f *testing.F) {
	format, err := NewFormat("pst")
	if err != nil {
		f.Fatal(err)
	}
	expression := regexp.MustCompile(format.Expression())
	_, key, _ := format.NewKey(nil, true)
	_, client, _ := format.NewClientSecret(nil)
	_, token, _ := format.NewToken(nil)
	for _, text := range []string{key.Reveal(), client.Reveal(), token.Reveal(), "", "pst_live_", "pst"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := format.Parse(text)
		if got.Kind == NotOurs {
			if got != (Text{}) {
				t.Errorf("not ours, but %+v", got)
			}
			return
		}
		if len(got.ID) != 12 || !isBase62(got.ID) || !strings.Contains(text, "_"+got.ID+"_") {
			t.Errorf("id %q of %q", got.ID, text)
		}
		if base62OfCRC(text[:len(text)-6]) != text[len(text)-6:] {
			t.Errorf("%q is taken with a wrong checksum", text)
		}
		if (got.Kind == KeyText) != expression.MatchString(text) {
			t.Errorf("%q: kind %d and the published expression disagree", text, got.Kind)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	format, _ := NewFormat("pst")
	_, key, _ := format.NewKey(nil, false)
	text := key.Reveal()
	b.ReportAllocs()
	for b.Loop() {
		if format.Parse(text).Kind != KeyText {
			b.Fatal("not ours")
		}
	}
}
