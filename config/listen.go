package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
)

// Listen says where the parts accept connections: host:port, :port for every address, or "" for
// none (Gateway is never "").
type Listen struct {
	Gateway Address `yaml:"gateway" default:":8080"`
	Admin   Address `yaml:"admin" default:"127.0.0.1:8081"`
	// Probes serves /livez, /readyz and /metrics only, for kubelet and Prometheus.
	Probes Address `yaml:"probes" default:""`
	// HTTP redirects plain HTTP to the gateway's TLS and proves to a CA that a domain is ours; only
	// together with section tls. Where certificates come from a CA it is :80 unless it says none.
	HTTP Address `yaml:"http" default:""`
}

// Address is a checked listening address, or "".
type Address string

// noAddress is how listen.http is told not to listen where it otherwise would.
const noAddress Address = "none"

// Admin is about the admin listener.
type Admin struct {
	PublicURL      WebURL  `yaml:"public_url" default:""` // as people reach it; "" as the listener says
	TLS            KeyPair `yaml:"tls"`
	BehindTLSProxy bool    `yaml:"behind_tls_proxy" default:"false"`
}

// KeyPair names certificate and key files, both absolute or both "".
type KeyPair struct {
	CertFile Path `yaml:"cert_file"`
	KeyFile  Path `yaml:"key_file"`
}

// WebURL is an absolute http or https URL without query, or "".
type WebURL string

var hostForm = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// validHost tells whether s is a host name in lower case, without final dot and port.
func validHost(s string) bool { return len(s) <= 253 && hostForm.MatchString(s) }

func (a *Address) parse(_ *decoder, in string) error {
	if in == "" {
		return nil
	}
	if in == string(noAddress) { // checkListen knows where it may stand
		*a = noAddress
		return nil
	}
	const next = `write host:port, as in "127.0.0.1:8080", or ":8080" for every address`
	if _, err := strconv.ParseUint(in, 10, 16); err == nil {
		return complaint{fmt.Sprintf("%s is a port alone", in), fmt.Sprintf("write %q for every address, or %q", ":"+in, "127.0.0.1:"+in)}
	}
	host, port, err := net.SplitHostPort(in)
	if err != nil {
		return complaint{fmt.Sprintf("%s is not an address to listen on", show(in)), next}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return complaint{fmt.Sprintf("%s is not a port from 0 to 65535", show(port)), next}
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !validHost(host) {
		return complaint{fmt.Sprintf("%s is not a host", show(host)), next}
	}
	*a = Address(in)
	return nil
}

// Loopback tells whether only this machine can reach the address.
func (a Address) Loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// collides tells whether one process cannot listen on both: the ports are the same, and so are the
// hosts, or one of them is every address.
func (a Address) collides(b Address) bool {
	hostA, portA, errA := net.SplitHostPort(string(a))
	hostB, portB, errB := net.SplitHostPort(string(b))
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	every := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "" || err == nil && ip.IsUnspecified()
	}
	return hostA == hostB || every(hostA) || every(hostB)
}

func (a Address) port() string {
	_, port, _ := net.SplitHostPort(string(a)) // checked, or ""
	return port
}

func (w *WebURL) parse(_ *decoder, in string) error {
	if in == "" {
		return nil
	}
	u, err := url.Parse(in)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return complaint{fmt.Sprintf("%s is not a web address", show(in)), "write it as in https://keys.example.com"}
	}
	*w = WebURL(in)
	return nil
}

func (d *decoder) checkListen(c *Config) {
	at := path{"listen"}
	if c.Listen.Gateway == "" && !d.broken("listen", "gateway") {
		d.wrong(at.to("gateway"), "must not be empty", `write an address, as in ":8080"`)
	}
	if a := c.Listen.Admin; a != "" && a != noAddress && !a.Loopback() && c.Admin.TLS.CertFile == "" && !c.Admin.BehindTLSProxy && !d.broken("admin") {
		d.wrong(at.to("admin"), fmt.Sprintf("%s can be reached from other machines, and admin tokens would travel in the clear", a),
			"listen on 127.0.0.1, set admin.tls, or set admin.behind_tls_proxy: true if a proxy there speaks TLS")
	}
	for _, l := range []struct {
		name    string
		address Address
	}{{"gateway", c.Listen.Gateway}, {"admin", c.Listen.Admin}, {"probes", c.Listen.Probes}} {
		if l.address == noAddress {
			d.wrong(at.to(l.name), `"none" is not an address to listen on`, `write host:port, or "" for none where that can be`)
		}
	}
	switch {
	case c.Listen.HTTP == noAddress:
		c.Listen.HTTP = ""
	case c.Listen.HTTP == "" && len(c.TLS.Domains) > 0:
		c.Listen.HTTP = ":80"
	case c.Listen.HTTP != "" && !c.TLS.On() && !d.broken("tls"):
		d.wrong(at.to("http"), "redirects to TLS, and there is none", "set tls, or leave it empty")
	}
	type listener struct {
		name    string
		address Address
	}
	var taken []listener
	for _, l := range []listener{{"gateway", c.Listen.Gateway}, {"admin", c.Listen.Admin}, {"probes", c.Listen.Probes}, {"http", c.Listen.HTTP}} {
		if i := slices.IndexFunc(taken, func(t listener) bool { return t.address.collides(l.address) }); i >= 0 {
			d.wrong(at.to(l.name), fmt.Sprintf("%s is taken by listen.%s, %s", l.address, taken[i].name, taken[i].address), "give each its own port")
		}
		taken = append(taken, l)
	}
}
