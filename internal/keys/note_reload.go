package keys

import (
	"context"
	"strings"
)

// mostSettingsNoted bounds what one audit entry says of a configuration.
const mostSettingsNoted = 100

// NoteReload records in the provider's audit chain that an actor had the configuration read again
// and which settings that changed. Refusals: permission_denied, and the store's.
func (r *Registry) NoteReload(ctx context.Context, a Actor, changed []string) error {
	if err := r.MayReload(a); err != nil {
		return err
	}
	list := changed[:min(len(changed), mostSettingsNoted)]
	return r.change(ctx, "record the reload", func(ctx context.Context, tx Tx) error {
		return r.record(ctx, tx, a, ProviderChain, "config.reloaded", "config", details("changed", strings.Join(list, ", ")))
	})
}

// MayReload refuses whoever may not have the configuration read again.
func (r *Registry) MayReload(a Actor) error {
	if !a.provider() || !a.Permissions.Has(ConfigReload) {
		return r.denied(ConfigReload)
	}
	return nil
}

// Catalog is the configuration in force. It is not to be changed.
func (r *Registry) Catalog() *Catalog { return r.catalog.Load() }

// ConfigurationActor is who acts where the configuration changes by itself: its file was written.
func ConfigurationActor() Actor { return fileActor() }
