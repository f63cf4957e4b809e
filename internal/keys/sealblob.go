package keys

import (
	"errors"
	"fmt"
)

// SealBlob encrypts what another part of the program keeps in the store, so that OpenBlob gives it
// back under the same name only. Who can write to the database can therefore neither read it nor
// put another in its place.
func (v *Vault) SealBlob(name string, value []byte) ([]byte, error) {
	if v.aead == nil {
		return nil, errors.New("seal blob: no keyset was configured (secrets.keyset)")
	}
	sealed, err := v.aead.Encrypt(value, blobContext(name))
	if err != nil {
		return nil, fmt.Errorf("seal blob %q: %w", name, err)
	}
	return sealed, nil
}

// OpenBlob decrypts what SealBlob made for the name; ErrSealed, wrapped, otherwise.
func (v *Vault) OpenBlob(name string, sealed []byte) ([]byte, error) {
	if v.aead == nil {
		return nil, errors.New("open blob: no keyset was configured (secrets.keyset)")
	}
	value, err := v.aead.Decrypt(sealed, blobContext(name))
	if err != nil {
		return nil, fmt.Errorf("open blob %q: %w", name, ErrSealed)
	}
	return value, nil
}

const blobLabel = "postern sealed blob 1"

func blobContext(name string) []byte { return encodeText(encodeText(nil, blobLabel), name) }
