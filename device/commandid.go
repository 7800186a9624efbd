package device

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
)

// CommandID names a command: a UUID (RFC 9562), never all zero.
type CommandID [16]byte

var errCommandID = errors.New("a command id is a UUID like 0193f05e-7a10-7c2b-9d41-3e88510c6faa")

// NewCommandID makes a random id (RFC 9562 §5.4).
func NewCommandID() (id CommandID) {
	_, _ = rand.Read(id[:]) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseCommandID reads a UUID as RFC 9562 §4 writes it, in upper or lower case.
func ParseCommandID(s string) (id CommandID, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return CommandID{}, errCommandID
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil || id == (CommandID{}) {
		return CommandID{}, errCommandID
	}
	return id, nil
}

// String returns the id as a UUID is written (RFC 9562 §4).
func (id CommandID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// MarshalText writes the id as String does.
func (id CommandID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *CommandID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseCommandID(string(b))
	return err
}

// UnmarshalCBOR implements cbor.Unmarshaler: a byte string of exactly 16 bytes.
func (id *CommandID) UnmarshalCBOR(b []byte) error { return unmarshalBytes(b, id[:]) }
