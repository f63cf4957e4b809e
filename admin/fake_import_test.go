package admin

import (
	"context"
	"fmt"

	"postern/internal/keys"
)

// Import creates what has a name, and refuses the rest.
func (f *fakeRegistry) Import(_ context.Context, a keys.Actor, list []keys.ImportKey, dryRun bool) ([]keys.ImportResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return nil, err
	}
	f.imported, f.dryRun = list, dryRun
	out := make([]keys.ImportResult, len(list))
	for i, k := range list {
		switch {
		case k.Name == "":
			out[i] = keys.ImportResult{Status: keys.ImportRefused, Errors: []keys.FieldError{{Field: "name", Message: "is required"}}}
		case k.Name == "known":
			out[i] = keys.ImportResult{Status: keys.ImportExists, ID: "key_known0000000"}
		case dryRun:
			out[i] = keys.ImportResult{Status: keys.ImportWouldCreate}
		default:
			out[i] = keys.ImportResult{Status: keys.ImportCreated, ID: keys.CredentialID(fmt.Sprintf("key_%012d", i))}
		}
	}
	return out, nil
}
