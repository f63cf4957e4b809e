// Package keyfile reads files of API keys, as people and other gateways write them: JSON and CSV of
// our own columns, what Kong's decK dumps, and what Amazon API Gateway exports and imports. It turns
// them into keys for an import and judges nothing but the form; what a key may be called and do, the
// importing server decides.
//
// Everything that is wrong with a file is found at once, each with its line. What a file says and an
// import cannot keep is warned of by name, never dropped in silence. No message repeats the text of
// a key.
package keyfile
