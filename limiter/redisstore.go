package limiter

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// store finds the server of a key: always the one of a single server or behind Sentinel, one of
// several masters in a cluster. Calls go to servers' own clients, not through the cluster's, whose
// loop of redirects sends a command again after a network error; but see once.
type store struct {
	single  *redis.Client
	cluster *redis.ClusterClient
	master  string // as Sentinels call single's server; "" without them
}

const (
	// pipelines is how many are on the wire to one server at most. More of them are smaller, and
	// cost both sides more; with one alone, a single lost packet would stop everybody.
	pipelines = 2
	// dialTimeout bounds a dial, which goes on when the decision that wanted it has given up.
	dialTimeout = 500 * time.Millisecond
)

// connection says where the store is and who asks.
func (o RedisOptions) connection() (*redis.UniversalOptions, error) {
	u := &redis.UniversalOptions{
		Addrs: o.Addrs, MasterName: o.MasterName, Username: o.Username, Password: o.Password, TLSConfig: o.TLS,
		SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword, DB: o.DB,
	}
	switch {
	case o.URL != "" && (len(o.Addrs) > 0 || o.MasterName != "" || o.Cluster):
		return nil, errors.New("redis: want a URL or addresses, not both")
	case o.URL != "" && o.DB != 0:
		return nil, errors.New("redis: want the database's number in the URL")
	case o.DB < 0:
		return nil, fmt.Errorf("redis: database %d: want 0 or more", o.DB)
	case o.DB > 0 && o.MasterName == "" && (o.Cluster || len(o.Addrs) > 1):
		return nil, fmt.Errorf("redis: database %d: a cluster has only 0", o.DB)
	case o.MasterName == "" && (o.SentinelUsername != "" || o.SentinelPassword != ""):
		return nil, errors.New("redis: a user or password of Sentinels, and no name of a master that they watch")
	case o.MasterName != "" && o.Cluster:
		return nil, errors.New("redis: want Sentinels or a cluster, not both")
	case o.URL != "":
		if err := fromURL(o.URL, u); err != nil {
			return nil, err
		}
		u.TLSConfig = cmp.Or(o.TLS, u.TLSConfig)
	case len(o.Addrs) == 0:
		return nil, errors.New("redis: no address")
	}
	for _, addr := range u.Addrs {
		if strings.Contains(addr, "@") { // a password may stand before it
			return nil, errors.New("redis: an address has a user or password in it: want host:port, and username and password apart")
		}
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("redis: address %q: want host:port", addr)
		}
	}
	return u, nil
}

func openStore(o RedisOptions) (store, error) {
	// The library writes each failed dial to standard error, in its own form; all of them come back as
	// errors too. Its logger is one for the process.
	redis.SetLogger(&logging.VoidLogger{})
	u, err := o.connection()
	if err != nil {
		return store{}, err
	}
	u.ContextTimeoutEnabled = true
	u.MaxRetries = -1
	u.Protocol = 2 // no handshake of its own, and nothing pushed into replies
	u.DisableIdentity = true
	u.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	u.DialTimeout, u.DialerRetries = dialTimeout, 1
	u.ReadTimeout, u.WriteTimeout = time.Second, time.Second // contexts end sooner
	u.PoolTimeout = time.Second
	// The pool stops dialling for a second at a time after PoolSize failed dials; here it must
	// decide again as soon as the store is back. What bounds connections is pipelines.
	u.PoolSize, u.MaxConcurrentDials = 512, 2*pipelines
	u.ReadBufferSize, u.WriteBufferSize = 8<<10, 8<<10
	u.Dialer = dialer(u.TLSConfig, o.Wrap)

	if o.MasterName == "" && (o.Cluster || len(u.Addrs) > 1) {
		c := u.Cluster()
		c.MaxRedirects, c.DisableRoutingPolicies = 3, true
		return store{cluster: redis.NewClusterClient(c)}, nil
	}
	if o.MasterName != "" {
		return store{single: redis.NewFailoverClient(u.Failover()), master: o.MasterName}, nil
	}
	return store{single: redis.NewClient(u.Simple())}, nil
}

// fromURL reads a URL. Errors never show it: a password is in it.
func fromURL(text string, u *redis.UniversalOptions) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "redis" && parsed.Scheme != "rediss" || parsed.Hostname() == "" {
		return errors.New("redis URL: want redis://[user:password@]host[:port][/db] or rediss://… with TLS")
	}
	if parsed.RawQuery != "" || parsed.Fragment != "" {
		return errors.New("redis URL: want nothing after the database's number")
	}
	o, err := redis.ParseURL(text)
	if err != nil {
		return errors.New("redis URL: the path must be the database's number, as in redis://host:6379/0")
	}
	u.Addrs, u.DB, u.TLSConfig = []string{o.Addr}, o.DB, o.TLSConfig
	u.Username, u.Password = cmp.Or(u.Username, o.Username), cmp.Or(u.Password, o.Password)
	return nil
}

// client returns the client of the server that a key is on. On a cluster it may have to ask for the map.
func (s store) client(ctx context.Context, key string) (*redis.Client, error) {
	if s.cluster == nil {
		return s.single, nil
	}
	return s.cluster.MasterForKey(ctx, key)
}

// each calls f with every server that decides, with those of a cluster at the same time.
func (s store) each(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	if s.cluster == nil {
		return f(ctx, s.single)
	}
	return s.cluster.ForEachMaster(ctx, f)
}

// once is a command that the cluster's client does not send again after a network error. It follows MOVED
// and ASK with it, also to a server that holds no slots yet.
type once struct{ *redis.StringCmd }

// NoRetry is what it asks.
func (once) NoRetry() bool { return true }

func (s store) Close() error {
	if s.cluster != nil {
		return s.cluster.Close()
	}
	return s.single.Close()
}

// dialer dials; a failure comes as a connection that fails with it. The pool counts failed dials, and
// after as many as its size it tries but once a second.
func dialer(config *tls.Config, wrap func(net.Conn) net.Conn) func(context.Context, string, string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := plain.DialContext(ctx, network, addr)
		if err == nil && wrap != nil {
			c = wrap(c)
		}
		if err == nil && config != nil {
			c, err = shakeHands(ctx, c, addr, config)
		}
		if err != nil {
			return deadConn{err}, nil
		}
		return c, nil
	}
}

// shakeHands begins TLS on a new connection, within dialTimeout.
func shakeHands(ctx context.Context, c net.Conn, addr string, config *tls.Config) (net.Conn, error) {
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return t, nil
}

// deadConn is a connection that was never made.
type deadConn struct{ err error }

func (c deadConn) Read([]byte) (int, error)         { return 0, c.err }
func (c deadConn) Write([]byte) (int, error)        { return 0, c.err }
func (c deadConn) Close() error                     { return nil }
func (c deadConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c deadConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c deadConn) SetDeadline(time.Time) error      { return nil }
func (c deadConn) SetReadDeadline(time.Time) error  { return nil }
func (c deadConn) SetWriteDeadline(time.Time) error { return nil }
