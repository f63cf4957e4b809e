package keys

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsMaskedEverywhere(t *testing.T) {
	const text = "pst_live_hidden"
	s := NewSecret(text)
	type nested struct{ hidden Secret }
	type shown struct{ Shown Secret }
	logged := func(h func(*bytes.Buffer) slog.Handler) string {
		var b bytes.Buffer
		slog.New(h(&b)).Info("m", "secret", s, "in", shown{s}, "deep", nested{s}, slog.Group("g", "s", s))
		return b.String()
	}
	marshalled := func(b []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	outputs := map[string]string{
		"slog text": logged(func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }),
		"slog json": logged(func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }),
		"json":      marshalled(json.Marshal(map[string]any{"a": s, "b": &s, "c": shown{s}, "d": []Secret{s}})),
		"json key":  marshalled(json.Marshal(map[Secret]int{s: 1})),
		"xml":       marshalled(xml.Marshal(shown{s})),
		"string":    s.String(),
		"print":     fmt.Sprint(s, &s, shown{s}, nested{s}),
		"error":     fmt.Errorf("wrap: %v", s).Error(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s", "%t"} {
		outputs[verb] = fmt.Sprintf(verb, s)
		outputs[verb+" pointer"] = fmt.Sprintf(verb, &s)
		outputs[verb+" exported field"] = fmt.Sprintf(verb, shown{s})
		outputs[verb+" unexported field"] = fmt.Sprintf(verb, nested{s})
		outputs[verb+" pointer to struct"] = fmt.Sprintf(verb, &nested{s})
	}
	for how, out := range outputs {
		if strings.Contains(out, "hidden\"") || strings.Contains(out, text) || strings.Contains(out, fmt.Sprintf("%x", text)) {
			t.Errorf("%s shows the secret: %s", how, out)
		}
	}
	for _, how := range []string{"%v", "%+v", "%#v", "%s", "%q", "string"} {
		if got := outputs[how]; got != secretMask {
			t.Errorf("%s: got %s, want the mask", how, got)
		}
	}
	if s.Reveal() != text {
		t.Errorf("Reveal gives %q", s.Reveal())
	}
	if got := (Secret{}).Reveal(); got != "" {
		t.Errorf("the zero secret reveals %q", got)
	}
}
