package keys

import (
	"bytes"
	"errors"
	"testing"
)

func TestBlobOpensUnderItsNameOnly(t *testing.T) {
	keyset, err := NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	v, err := OpenVault([]byte("1:"+samplePepper), keyset)
	if err != nil {
		t.Fatal(err)
	}
	value := []byte("-----BEGIN EC PRIVATE KEY-----")
	sealed, err := v.SealBlob("certificates/a.key", value)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, value[:8]) {
		t.Error("the sealed blob shows its value")
	}
	if got, err := v.OpenBlob("certificates/a.key", sealed); err != nil || !bytes.Equal(got, value) {
		t.Errorf("got %q, %v, want what was sealed", got, err)
	}
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for name, b := range map[string][]byte{"certificates/b.key": sealed, "certificates/a.key": altered, "": sealed} {
		if _, err := v.OpenBlob(name, b); !errors.Is(err, ErrSealed) {
			t.Errorf("under %q: got error %v, want ErrSealed", name, err)
		}
	}
	// A sealed secret of a credential is no blob, whatever it is called.
	secret, err := v.Seal("default", "key_1", "s1", NewSecret("text"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.OpenBlob("default", secret); !errors.Is(err, ErrSealed) {
		t.Errorf("a sealed secret opened as a blob: %v", err)
	}
	bare := vaultOf(t, "1:"+samplePepper)
	if _, err := bare.SealBlob("a", value); err == nil {
		t.Error("sealed without a keyset")
	}
	if _, err := bare.OpenBlob("a", sealed); err == nil {
		t.Error("opened without a keyset")
	}
}
