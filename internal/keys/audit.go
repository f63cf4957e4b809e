package keys

import "time"

// ProviderChain is the audit chain of everything that belongs to no tenant.
const ProviderChain = "provider"

// AuditEntry is one link of a chain: who did what to what. It is written in the transaction of the
// change it tells of. It never holds a secret.
type AuditEntry struct {
	Chain   string // tenant id, or ProviderChain
	Seq     int64  // from 1, without gaps, per chain
	Time    time.Time
	Actor   ActorRef
	Action  string // as in key.generated, key.revoked, token.created
	Target  string // id of what was acted on
	Detail  map[string]string
	Address string // client address, "" when local
	Request string // request id
	Prev    RowMAC // MAC of the entry before, zero for the first
	MAC     RowMAC // over everything above, under the pepper
}

// ActorRef names an actor in records.
type ActorRef struct {
	Type ActorType
	ID   string
	Name string
}
