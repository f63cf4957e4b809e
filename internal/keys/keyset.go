package keys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// sealPrefix is how many bytes of a sealed text name the key that sealed it: a 1 and the key's id
// (Tink's wire format, developers.google.com/tink/wire-format).
const sealPrefix = 5

func sealedBy(keyID uint32) (prefix [sealPrefix]byte) {
	prefix[0] = 1
	binary.BigEndian.PutUint32(prefix[1:], keyID)
	return prefix
}

// sealedNow tells whether a text was sealed with the keyset's primary key. What was never sealed
// counts as such.
func (v *Vault) sealedNow(sealed []byte) bool {
	return len(sealed) == 0 || v.aead == nil || bytes.HasPrefix(sealed, v.sealing[:])
}

// AddKeysetKey returns the contents of a keyset file with one more key, which seals from the next
// start on. The others stay, so that what they sealed can be opened.
func AddKeysetKey(file []byte) ([]byte, error) {
	if _, err := OpenVault([]byte("1:"+standInPepper), file); err != nil {
		return nil, err
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file)))
	if err != nil {
		return nil, errors.New("add a key to the keyset: it cannot be read") // the library may quote it
	}
	m := keyset.NewManagerFromHandle(handle)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("add a key to the keyset: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("put the new key of the keyset in force: %w", err)
	}
	if handle, err = m.Handle(); err != nil {
		return nil, fmt.Errorf("add a key to the keyset: %w", err)
	}
	return keysetText(handle)
}

// standInPepper lets a vault be opened to look at a keyset alone. It is nobody's.
const standInPepper = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="

func keysetText(handle *keyset.Handle) ([]byte, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		return nil, fmt.Errorf("write keyset: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
