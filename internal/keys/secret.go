package keys

import (
	"fmt"
	"io"
	"log/slog"
)

// secretMask is what is seen of a Secret wherever it is not asked for by name.
const secretMask = "[secret]"

// Secret is a text that must not leak. It prints, logs and marshals as a mask, whatever the verb or
// encoding. The zero Secret holds the empty text.
type Secret struct {
	// A pointer, because fmt calls no method on a Secret in another struct's unexported field:
	// it would print a string there, but of a nested pointer it prints only the address.
	text *string
}

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal is the single way to the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns a mask.
func (s Secret) String() string { return secretMask }

// Format writes a mask for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, secretMask) }

// LogValue returns a mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(secretMask) }

// MarshalText returns a mask; JSON, YAML and XML encoders use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(secretMask), nil }
