// Package pgserver starts a PostgreSQL of a test's own: the installed program on a free port, in a folder
// of its own, gone with the process that started it.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// User and Password are what the addresses sign in with. The server asks for none; tests look for the
// password where it must not be.
const (
	User     = "postern"
	Password = "hunter2-pg"
)

// Server is a running PostgreSQL. Its methods are safe for concurrent use, but for those that stop it.
type Server struct {
	Port int // on 127.0.0.1

	dir      string
	bin      string
	settings []string
	cmd      *exec.Cmd
	ended    chan struct{}
	made     atomic.Int64 // databases
}

// Start makes a database cluster and starts a server on it. settings are further ones, as in
// "fsync=on": without, nothing survives a crash of the machine, which no test is about.
func Start(settings ...string) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "postern-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin, settings: settings}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if c := credential(); c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", s.data(), "-U", User, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: credential()}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if s.Port, err = freePort(); err != nil {
		return nil, err
	}
	return s, s.Restart()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// binaries finds the newest installed server.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		path, lookErr := exec.LookPath("postgres")
		if lookErr != nil {
			return "", errors.Join(errors.New("PostgreSQL is not installed: apt-get install postgresql"), err)
		}
		found = []string{path}
	}
	return filepath.Dir(slices.Max(found)), nil
}

// credential is another user where this one is root, whom PostgreSQL refuses to run for.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	id := uint32(65534)
	if u, err := user.Lookup("nobody"); err == nil {
		if n, err := strconv.ParseUint(u.Uid, 10, 32); err == nil {
			id = uint32(n)
		}
	}
	return &syscall.Credential{Uid: id, Gid: id}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// Restart starts the server that was stopped or killed, and waits until it answers.
func (s *Server) Restart() error {
	const patience = 10 * time.Second
	for begin := time.Now(); ; {
		err := s.start()
		// The processes of one that was killed may take a moment to go.
		if err == nil || !strings.Contains(err.Error(), "pre-existing shared memory block") || time.Since(begin) > patience {
			return err
		}
		if err := os.Truncate(s.log(), 0); err != nil {
			return err
		}
	}
}

func (s *Server) start() error {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.Port), "-k", s.dir}
	for _, setting := range append([]string{"listen_addresses=127.0.0.1", "fsync=off", "max_connections=200", "autovacuum_naptime=10s"}, s.settings...) {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the server has it
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	// SIGQUIT is the immediate shutdown: a test that is killed leaves no server behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(), Pdeathsig: syscall.SIGQUIT}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The signal comes when this thread ends, and so it has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // however it ended
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.cmd, s.ended = cmd, ended
	const patience = 30 * time.Second
	for begin := time.Now(); ; {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		conn, err := pgx.Connect(ctx, s.Address("postgres"))
		cancel()
		if err == nil {
			return conn.Close(context.Background())
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(s.log())
			return fmt.Errorf("PostgreSQL ended at once:\n%s", text)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Since(begin) > patience {
			return errors.Join(err, s.Stop())
		}
	}
}

func (s *Server) log() string { return filepath.Join(s.dir, "log") }

// Address is that of a database, over TCP.
func (s *Server) Address(database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", User, Password, s.Port, database)
}

// Database makes a database, empty or as the template is, and returns its name.
func (s *Server) Database(template string) (string, error) {
	name := fmt.Sprintf("db_%d", s.made.Add(1))
	query := "CREATE DATABASE " + name
	if template != "" {
		query += " TEMPLATE " + template
	}
	return name, s.Exec("postgres", query)
}

// Exec runs a statement in a database.
func (s *Server) Exec(database, query string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.Address(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, query)
	return errors.Join(err, conn.Close(ctx))
}

// Signal sends a signal to the server and all its processes.
func (s *Server) Signal(sig syscall.Signal) error {
	pids := []int{s.cmd.Process.Pid}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pids[0], pids[0]))
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Kill ends the server with all its processes, which have no time for anything.
func (s *Server) Kill() error {
	err := s.Signal(syscall.SIGKILL)
	<-s.ended
	return err
}

// Halt stops the server in order; Restart starts it again.
func (s *Server) Halt() error {
	err := s.cmd.Process.Signal(syscall.SIGINT)
	<-s.ended
	return err
}

// Stop ends the server and removes everything of it.
func (s *Server) Stop() error {
	select {
	case <-s.ended:
	default:
		_ = s.Signal(syscall.SIGCONT) // one that is paused hears nothing else
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.ended
	}
	return os.RemoveAll(s.dir)
}
