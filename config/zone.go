package config

import (
	_ "embed"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the same zones on every machine, also in an image without them

	"postern/internal/keys"
)

//go:embed zones.txt
var zoneNames string // the IANA names as of Go 1.26, for suggestions only

// parseZone finds a time zone by its IANA name.
func parseZone(in string) (*time.Location, error) {
	if in == "" || in == "Local" {
		return nil, complaint{fmt.Sprintf("%s is not a time zone", show(in)), "write UTC, or a name as in Europe/Berlin"}
	}
	zone, err := time.LoadLocation(in)
	if err != nil {
		next := "write UTC, or a name as in Europe/Berlin"
		if near := keys.Nearest(in, strings.Fields(zoneNames)); near != "" {
			next = fmt.Sprintf("did you mean %s?", near)
		}
		return nil, complaint{fmt.Sprintf("%s is not a time zone", show(in)), next}
	}
	return zone, nil
}
