package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"reflect"
	"strings"

	"postern/limiter"
)

// Limiter is where limits are counted.
type Limiter struct {
	Backend Backend `yaml:"backend" default:"local" reload:"no"`
	OnLoss  string  `yaml:"on_loss" default:"local" enum:"local|deny|allow"`
}

// Backend is what counts: this process if it is zero, else the Redis that several gateways share.
type Backend struct {
	// URL is redis:// or rediss:// with user and password, as the variable or file held it; Redis is
	// for what a URL cannot say. At most one is set.
	URL   string
	Redis *Redis
}

// Local tells whether limits are counted in this process.
func (b Backend) Local() bool { return b.URL == "" && b.Redis == nil }

// Redis is one server, Sentinels or a cluster.
type Redis struct {
	Addrs      []string `yaml:"addrs"`       // host:port; several are a cluster's, or with master_name Sentinels
	MasterName string   `yaml:"master_name"` // of the servers that the Sentinels watch
	Cluster    bool     `yaml:"cluster"`     // one address is a cluster's too
	Username   string   `yaml:"username"`
	Password   *Ref     `yaml:"password"`
	DB         int      `yaml:"db"`
	TLS        RedisTLS `yaml:"tls"`

	SentinelUsername string `yaml:"sentinel_username"` // for Sentinels that want one
	SentinelPassword *Ref   `yaml:"sentinel_password"`

	password, sentinelPassword string // as they were read
}

// RedisTLS is whether Redis and its Sentinels speak TLS, and who signs their certificates.
type RedisTLS struct {
	On     bool
	CAFile Path // PEM; "" for whom the system trusts

	ca string // as it was read
}

func (t *RedisTLS) decode(d *decoder, n *node, p path) {
	if n.kind != mapping {
		d.bool(reflect.ValueOf(&t.On).Elem(), n, p)
		return
	}
	var in struct {
		CAFile Path `yaml:"ca_file"`
	}
	d.section(reflect.ValueOf(&in).Elem(), n, p)
	if d.broken(p...) {
		return
	}
	if in.CAFile == "" {
		d.problem(n.at, p, "names no ca_file", "write { ca_file: PATH }, or true for the certificate authorities that the system trusts")
		return
	}
	t.On, t.CAFile = true, in.CAFile
	text, err := Ref{File: string(in.CAFile)}.read(nil)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
		err = fmt.Errorf("%s holds no PEM certificate", in.CAFile)
	}
	if err != nil {
		d.accept(complaint{err.Error(), "name a PEM file with the certificate of who signs Redis's"}, p.to("ca_file"), n.entry("ca_file").value)
	}
	t.ca = string(text)
}

// config is how to connect; nil without TLS.
func (t *RedisTLS) config() *tls.Config {
	if !t.On {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM([]byte(t.ca))
	}
	return c
}

func (b *Backend) decode(d *decoder, n *node, p path) {
	if n.kind == mapping {
		b.decodeRedis(d, n, p)
		return
	}
	in, ok := d.text(n, p)
	if !ok || in == "local" {
		return
	}
	ref, isRef, err := d.reference(in)
	switch {
	case err != nil:
		d.accept(err, p, n)
	case isRef:
		url, problem := d.secret(ref)
		if problem == nil {
			problem = asComplaint(limiter.RedisOptions{URL: url, Node: "any"}.Validate(), "correct what "+ref.String()+" holds")
		}
		d.accept(problem, p, n)
		b.URL = url
	case strings.HasPrefix(in, "redis:") || strings.HasPrefix(in, "rediss:"):
		d.mask(n) // there may be a password in it
		d.problem(n.at, p, "must say where the URL is, not the URL itself", "write env:NAME or file:PATH, or a map: {addrs: [\"host:6379\"]}")
	default:
		if strings.Contains(in, "@") {
			d.mask(n)
		}
		d.problem(n.at, p, fmt.Sprintf("%s is not known here", show(in)), "write local, env:NAME or file:PATH where a redis:// URL is, or {addrs: [\"host:6379\"]}")
	}
}

func (b *Backend) decodeRedis(d *decoder, n *node, p path) {
	b.Redis = &Redis{}
	if addrs, _ := n.child("addrs"); addrs != nil {
		for _, addr := range addrs.items {
			if strings.Contains(addr.text, "@") {
				d.mask(addr) // an address with its password
			}
		}
	}
	d.section(reflect.ValueOf(b.Redis).Elem(), n, p)
	if d.broken(p...) {
		return
	}
	for _, one := range []struct {
		name string
		ref  *Ref
		to   *string
	}{{"password", b.Redis.Password, &b.Redis.password}, {"sentinel_password", b.Redis.SentinelPassword, &b.Redis.sentinelPassword}} {
		if one.ref == nil {
			continue
		}
		secret, err := d.secret(*one.ref)
		if err != nil {
			d.accept(err, p.to(one.name), n.entry(one.name).value)
			return
		}
		*one.to = secret
	}
	o := b.Options()
	o.Node = "any"
	d.accept(asComplaint(o.Validate(), "see gateway.yaml for an example"), p, n)
}

// Options is where the limiter finds Redis.
func (b Backend) Options() limiter.RedisOptions {
	if b.Redis == nil {
		return limiter.RedisOptions{URL: b.URL}
	}
	return limiter.RedisOptions{
		Addrs: b.Redis.Addrs, MasterName: b.Redis.MasterName, Cluster: b.Redis.Cluster, DB: b.Redis.DB,
		Username: b.Redis.Username, Password: b.Redis.password, TLS: b.Redis.TLS.config(),
		SentinelUsername: b.Redis.SentinelUsername, SentinelPassword: b.Redis.sentinelPassword,
	}
}

// secret reads what a reference says, without the end of its line.
func (d *decoder) secret(r Ref) (string, error) {
	text, err := r.read(d.env)
	if err != nil {
		return "", complaint{err.Error(), "set it where Postern runs, or correct the reference"}
	}
	return strings.TrimSpace(string(text)), nil
}

func asComplaint(err error, next string) error {
	if err == nil {
		return nil
	}
	return complaint{err.Error(), next}
}

func (d *decoder) checkLimiter(c *Config) {
	if c.Limiter.OnLoss == "allow" {
		d.warn(d.place(path{"limiter", "on_loss"}), path{"limiter", "on_loss"}, "while the limiter is lost, nothing is limited", "")
	}
	for name, r := range c.Routes {
		if p := (path{"routes", name, "on_loss"}); r.OnLoss == "allow" {
			d.warn(d.place(p), p, fmt.Sprintf("while the limiter is lost, nothing is limited on route %s", name), "")
		}
		if r.OnLoss == "" {
			r.OnLoss = c.Limiter.OnLoss
		}
	}
}
