package config

import (
	"strings"
	"testing"
)

func TestCheckMatchPath(t *testing.T) {
	tests := []struct {
		name, in, want string // want: part of the complaint, "" for none
	}{
		{"root", "/", ""},
		{"subtree", "/orders/", ""},
		{"one path", "/orders", ""},
		{"other scripts", "/caf\u00e9/\u65e5\u672c/", ""},
		{"dots within a name", "/v1.2/a..b/...", ""},
		{"sub-delims", "/a:b@c!$&'()+,=~", ""},
		{"longest", "/" + strings.Repeat("a", maxPath-1), ""},
		{"too long", "/" + strings.Repeat("a", maxPath), "longer than"},
		{"empty", "", "does not start with /"},
		{"dot", "/a/./b", "dot segment"},
		{"dots at the end", "/a/..", "dot segment"},
		{"dots with a parameter", "/a/..;x/b", "dot segment"},
		{"parameter", "/a;b/", "parameter"},
		{"empty segment", "/a//", "empty segment"},
		{"fullwidth dots", "/a/\uff0e\uff0e/b", "take for a dot"},
		{"one-dot leaders", "/a/\u2024\u2024/b", "take for a dot"},
		{"small full stops", "/a/\ufe52\ufe52", "take for a dot"},
		{"dots and look-alikes", "/a/.\uff0e/b", "take for a dot"},
		{"fraction slash", "/a/..\u2044b", "take for a dot"},
		{"division slash", "/a/..\u2215b", "take for a dot"},
		{"big solidus", "/a/..\u29f8b", "take for a dot"},
		{"fullwidth slash", "/a/..\uff0fb", "take for a dot"},
		{"small backslash", "/a/..\ufe68b", "take for a dot"},
		{"fullwidth backslash", "/a/..\uff3cb", "take for a dot"},
		{"set minus", "/a/..\u2216b", "take for a dot"},
		{"reverse solidus operator", "/a/..\u29f5b", "take for a dot"},
		{"no-break space", "/a/..\u00a0/b", "take for a dot"},
		{"ideographic space", "/a/..\u3000/b", "take for a dot"},
		{"space", "/a/.. /b", "space"},
		{"backslash", `/a/..\b`, "backslash"},
		{"control character", "/a\x01b", "control"},
		{"delete", "/a\x7fb", "control"},
		{"control character beyond ASCII", "/a\u0085b", "control"},
		{"no UTF-8", "/a\xffb", "control"},
		{"percent", "/100%", "percent-encoded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := checkMatchPath(tt.in); err != nil {
				got = err.Error()
			}
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
