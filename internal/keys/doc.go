// Package keys is the domain: credentials, tenants, tokens and every rule of who may do what to
// them. It does no I/O of its own: what is kept is kept by a [Store], which internal/store
// implements.
//
// Which part is for you:
//
//   - [Directory] answers the data path: whose credential is this, what may it do? It holds every
//     credential in memory, takes about a microsecond and never asks the store.
//   - [Registry] is the control path: each method is one thing that somebody may ask for, checks
//     every rule, and writes the change together with its audit entry in one transaction.
//   - [Format] makes and reads the texts of keys, client secrets and admin tokens; [Vault] digests
//     and seals them and authenticates stored rows; [Secret] keeps them out of logs.
//   - [Catalog] is what the configuration declares; hand a new one to SetCatalog of both.
//
// A "no" is a value: a [Code] on the data path, a [Refusal] on the control path. Any other error
// means that the answer could not be found out.
package keys
