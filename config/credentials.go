package config

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Credentials is about the form of keys and where requests carry them.
type Credentials struct {
	Prefix         string   `yaml:"prefix" default:"pst" reload:"no"`
	Accept         Carriers `yaml:"accept" default:"[bearer, x-api-key, basic, client-headers]"`
	AcceptImported bool     `yaml:"accept_imported" default:"false"`
}

// Carriers are different places in a request where a credential may stand, never empty.
type Carriers []Carrier

// Carrier is one such place.
type Carrier struct {
	Kind CarrierKind
	Name string // canonical header name or exact query parameter, for CarrierHeader and CarrierQuery
}

// CarrierKind is one of the ways to carry a credential, spelled as in the file.
type CarrierKind string

// The carriers.
const (
	CarrierBearer        CarrierKind = "bearer"
	CarrierXAPIKey       CarrierKind = "x-api-key"
	CarrierBasic         CarrierKind = "basic"
	CarrierClientHeaders CarrierKind = "client-headers"
	CarrierHeader        CarrierKind = "header" // header:<Name>
	CarrierQuery         CarrierKind = "query"  // query:<name>
)

var (
	prefixForm = regexp.MustCompile(`^[a-z][a-z0-9]{1,9}$`)
	queryForm  = regexp.MustCompile(`^[A-Za-z0-9_.~-]{1,64}$`)
)

// String is the carrier as it is written in the file.
func (c Carrier) String() string {
	if c.Name == "" {
		return string(c.Kind)
	}
	return string(c.Kind) + ":" + c.Name
}

func (c *Carrier) parse(_ *decoder, in string) error {
	simple := []string{string(CarrierBearer), string(CarrierXAPIKey), string(CarrierBasic), string(CarrierClientHeaders)}
	kind, name, named := strings.Cut(in, ":")
	switch {
	case slices.Contains(simple, in):
		*c = Carrier{Kind: CarrierKind(in)}
	case named && kind == string(CarrierHeader):
		if err := carrierHeader(name); err != nil {
			return err
		}
		*c = Carrier{Kind: CarrierHeader, Name: http.CanonicalHeaderKey(name)}
	case named && kind == string(CarrierQuery):
		if !queryForm.MatchString(name) {
			return complaint{fmt.Sprintf("%s is not the name of a query parameter", show(name)), "write it as in query:api_key"}
		}
		*c = Carrier{Kind: CarrierQuery, Name: name}
	default:
		all := append(simple, "header:<Name>", "query:<name>")
		return complaint{fmt.Sprintf("%s is no place for a credential", show(in)), meant(in, all)}
	}
	return nil
}

// carrierHeader refuses names that mean something else, or that another carrier reads.
func carrierHeader(name string) error {
	if err := checkHeader(name); err != nil {
		return err
	}
	instead := map[string]CarrierKind{
		"Authorization": CarrierBearer, "X-Api-Key": CarrierXAPIKey,
		"X-Client-Id": CarrierClientHeaders, "X-Client-Secret": CarrierClientHeaders,
	}[http.CanonicalHeaderKey(name)]
	if instead != "" {
		return complaint{fmt.Sprintf("header %s has a carrier of its own", name), fmt.Sprintf("write %s", instead)}
	}
	if strings.EqualFold(name, "Cookie") {
		return complaint{"a cookie cannot carry a credential", "use another header"}
	}
	return nil
}

func (cs *Carriers) decode(d *decoder, n *node, p path) {
	if !d.isKind(n, list, p) {
		return
	}
	if len(n.items) == 0 {
		d.problem(n.at, p, "nobody could show a credential", "list at least one, as in [bearer]")
	}
	for i, item := range n.items {
		at := p.to(index(i))
		var c Carrier
		in, ok := d.text(item, at)
		if !ok {
			continue
		}
		if err := c.parse(d, in); err != nil {
			d.accept(err, at, item)
			continue
		}
		if slices.Contains(*cs, c) {
			d.problem(item.at, at, fmt.Sprintf("%s is listed twice", c), "keep one")
			continue
		}
		*cs = append(*cs, c)
	}
}

func (d *decoder) checkCredentials(c *Config) {
	if p := (path{"credentials", "prefix"}); !d.broken(p...) && !prefixForm.MatchString(c.Credentials.Prefix) {
		d.wrong(p, fmt.Sprintf("%s is not a prefix", show(c.Credentials.Prefix)), "write 2 to 10 of a-z and 0-9, beginning with a letter")
	}
}
