// Package store is the system of record: tenants, credentials, admin tokens and the audit chains in
// an SQL database, behind the contract keys.Store. Open is the way in; whoever holds the result
// should hold it as a keys.Store, and everything that may be relied on is written there.
//
// Beside it there are blobs and leases for other parts of the program, which declare what they need
// of them where they use it.
//
// One body of code serves every database. What differs between them (how connections are made,
// which lock holds other writers off, what an error means) is in files named after the database,
// sqlite.go and postgres*.go, and in one folder of migrations per database. SQL elsewhere is portable: times are
// integers of microseconds, JSON is text, and text that is ordered by compares byte by byte.
//
// A credential is stored as two values: record, a packed form of the fields that decide (those under
// the row MACs, and the secrets), and details, JSON of the rest. The other columns of its row are
// copies to search and sort by. So a start with a million credentials reads one column of each, and
// a copy that was changed behind our back changes what a list shows, never who is let in.
package store
