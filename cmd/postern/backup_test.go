package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/keys"
)

// TestBackupsOfABusyGateway makes backups while keys are generated and revoked: each, put back, is
// whole, and has what was acknowledged before it was asked for.
func TestBackupsOfABusyGateway(t *testing.T) {
	s := newSite(t, mainConfig("http://127.0.0.1:9", "1000/s"))
	s.start()
	r := &running{t: t, admin: "http://" + s.admin, gateway: "http://" + s.gateway, token: s.must("tokens", "create", "--role", "operator")}
	acknowledged := make(chan string, 10_000)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			var g generated
			if err := r.tryAPI("/v1/keys", fmt.Sprintf(`{"name":"k%d","apis":["main"]}`, i), &g); err != nil {
				t.Error(err)
				return
			}
			if i%2 == 1 {
				if err := r.tryAPI("/v1/keys/"+g.ID+"/revoke", "{}", nil); err != nil {
					t.Error(err)
					return
				}
			}
			acknowledged <- g.ID
		}
	}()
	known := map[int]int{} // by backup: how many keys were acknowledged before
	count := 0
	for b := range 4 {
		for range 15 {
			<-acknowledged
			count++
		}
		known[b] = count
		s.must("backup", "--out", fmt.Sprintf("b%d.tar", b))
	}
	close(stop)
	<-stopped
	s.stop()
	for b, least := range known {
		if err := os.RemoveAll(s.path("data")); err != nil {
			t.Fatal(err)
		}
		s.must("restore", fmt.Sprintf("b%d.tar", b))
		s.start()
		listed := r.listKeys()
		if len(listed) < least {
			t.Errorf("backup %d has %d keys, and %d were acknowledged before it", b, len(listed), least)
		}
		wantWhole(t, s.path("gateway.yaml"), listed)
		s.stop()
	}
	for _, name := range []string{"b0.tar", "data/postern.db"} {
		if info, err := os.Stat(s.path(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v, want 0600", name, info.Mode(), err)
		}
	}
}

// TestDamagedBackupsAreRefused changes a backup in many ways. None is put back, and nothing is left of
// the attempt.
func TestDamagedBackupsAreRefused(t *testing.T) {
	s := newSite(t, mainConfig("http://127.0.0.1:9", "1000/s"))
	s.must("backup", "--with-secrets", "--out", "good.tar")
	good, err := os.ReadFile(s.path("good.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.path("data")); err != nil {
		t.Fatal(err)
	}
	parts := untar(t, good)
	bad := map[string][]byte{
		"empty": nil, "no tar": []byte("backup"), "cut off": good[:len(good)/2], "without a manifest": retar(t, parts[1:]),
		"a part missing": retar(t, parts[:2]), "a part twice": retar(t, append(parts[:len(parts):len(parts)], parts[1])),
		"a part more":    retar(t, append(parts[:len(parts):len(parts)], part{"evil", []byte("x")})),
		"a way out":      retar(t, append(parts[:len(parts):len(parts)], part{"../evil", []byte("x")})),
		"holes":          holes(t, parts),
		"a renamed part": retar(t, []part{parts[0], {"../../postern.db", parts[1].text}, parts[2], parts[3]}),
		"a later format": retar(t, []part{{partManifest, bytes.Replace(parts[0].text, []byte(`"format": 1`), []byte(`"format": 2`), 1)}, parts[1], parts[2], parts[3]}),
		"another store":  retar(t, []part{{partManifest, bytes.Replace(parts[0].text, []byte(`"sqlite"`), []byte(`"none"`), 1)}, parts[1], parts[2], parts[3]}),
	}
	for range 20 { // somewhere in the parts' bytes
		at := 512 + rand.IntN(len(parts[1].text))
		flipped := bytes.Clone(parts[1].text)
		flipped[at%len(flipped)] ^= 1 << rand.IntN(8)
		bad[fmt.Sprintf("a bit of byte %d", at)] = retar(t, []part{parts[0], {partDatabase, flipped}, parts[2], parts[3]})
	}
	for name, text := range bad {
		if err := os.WriteFile(s.path("bad.tar"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		out, messages, err := s.try("restore", "bad.tar")
		if err == nil {
			t.Errorf("%s: it was put back: %s%s", name, out, messages)
		}
		if name == "holes" && !strings.Contains(err.Error()+messages, "is not one that its manifest names") {
			t.Errorf("holes were unpacked: %v %s", err, messages)
		}
		left, err := os.ReadDir(s.path("data"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range left {
			if f.Name() != "lock" {
				t.Errorf("%s: the attempt left %s", name, f.Name())
			}
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "..", "evil")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a part got out of the folder: %v", err)
	}
	s.must("restore", "good.tar")

	// What a whole one says does not drive the terminal.
	var m manifest
	if err := json.Unmarshal(parts[0].text, &m); err != nil {
		t.Fatal(err)
	}
	m.Postern, m.Audit[0].Chain = "1\x1b[2J", "default\x1b[2J"
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	parts[0].text = text
	if err := os.WriteFile(s.path("loud.tar"), retar(t, parts), 0o600); err != nil {
		t.Fatal(err)
	}
	_, messages, err := s.try("restore", "--force", "loud.tar")
	if err != nil || strings.Contains(messages, "\x1b") {
		t.Errorf("it says %q, %v", messages, err)
	}
}

// holes makes a bundle of a few KiB whose database unpacks to a GiB of zeros with the sum that its
// manifest says, were it only read to its end.
func holes(t *testing.T, parts []part) []byte {
	t.Helper()
	const size = 1 << 30
	var m manifest
	if err := json.Unmarshal(parts[0].text, &m); err != nil {
		t.Fatal(err)
	}
	m.part(partDatabase).Bytes = size
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	records := func(pairs ...string) string {
		var b strings.Builder
		for i := 0; i < len(pairs); i += 2 {
			n := len(pairs[i]) + len(pairs[i+1]) + len(" =\n")
			n += len(fmt.Sprint(n + len(fmt.Sprint(n))))
			fmt.Fprintf(&b, "%d %s=%s\n", n, pairs[i], pairs[i+1])
		}
		return b.String()
	}
	sparse := retar(t, []part{
		{"pax", []byte(records("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", partDatabase, "GNU.sparse.realsize", fmt.Sprint(size)))},
		{"data", append([]byte("1\n1073741824\n0\n"), make([]byte, 512-15)...)},
	})
	sparse[156] = tar.TypeXHeader // of the first header; archive/tar writes none of these itself
	sum := 0
	copy(sparse[148:156], "        ")
	for _, c := range sparse[:512] {
		sum += int(c)
	}
	copy(sparse[148:156], fmt.Sprintf("%06o\x00 ", sum))
	begin := retar(t, []part{{partManifest, text}})
	return append(begin[:len(begin)-1024], sparse...)
}

type part struct {
	name string
	text []byte
}

func untar(t *testing.T, bundle []byte) []part {
	t.Helper()
	var parts []part
	for r := tar.NewReader(bytes.NewReader(bundle)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o600 {
			t.Errorf("part %s has mode %o", h.Name, h.Mode)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{h.Name, text})
	}
}

func retar(t *testing.T, parts []part) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range parts {
		if err := w.WriteHeader(&tar.Header{Name: p.name, Mode: 0o600, Size: int64(len(p.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestKilledRestore kills a restore at any point: the database is the one from before or the restored
// one, whole, and trying again works.
func TestKilledRestore(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	s := newSite(t, mainConfig(upstream.URL, "1000/s"))
	s.start()
	old := s.must("keys", "create", "--name", "old", "--api", "main")
	s.must("backup", "--out", "b.tar")
	later := s.must("keys", "create", "--name", "later", "--api", "main")
	s.stop()
	began := time.Now()
	s.must("restore", "b.tar", "--force")
	took := time.Since(began)
	both := false // whether the database is the one with both keys
	for range 12 {
		if !both {
			kept, err := filepath.Glob(s.path("data/postern.db.before-restore-*Z"))
			if err != nil || len(kept) == 0 {
				t.Fatalf("no database was kept: %v", err)
			}
			if err := os.Rename(kept[0], s.path("data/postern.db")); err != nil {
				t.Fatal(err)
			}
			both = true
		}
		c := exec.Command("postern", "restore", "b.tar", "--force")
		c.Dir = s.dir
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(took) * 5 / 4))) // any point will do
		_ = c.Process.Kill()                                        // it may have ended
		_ = c.Wait()
		_, i := s.open()
		page, err := i.store.Credentials(t.Context(), keys.CredentialFilter{Now: time.Now()})
		if err := errors.Join(err, i.Close()); err != nil {
			t.Fatalf("after a kill the database cannot be read: %v", err)
		}
		switch len(page.Items) {
		case 1:
			both = false
		case 2:
		default:
			t.Fatalf("after a kill there are %d keys, want 1 or 2", len(page.Items))
		}
	}
	s.must("restore", "b.tar", "--force")
	s.start()
	if got := s.call(old); got != http.StatusOK {
		t.Errorf("the key of the backup: got %d, want 200", got)
	}
	if got := s.call(later); got != http.StatusUnauthorized {
		t.Errorf("the key from after the backup: got %d, want 401", got)
	}
	s.stop()
}

// TestRestoreKnowsItsSecrets: a backup of another installation is refused, unless it has its own
// secrets and may replace those here.
func TestRestoreKnowsItsSecrets(t *testing.T) {
	one := newSite(t, mainConfig("http://127.0.0.1:9", "1000/s"))
	other := newSite(t, mainConfig("http://127.0.0.1:9", "1000/s"))
	other.must("backup", "--out", one.path("plain.tar"))
	other.must("backup", "--with-secrets", "--out", one.path("whole.tar"))
	pepper, err := os.ReadFile(one.path("pepper"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"restore", "plain.tar", "--force"}, {"restore", "whole.tar"}} {
		if out, messages, err := one.try(args...); err == nil {
			t.Errorf("%v: it was put back: %s%s", args, out, messages)
		}
		if now, err := os.ReadFile(one.path("pepper")); err != nil || !bytes.Equal(now, pepper) {
			t.Errorf("%v: the pepper changed", args)
		}
	}
	if _, messages, err := one.try("restore", "whole.tar", "--force"); err != nil || !strings.Contains(messages, "secrets.pepper was put back") {
		t.Fatalf("with its own secrets: %v, %s", err, messages)
	}
	kept, err := filepath.Glob(one.path("pepper.before-restore-*"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("the pepper that was here is not kept: %v, %v", kept, err)
	}
	if text, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(text, pepper) {
		t.Errorf("what was kept is another pepper, %v", err)
	}
	one.start()
	one.stop()
}
