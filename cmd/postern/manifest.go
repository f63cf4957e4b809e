package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postern/internal/keys"
)

// The names of a backup's parts. A backup is a tar of these, the manifest first.
const (
	partManifest   = "manifest.json"
	partDatabase   = "postern.db"
	partCheckpoint = "checkpoint.json"
	partPepper     = "secrets/pepper"
	partKeyset     = "secrets/keyset.json"
)

const manifestFormat = 1

// manifest says what a backup holds. It has no secret.
type manifest struct {
	Format    int         `json:"format"`
	Postern   string      `json:"postern"` // version of the program that made it
	CreatedAt time.Time   `json:"created_at"`
	Store     string      `json:"store"` // sqlite or none
	Schema    int64       `json:"schema,omitempty"`
	ChangeSeq int64       `json:"change_seq,omitempty"`
	Audit     []chainEnd  `json:"audit,omitempty"` // where each chain ends
	Secrets   bool        `json:"secrets"`         // the pepper and the keyset are among the parts
	Parts     []savedPart `json:"parts"`
}

type chainEnd struct {
	Chain string `json:"chain"`
	Seq   int64  `json:"seq"`
	MAC   string `json:"mac"` // lower-case hex
}

type savedPart struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // lower-case hex

	path string // where it is while the backup is made
}

// ends are the chains' ends as the domain has them.
func (m *manifest) ends() ([]keys.AuditEnd, error) {
	var ends []keys.AuditEnd
	for _, c := range m.Audit {
		mac, err := hex.DecodeString(c.MAC)
		if err != nil || len(mac) != len(keys.RowMAC{}) || c.Seq < 1 {
			return nil, fmt.Errorf("the end of the audit chain %q in the manifest is damaged", c.Chain)
		}
		ends = append(ends, keys.AuditEnd{Chain: c.Chain, Seq: c.Seq, MAC: keys.RowMAC(mac)})
	}
	return ends, nil
}

func (m *manifest) part(name string) *savedPart {
	for i := range m.Parts {
		if m.Parts[i].Name == name {
			return &m.Parts[i]
		}
	}
	return nil
}

// measure makes the entry of a file that is to be a part.
func measure(name, path string) (savedPart, error) {
	f, err := os.Open(path)
	if err != nil {
		return savedPart{}, fmt.Errorf("read part %s: %w", name, err)
	}
	defer f.Close() // it is only read
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return savedPart{}, fmt.Errorf("read part %s: %w", name, err)
	}
	return savedPart{Name: name, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil)), path: path}, nil
}

// writeBundle writes the manifest and the parts.
func writeBundle(w io.Writer, m *manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	t := tar.NewWriter(w)
	header := func(name string, size int64) *tar.Header {
		return &tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: m.CreatedAt.Truncate(time.Second), Typeflag: tar.TypeReg}
	}
	if err := t.WriteHeader(header(partManifest, int64(len(text)))); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if _, err := t.Write(text); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	for _, p := range m.Parts {
		if err := t.WriteHeader(header(p.Name, p.Bytes)); err != nil {
			return fmt.Errorf("write part %s: %w", p.Name, err)
		}
		f, err := os.Open(p.path)
		if err != nil {
			return fmt.Errorf("write part %s: %w", p.Name, err)
		}
		_, err = io.Copy(t, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("write part %s: %w", p.Name, err)
		}
	}
	return t.Close()
}

// mostManifest bounds what a file that claims to be a backup can make us read.
const mostManifest = 64 << 20

// unpackBundle checks a backup and puts its parts into a folder, which is the caller's to remove. It
// accepts nothing but what writeBundle writes: each part once, with the size and sum that the
// manifest says.
func unpackBundle(path, dir string) (*manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &failure{code: exitNotFound, err: fmt.Errorf("open the backup: %w", err)}
	}
	defer f.Close() // it is only read
	bad := func(format string, args ...any) error {
		return &failure{code: exitFailed, err: fmt.Errorf("%s is not a whole backup: %w", path, fmt.Errorf(format, args...)),
			next: "Use another backup. Nothing was changed."}
	}
	t := tar.NewReader(f)
	h, err := t.Next()
	if err != nil || h.Name != partManifest || h.Size > mostManifest {
		return nil, bad("it does not begin with a manifest")
	}
	var m manifest
	if err := json.NewDecoder(t).Decode(&m); err != nil {
		return nil, bad("its manifest cannot be read: %w", err)
	}
	if m.Format != manifestFormat {
		return nil, bad("its format is %d, and this version of Postern knows %d", m.Format, manifestFormat)
	}
	seen := map[string]bool{}
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, bad("%w", err)
		}
		p := m.part(h.Name)
		target, known := partFiles[h.Name]
		if p == nil || !known || seen[h.Name] || h.Typeflag != tar.TypeReg || sparse(h) || h.Size != p.Bytes {
			return nil, bad("the part %q is not one that its manifest names", h.Name)
		}
		seen[h.Name] = true
		p.path = filepath.Join(dir, target)
		if err := unpackPart(t, p); err != nil {
			return nil, bad("%w", err)
		}
	}
	for _, p := range m.Parts {
		if !seen[p.Name] {
			return nil, bad("the part %q is missing", p.Name)
		}
	}
	return &m, nil
}

// sparse tells whether a part has holes that the file need not hold. tar.Reader fills them with zeros, so
// that a few bytes would fill the disk.
func sparse(h *tar.Header) bool {
	for name := range h.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// partFiles are the names under which parts are unpacked, never taken from the file.
var partFiles = map[string]string{
	partDatabase: "postern.db", partCheckpoint: "checkpoint.json", partPepper: "pepper", partKeyset: "keyset.json",
}

func unpackPart(from io.Reader, p *savedPart) error {
	f, err := os.OpenFile(p.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), from)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("unpack part %s: %w", p.Name, err)
	}
	if n != p.Bytes || hex.EncodeToString(sum.Sum(nil)) != p.SHA256 {
		return fmt.Errorf("the part %s is damaged: its SHA-256 is not the one in the manifest", p.Name)
	}
	return nil
}
