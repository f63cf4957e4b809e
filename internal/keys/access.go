package keys

import "fmt"

// LocalActor is who runs an offline command on the machine itself, with the files in his hands:
// everything is allowed.
func LocalActor(name string) Actor {
	return Actor{ActorRef: ActorRef{Type: ActorLocal, ID: "local", Name: name}, Permissions: AllPermissions()}
}

// systemActor is Postern itself.
func systemActor() Actor {
	return Actor{ActorRef: ActorRef{Type: ActorSystem, ID: "postern", Name: "Postern"}, Permissions: AllPermissions()}
}

// fileActor is the configuration.
func fileActor() Actor {
	return Actor{ActorRef: ActorRef{Type: ActorFile, ID: "file", Name: "configuration"}, Permissions: AllPermissions()}
}

// provider tells whether the actor acts for the provider: in every tenant.
func (a Actor) provider() bool { return a.Tenant == "" }

// actsIn tells whether the actor belongs where the tenant is.
func (a Actor) actsIn(t TenantID) bool { return a.provider() || a.Tenant == t }

// owns tells whether a credential counts as the actor's own: a person's belong to him, a tenant's to
// everybody there. What acts for nobody has no person's credentials.
func (a Actor) owns(c *Credential) bool {
	if c.Owner.Type == OwnerUser {
		return a.User != "" && c.Owner.ID == string(a.User) && a.actsIn(c.Tenant)
	}
	return c.Owner.Type == OwnerTenant && a.actsIn(c.Tenant)
}

// may tells whether one of the two permissions lets the actor act on the credential.
func (a Actor) may(own, all Permission, c *Credential) bool {
	return a.actsIn(c.Tenant) && (a.Permissions.Has(all) || a.Permissions.Has(own) && a.owns(c))
}

// denied is the refusal for want of a permission.
func (r *Registry) denied(need Permission) *Refusal {
	return &Refusal{
		Code:   PermissionDenied,
		Detail: fmt.Sprintf("This needs the permission %s.", need),
		Hint:   r.help("Ask an administrator for a role that has it."),
	}
}

// altered refuses to change a record whose MAC is wrong: to write it again would give what somebody
// else wrote a valid one.
func altered(id string) *Refusal {
	return &Refusal{
		Code:   InvalidState,
		Detail: fmt.Sprintf("The stored record of %s was altered behind Postern's back. It is refused everywhere, and cannot be changed.", id),
		Hint:   "Restore it from a backup, and find out who can write to the database.",
	}
}

// absent is the answer both for what is not there and for what the actor must not know of.
func absent(what string, id string) *Refusal {
	return &Refusal{
		Code:   NotFoundHere,
		Detail: fmt.Sprintf("There is no %s %s.", what, quote(id)),
		Hint:   "Check the id; a deleted one is gone for good.",
	}
}
