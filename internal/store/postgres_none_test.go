//go:build !realservers

package store

import "errors"

// migrateAndSleep is a job of tests that are not there.
func migrateAndSleep(string) error { return errors.New("only with the tag realservers") }
