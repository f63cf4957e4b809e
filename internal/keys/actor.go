package keys

import "net/netip"

// ActorType tells what kind of actor did something.
type ActorType string

// The actor types.
const (
	ActorToken  ActorType = "token"  // an admin token
	ActorLocal  ActorType = "local"  // an offline command on the machine itself
	ActorFile   ActorType = "file"   // the configuration
	ActorSystem ActorType = "system" // Postern itself
)

// Actor is who asks the Registry for something, and what he may.
type Actor struct {
	ActorRef
	Tenant      TenantID // "" for the provider: everything in every tenant
	Permissions PermissionSet
	Address     netip.Addr
	RequestID   string
}

// subject is how records name an actor in one word.
func (a Actor) subject() string { return string(a.Type) + ":" + a.ID }
