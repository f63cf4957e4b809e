package keys

import (
	"crypto/rand"
	"encoding/hex"
	"testing"

	"github.com/google/uuid"
)

// TestTextsOfOtherGatewaysAreFit: what gateways generate passes, at their shortest too.
func TestTextsOfOtherGatewaysAreFit(t *testing.T) {
	f := testFormat(t)
	for range 2000 {
		b := make([]byte, 8)
		_, _ = rand.Read(b)
		kong, err := random62(rand.Reader, 32)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{uuid.NewString(), kong, kong[:20], hex.EncodeToString(b)} {
			if why := f.unfit(text); why != "" {
				t.Errorf("%s: %s", text, why)
			}
		}
	}
}

func TestImportPreview(t *testing.T) {
	f := testFormat(t)
	_, ours, err := f.NewKey(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"Zp4WkRt7VnLq2XsBm9":   "",
		"Zp4WkRt7VnLq2XsBm9Jd": "Zp4W",
		ours.Reveal():          preview(ours.Reveal()),
	} {
		if got := f.importPreview(text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestLooksOurs(t *testing.T) {
	f := testFormat(t)
	_, s, err := f.NewKey(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	ours := s.Reveal()
	for text, want := range map[string]bool{
		ours: true, ours[:len(ours)-1]: true, ours + "a": true, "x" + ours: false, "pst_live_": false, "pst_other_" + ours[9:]: false,
		"pstq_" + ours[9:]: false, "psta_" + ours[9:]: true, "psts_" + ours[9:]: true,
	} {
		if got := f.looksOurs(text); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
}
