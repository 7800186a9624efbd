package device

import "fmt"

// HashSize is the length of a schema hash: the first 8 bytes of SHA-256 over the CBOR part of the SCHEMA message.
const HashSize = 8

// Hash names a schema.
type Hash [HashSize]byte

// ValueType is the type of a channel's values or of a command's argument.
type ValueType uint8

const (
	Bool    ValueType = 1
	Int     ValueType = 2 // 64-bit signed; with a scale it is a decimal number, Raw × 10^Scale
	Float32 ValueType = 3
	Float64 ValueType = 4
	String  ValueType = 5 // UTF-8
)

// Confirm is how firmly a person has to confirm a command.
type Confirm uint8

const (
	ConfirmNone  Confirm = 0
	ConfirmAsk   Confirm = 1 // a dialog
	ConfirmTyped Confirm = 2 // the name has to be typed
)

// Schema is what a device measures and what it can be told.
type Schema struct {
	Channels []Channel     `cbor:"1,keyasint"`
	Commands []CommandSpec `cbor:"2,keyasint,omitempty"`
}

// Channel describes one measured quantity.
type Channel struct {
	ID       uint16    `cbor:"1,keyasint"` // unique in the schema; the eight lowest cost a byte less
	Name     string    `cbor:"2,keyasint"` // unique in the schema
	Type     ValueType `cbor:"3,keyasint"`
	Unit     string    `cbor:"4,keyasint,omitempty"` // UCUM
	Scale    int8      `cbor:"5,keyasint,omitempty"` // Int only: value = raw × 10^Scale
	Interval uint32    `cbor:"6,keyasint,omitempty"` // ms expected between readings; 0: irregular
	Writable bool      `cbor:"7,keyasint,omitempty"` // a setting: the hub may keep a desired value for it
}

// CommandSpec describes one command.
type CommandSpec struct {
	Name       string  `cbor:"1,keyasint"` // unique in the schema
	Args       []Arg   `cbor:"2,keyasint,omitempty"`
	Confirm    Confirm `cbor:"3,keyasint,omitempty"`
	Supersedes bool    `cbor:"4,keyasint,omitempty"` // a newer one replaces older queued ones
	Idempotent bool    `cbor:"5,keyasint,omitempty"` // doing it twice does no harm
}

// Arg describes one argument of a command.
type Arg struct {
	Name     string    `cbor:"1,keyasint"`
	Type     ValueType `cbor:"2,keyasint"`
	Unit     string    `cbor:"3,keyasint,omitempty"` // UCUM
	Min      *float64  `cbor:"4,keyasint,omitempty"`
	Max      *float64  `cbor:"5,keyasint,omitempty"`
	Optional bool      `cbor:"6,keyasint,omitempty"`
}

// String returns the type's name in lower case.
func (t ValueType) String() string {
	switch t {
	case Bool:
		return "bool"
	case Int:
		return "int"
	case Float32:
		return "float32"
	case Float64:
		return "float64"
	case String:
		return "string"
	default:
		return fmt.Sprintf("type %d", uint8(t))
	}
}
