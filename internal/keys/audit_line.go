package keys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// AuditLine is one line of an exported audit chain, but the last, which holds the head.
type AuditLine struct {
	Chain   string            `json:"chain"`
	Seq     int64             `json:"seq"`
	Time    time.Time         `json:"time"`
	Action  string            `json:"action"`
	Target  string            `json:"target"`
	Actor   AuditLineActor    `json:"actor"`
	Detail  map[string]string `json:"detail"`
	Address string            `json:"address"`
	Request string            `json:"request"`
	Prev    string            `json:"prev"` // lower-case hex
	MAC     string            `json:"mac"`
}

// AuditLineActor is who did it.
type AuditLineActor struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

// AuditLineHead is the last line of an export.
type AuditLineHead struct {
	Chain string `json:"chain"`
	Count int64  `json:"count"`
	Hash  string `json:"hash"` // lower-case hex
}

// MakeAuditLine writes an entry as a line.
func MakeAuditLine(e *AuditEntry) AuditLine {
	detail := e.Detail
	if detail == nil {
		detail = map[string]string{}
	}
	return AuditLine{
		Chain: e.Chain, Seq: e.Seq, Time: e.Time.UTC(), Action: e.Action, Target: e.Target,
		Actor:  AuditLineActor{string(e.Actor.Type), e.Actor.ID, e.Actor.Name},
		Detail: detail, Address: e.Address, Request: e.Request,
		Prev: hex.EncodeToString(e.Prev[:]), MAC: hex.EncodeToString(e.MAC[:]),
	}
}

// MakeAuditLineHead writes a head as the last line has it, under the name head.
func MakeAuditLineHead(h AuditHead) AuditLineHead {
	return AuditLineHead{h.Chain, h.Count, hex.EncodeToString(h.Hash[:])}
}

// ParseAuditLine reads a line of an export: an entry, or the head, which is nil otherwise. Unknown
// fields and broken values are errors; whether the entry is as it was written, AuditWalk tells.
func ParseAuditLine(text []byte) (AuditEntry, *AuditHead, error) {
	var line struct {
		AuditLine
		Head *AuditLineHead `json:"head"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&line); err != nil {
		return AuditEntry{}, nil, fmt.Errorf("is no line of an export: %w", err)
	}
	if d.More() {
		return AuditEntry{}, nil, errors.New("is no line of an export: something follows the object")
	}
	if h := line.Head; h != nil {
		hash, err := parseMAC("hash", h.Hash)
		return AuditEntry{}, &AuditHead{Chain: h.Chain, Count: h.Count, Hash: hash}, err
	}
	e := AuditEntry{
		Chain: line.Chain, Seq: line.Seq, Time: line.Time, Action: line.Action, Target: line.Target,
		Actor:  ActorRef{Type: ActorType(line.Actor.Type), ID: line.Actor.ID, Name: line.Actor.Name},
		Detail: line.Detail, Address: line.Address, Request: line.Request,
	}
	var wrong, alsoWrong error
	e.Prev, wrong = parseMAC("prev", line.Prev)
	e.MAC, alsoWrong = parseMAC("mac", line.MAC)
	return e, nil, errors.Join(wrong, alsoWrong)
}

func parseMAC(field, text string) (m RowMAC, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(m) {
		return m, fmt.Errorf("%s is not %d hex digits", field, 2*len(m))
	}
	return RowMAC(b), nil
}
