package keyfile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kongFile collects what decK writes of consumers: keys and groups inside them, or, in the flat
// form of declarative configuration, beside them with the consumer's name or id.
type kongFile struct {
	*File
	options   Options
	consumers []*kongConsumer
	byName    map[string]*kongConsumer // and by id
	loose     []kongLoose              // of the flat form, until all consumers are known
	ignored   tally
	sections  tally
	unmapped  tally
	format    string
}

type kongConsumer struct {
	line                   int
	id, username, customID string
	tags                   []string
	keys                   []*node
	groups                 []entry // name and line; value is nil
}

// kongLoose is a key or a group outside its consumer.
type kongLoose struct {
	of   string
	item *node
}

// readKong reads decK's dump. Only consumers matter; what else the file holds is told.
func readKong(f *File, text string, o Options) {
	k := &kongFile{File: f, options: o, byName: map[string]*kongConsumer{}}
	if looksJSON(text) {
		if !walkJSON(f, text, k.visit) {
			return
		}
	} else if !walkYAML(f, text, kongSections(), k.visit) {
		return
	}
	k.finish()
}

// kongSections are the parts of a dump that are read.
func kongSections() []string {
	return []string{"_format_version", "consumers", "keyauth_credentials", "acls"}
}

func (k *kongFile) visit(s section) {
	switch {
	case s.name == "consumers" && s.item != nil:
		k.consumer(s.item)
	case (s.name == "keyauth_credentials" || s.name == "acls") && s.item != nil:
		k.loose = append(k.loose, kongLoose{s.name, s.item})
	case s.name == "_format_version" && s.whole != nil:
		k.format = s.whole.text
	case slices.Contains(kongSections(), s.name) && (s.whole.kind == list || s.whole.kind == null): // empty
	case slices.Contains(kongSections(), s.name):
		k.problem(s.line, "%s must be a list", s.name)
	case strings.HasPrefix(s.name, "_"): // about the dump itself
	default:
		k.sections.add(s.name, s.line)
	}
}

func (k *kongFile) consumer(n *node) {
	c := &kongConsumer{line: n.line}
	if n.kind != object {
		k.problem(n.line, "a consumer must be an object")
		return
	}
	for _, e := range n.entries {
		switch e.name {
		case "id":
			c.id, _ = k.scalarOf(e)
		case "username":
			c.username, _ = k.scalarOf(e)
		case "custom_id":
			c.customID, _ = k.scalarOf(e)
		case "tags":
			c.tags = k.textsOf(e)
		case "keyauth_credentials":
			c.keys = append(c.keys, k.itemsOf(e)...)
		case "acls":
			for _, item := range k.itemsOf(e) {
				k.group(c, item)
			}
		case "created_at", "updated_at": // of the consumer, not of its keys
		default:
			k.ignored.add(e.name, e.line)
		}
	}
	k.consumers = append(k.consumers, c)
	for _, name := range []string{c.username, c.id} {
		if name != "" {
			k.byName[name] = c
		}
	}
}

// itemsOf reads a list of objects.
func (k *kongFile) itemsOf(e entry) []*node {
	if e.value.kind == null {
		return nil
	}
	if e.value.kind != list {
		k.problem(e.line, "%s must be a list", e.name)
		return nil
	}
	var out []*node
	for _, item := range e.value.items {
		if item.kind != object {
			k.problem(item.line, "%s must be a list of objects", e.name)
			continue
		}
		out = append(out, item)
	}
	return out
}

// group reads a membership in an ACL group.
func (k *kongFile) group(c *kongConsumer, n *node) {
	found := false
	for _, e := range n.entries {
		switch e.name {
		case "group":
			name, _ := k.scalarOf(e)
			found = name != ""
			c.groups = append(c.groups, entry{name: name, line: e.line})
		case "id", "created_at", "tags", "consumer":
		default:
			k.ignored.add("acls."+e.name, e.line)
		}
	}
	if !found {
		k.problem(n.line, "the ACL entry names no group")
	}
}

// attach gives the flat form's keys and groups to their consumers.
func (k *kongFile) attach(l kongLoose) {
	var c *kongConsumer
	for _, e := range l.item.entries {
		if e.name != "consumer" {
			continue
		}
		name := e.value.text
		for _, one := range e.value.entries { // consumer: {id: …}
			if one.name == "id" || one.name == "username" {
				name = one.value.text
			}
		}
		if c = k.byName[name]; c == nil {
			k.problem(e.line, "there is no consumer %s in the file", show(name))
			return
		}
	}
	switch {
	case l.item.kind != object:
		k.problem(l.item.line, "%s must be a list of objects", l.of)
	case c == nil:
		k.problem(l.item.line, "it belongs to no consumer")
	case l.of == "acls":
		k.group(c, l.item)
	default:
		c.keys = append(c.keys, l.item)
	}
}

// finish makes the keys, once everything is known.
func (k *kongFile) finish() {
	if k.format != "" && !slices.Contains([]string{"1.1", "2.1", "3.0"}, k.format) {
		k.warn(1, "the format is %s; known are 1.1, 2.1 and 3.0", show(k.format))
	}
	for _, l := range k.loose {
		k.attach(l)
	}
	for _, c := range k.consumers {
		grants := k.grants(c)
		for i, n := range c.keys {
			k.key(c, n, i, grants)
		}
	}
	k.sections.warn(k.File)
	k.ignored.warn(k.File)
	k.unmapped.each(func(name string, line, count int) {
		k.problem(line, "the ACL group %s stands for nothing here (%s): add --map-group %s=API, or --map-group %s= to leave it out",
			show(name), many(count, "consumer"), name, name)
	})
}

// grants is what a consumer's groups are worth.
func (k *kongFile) grants(c *kongConsumer) (out []Grant) {
	for _, g := range c.groups {
		grants, known := k.options.Groups[g.name]
		if !known {
			k.unmapped.add(g.name, g.line)
		}
		out = append(out, grants...)
	}
	return out
}

// key makes one key of a consumer's credential.
func (k *kongFile) key(c *kongConsumer, n *node, place int, grants []Grant) {
	out := Key{Line: n.line, ExternalID: c.customID}
	var tags []string
	for _, e := range n.entries {
		switch e.name {
		case "key":
			text, _ := k.scalarOf(e)
			out.Text = Text(text)
		case "created_at":
			text, _ := k.scalarOf(e)
			out.CreatedAt = k.timeOf(e.name, text, e.line)
		case "ttl":
			k.ttl(&out, e)
		case "tags":
			tags = k.textsOf(e)
		case "id":
			text, _ := k.scalarOf(e)
			out.note("kong_key_id", text)
		case "consumer", "updated_at":
		default:
			k.ignored.add("keyauth_credentials."+e.name, e.line)
		}
	}
	switch {
	case out.Text == "":
		k.problem(n.line, "the key itself is missing")
	case strings.HasPrefix(string(out.Text), "{vault://"), strings.HasPrefix(string(out.Text), "${"):
		k.problem(n.line, "the file holds a reference to the key and not the key; dump it with the reference resolved")
	}
	name := cmp.Or(c.username, c.customID, c.id)
	if name == "" {
		k.problem(c.line, "the consumer has neither username nor custom_id")
	}
	if len(c.keys) > 1 {
		name = fmt.Sprintf("%s (%d)", name, place+1)
	}
	k.shortName(&out, name, "kong_name")
	out.note("kong_consumer", c.username)
	out.note("kong_tags", strings.Join(slices.Concat(c.tags, tags), " "))
	for _, g := range grants {
		if g.API != "" && !slices.Contains(out.APIs, g.API) {
			out.APIs = append(out.APIs, g.API)
		}
		if g.Scope != "" && !slices.Contains(out.Scopes, g.Scope) {
			out.Scopes = append(out.Scopes, g.Scope)
		}
	}
	k.add(out)
}

// ttl reads the seconds that a key had left when the dump was made.
func (k *kongFile) ttl(out *Key, e entry) {
	text, ok := k.scalarOf(e)
	if !ok || text == "" || text == "0" {
		return
	}
	seconds, err := strconv.ParseInt(text, 10, 32)
	if err != nil || seconds < 0 {
		k.problem(e.line, "ttl must be a number of seconds")
		return
	}
	end := k.options.Written.Add(time.Duration(seconds) * time.Second).UTC().Truncate(time.Second)
	out.ExpiresAt = &end
}
