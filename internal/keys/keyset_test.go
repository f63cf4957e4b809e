package keys

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestOpenRegistryKnowsItsKeyset(t *testing.T) {
	pepper := []byte("1:" + samplePepper)
	vault := func(keyset []byte) *Vault {
		t.Helper()
		v, err := OpenVault(pepper, keyset)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	own, err := NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	store := newFakeStore()
	open := func(v *Vault) error {
		_, err := OpenRegistry(t.Context(), RegistryOptions{Store: store, Vault: v, Format: testFormat(t), Catalog: testCatalog()})
		return err
	}
	for _, c := range []struct {
		name    string
		vault   *Vault
		foreign bool
	}{
		{"none yet", vault(nil), false}, {"the first", vault(own), false}, {"the same", vault(own), false},
		{"another", vault(other), true}, {"none", vault(nil), false}, {"the same again", vault(own), false},
	} {
		err := open(c.vault)
		if c.foreign != errors.Is(err, ErrForeignKeyset) || !c.foreign && err != nil {
			t.Errorf("%s: got error %v", c.name, err)
		}
		if c.foreign && (!strings.Contains(err.Error(), "secrets.keyset") || !strings.Contains(err.Error(), "backup")) {
			t.Errorf("%s: error %q does not say what to do", c.name, err)
		}
	}
	canary := store.meta[keysetCanary]
	if len(canary) == 0 || bytes.Contains(canary, []byte(canaryText)) {
		t.Errorf("the store has %q", canary)
	}
	store.meta[keysetCanary][len(canary)-1]++
	if err := open(vault(own)); !errors.Is(err, ErrForeignKeyset) {
		t.Errorf("an altered canary: got error %v", err)
	}
}
