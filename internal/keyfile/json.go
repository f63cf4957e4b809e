package keyfile

import (
	"cmp"
	"time"

	"postern/internal/keys"
)

// keyFields are the names of a key in JSON, and the columns of a CSV.
func keyFields() []string {
	return []string{"name", "text", "hash", "description", "tenant", "owner", "plan", "apis", "scopes", "status",
		"created_at", "expires_at", "metadata", "external_id"}
}

// readJSON reads a list of keys, or the body of POST /v1/keys/import.
func readJSON(f *File, text string) {
	var unknown tally
	walkJSON(f, text, func(s section) {
		switch {
		case s.item != nil && (s.name == "keys" || s.name == ""):
			f.jsonKey(s.item)
		case (s.name == "keys" || s.name == "") && s.whole.kind == list: // an empty one
		case s.name == "dry_run":
			f.warn(s.line, "dry_run in the file is not heeded; use --dry-run")
		default:
			unknown.add(s.name, s.line)
		}
	})
	unknown.each(func(name string, line, _ int) {
		f.problem(line, "unknown field %s; the file holds a list of keys, or an object whose field keys is one", show(name))
	})
}

// jsonKey reads one key. key is another name for text, as in a CSV.
func (f *File) jsonKey(n *node) {
	if n.kind != object {
		f.problem(n.line, "a key must be an object")
		return
	}
	k := Key{Line: n.line}
	for _, e := range n.entries {
		switch e.name {
		case "apis":
			k.APIs = f.textsOf(e)
		case "scopes":
			k.Scopes = f.textsOf(e)
		case "metadata":
			k.Metadata = f.mapOf(e)
		case "owner":
			k.Owner = f.ownerOf(e)
		default:
			if text, ok := f.scalarOf(e); ok {
				f.setField(&k, e.name, text, e.line)
			}
		}
	}
	f.wantSecret(&k)
	f.add(k)
}

// setField sets a field that is written as one text; "" is as good as absent.
func (f *File) setField(k *Key, name, text string, line int) {
	switch name {
	case "name":
		k.Name = text
	case "text", "key":
		k.Text = Text(cmp.Or(text, string(k.Text)))
	case "hash":
		k.Hash = text
	case "description":
		k.Description = text
	case "tenant":
		k.Tenant = text
	case "plan":
		k.Plan = text
	case "external_id":
		k.ExternalID = text
	case "status":
		if text != "" && text != string(keys.Active) && text != string(keys.Suspended) {
			f.problem(line, "status is %s; it must be active or suspended", show(text))
		}
		if text == string(keys.Suspended) {
			k.Status = text
		}
	case "created_at":
		k.CreatedAt = f.timeOf(name, text, line)
	case "expires_at":
		if text != "never" {
			k.ExpiresAt = f.timeOf(name, text, line)
		}
	default:
		f.problem(line, "unknown field %s%s", show(name), meant(name, keyFields()))
	}
}

func (f *File) timeOf(name, text string, line int) *time.Time {
	if text == "" {
		return nil
	}
	t, err := parseTime(text)
	if err != nil {
		f.problem(line, "%s: %v", name, err)
		return nil
	}
	return &t
}

// ownerOf reads {"type": …, "id": …}.
func (f *File) ownerOf(e entry) *Owner {
	if e.value.kind == scalar {
		return owner(e.value.text)
	}
	if e.value.kind != object {
		f.problem(e.line, "owner must be an object with type and id")
		return nil
	}
	o := &Owner{}
	for _, one := range e.value.entries {
		text, ok := f.scalarOf(one)
		switch {
		case !ok:
		case one.name == "type":
			o.Type = text
		case one.name == "id":
			o.ID = text
		default:
			f.problem(one.line, "unknown field owner.%s", one.name)
		}
	}
	return o
}

// owner reads an owner that is written in one word: tenant, or a user.
func owner(text string) *Owner {
	switch text {
	case "":
		return nil
	case string(keys.OwnerTenant):
		return &Owner{Type: text}
	}
	return &Owner{Type: string(keys.OwnerUser), ID: text}
}

// wantSecret tells of a key that has none, or two.
func (f *File) wantSecret(k *Key) {
	switch {
	case k.Text == "" && k.Hash == "":
		f.problem(k.Line, "the key itself is missing: text, or hash in its place")
	case k.Text != "" && k.Hash != "":
		f.problem(k.Line, "text and hash are both given; keep one")
	}
}

// meant names the nearest of the names that there are.
func meant(name string, names []string) string {
	if near := keys.Nearest(name, names); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}
