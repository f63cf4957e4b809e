package config

import (
	"crypto/sha256"
	"time"
)

// Config is everything that gateway.yaml says, with defaults filled in, names checked against each
// other, relative paths made absolute and references in set_headers resolved. It is not changed
// after Load and may be shared.
type Config struct {
	// File is the path that was loaded, as it was given; Dir is the folder that relative paths
	// start at, absolute.
	File string `yaml:"-"`
	Dir  string `yaml:"-"`
	// Digest is the SHA-256 of the file as it was read, without what overrides it.
	Digest [sha256.Size]byte `yaml:"-"`

	Version        int                    `yaml:"version" default:"1"`
	DataDir        Path                   `yaml:"data_dir" default:"./data" reload:"no"`
	Listen         Listen                 `yaml:"listen" reload:"no"`
	Admin          Admin                  `yaml:"admin" reload:"no"`
	Store          Store                  `yaml:"store" default:"sqlite:postern.db" reload:"no"`
	Secrets        Secrets                `yaml:"secrets" reload:"no"`
	Limiter        Limiter                `yaml:"limiter"`
	Credentials    Credentials            `yaml:"credentials"`
	APIs           map[string]*API        `yaml:"apis"`
	Plans          map[string]*Plan       `yaml:"plans"`
	TenantPlans    map[string]*TenantPlan `yaml:"tenant_plans"`
	Policy         Policy                 `yaml:"policy"`
	Roles          map[string]*Role       `yaml:"roles"`
	Routes         map[string]*Route      `yaml:"routes"`
	TLS            TLS                    `yaml:"tls" reload:"no"`
	TrustedProxies Prefixes               `yaml:"trusted_proxies" default:"[]"`
	Access         Access                 `yaml:"access"`
	SignIn         Later                  `yaml:"sign_in"`
	Mail           Later                  `yaml:"mail"`
	Usage          Later                  `yaml:"usage"`
	Headers        Headers                `yaml:"headers"`
	Log            Log                    `yaml:"log"`
	Tracing        Later                  `yaml:"tracing"`
	Drain          Drain                  `yaml:"drain" reload:"no"`
	MaxStale       time.Duration          `yaml:"max_stale" default:"1h" min:"1s" reload:"no"`
	Node           Node                   `yaml:"node" reload:"no"`

	written *node `yaml:"-"` // the merged file, variables and flags; see Effective
}

// LoadOptions are what overrides the file.
type LoadOptions struct {
	// Env is the whole environment as os.Environ gives it: the POSTERN_ variables override
	// settings, and env: references are looked up in it. Nil is an empty environment.
	Env []string
	// Flags override everything else: dotted path, as in "listen.gateway", to a string, bool,
	// integer, or a list or map of those.
	Flags map[string]any
}

// Headers are about response headers.
type Headers struct {
	// LegacyRateLimit sends X-RateLimit-Limit, -Remaining and -Reset beside the standard ones.
	LegacyRateLimit bool `yaml:"legacy_rate_limit" default:"true"`
}

// Log says what is logged to standard error, and how.
type Log struct {
	Level  string `yaml:"level" default:"info" enum:"debug|info|warn|error"`
	Format string `yaml:"format" default:"auto" enum:"auto|text|json" reload:"no"` // auto: text on a terminal
}

// Drain is how the program leaves: Delay long it is not ready but still serves, then it waits up
// to Timeout for running requests.
type Drain struct {
	Delay   time.Duration `yaml:"delay" default:"5s" max:"1h"`
	Timeout time.Duration `yaml:"timeout" default:"30s" max:"1h"`
}
