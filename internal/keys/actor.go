package keys

import (
	"net/netip"
	"time"
)

// ActorType tells what kind of actor did something.
type ActorType string

// The actor types.
const (
	ActorToken  ActorType = "token"  // an admin token
	ActorUser   ActorType = "user"   // a person who signed in
	ActorLocal  ActorType = "local"  // an offline command on the machine itself
	ActorFile   ActorType = "file"   // the configuration
	ActorSystem ActorType = "system" // Postern itself
)

// Actor is who asks the Registry for something, and what he may.
type Actor struct {
	ActorRef
	Tenant      TenantID // "" for the provider: everything in every tenant
	User        UserID   // the person who acts; "" for what owns nothing, such as most tokens
	UserName    string   // what that person is called
	Lent        bool     // a token that acts as User and was made by somebody else, who must see no secret of his
	Permissions PermissionSet
	LendsReveal bool      // a token whose roles have keys.reveal.tenant: not for itself, but it may give them to people
	Confirmed   time.Time // when the person last proved who he is; zero where nobody can, as for tokens
	Address     netip.Addr
	RequestID   string
}

// subject is how records name an actor in one word.
func (a Actor) subject() string {
	if a.Type == ActorLocal {
		return string(a.Type) + ":" + a.Name // whoever types at this machine has no id; the command says more
	}
	return string(a.Type) + ":" + a.ID
}
