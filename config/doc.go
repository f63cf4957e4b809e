// Package config reads gateway.yaml: what may be written, what holds when it is not, and what is
// wrong with it.
//
// Load is the way in for the program, Parse for a text in memory. Both take the file, the POSTERN_
// variables over it and flags over those, and return either a Config that is sound through and
// through (names refer to something, costs fit into limits, certificates can be read), or every
// problem at once, each with line, column, excerpt and next step. Config.Catalog and
// Config.Declared hand the parts about keys to the domain in its own terms.
//
// The structs are the schema. A setting is a field with tags (schema.go lists them); a form of its
// own is a type with a parse or decode method, in the file of its section; what settings say about
// each other is a check method there. To add a setting, add the field, show it in gateway.yaml at
// the root of the repository (a test compares them), and put each way to get it wrong into
// testdata/bad.
//
// What the data path and the domain make of a Config is not decided here: this package knows
// neither gateway nor store.
package config
