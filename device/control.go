package device

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// The errors of ParseControl.
var (
	ErrMalformed   = errors.New("malformed message")
	ErrUnknownType = errors.New("unknown message type")
)

// maxNesting is how deep maps and arrays may lie in one another; the protocol's own messages need 5 levels.
const maxNesting = 8

// maxPairs is how many keys a map may have: room for those of later versions.
const maxPairs = 64

// The two modes are made once and safe to share.
var (
	encMode = newEncMode()
	decMode = newDecMode()
)

func newEncMode() cbor.EncMode {
	o := cbor.CoreDetEncOptions() // RFC 8949 §4.2.1
	o.NilContainers = cbor.NilContainerAsEmpty
	m, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}

func newDecMode() cbor.DecMode {
	var refused []func(*cbor.SimpleValueRegistry) error
	for v := range 256 {
		if reserved := v >= 24 && v < 32; !reserved && v != 20 && v != 21 { // all but false and true, null among them
			refused = append(refused, cbor.WithRejectedSimpleValue(cbor.SimpleValue(v)))
		}
	}
	simple, err := cbor.NewSimpleValueRegistryFromDefaults(refused...)
	if err != nil {
		panic(err)
	}
	m, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		IntDec:           cbor.IntDecConvertSignedOrFail,
		MaxNestedLevels:  maxNesting,
		MaxArrayElements: 2 * MaxRanges,
		MaxMapPairs:      maxPairs,
		SimpleValues:     simple,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}

// AppendControl appends a control message to dst: its type and its deterministic CBOR. It does not validate.
func AppendControl(dst []byte, m Message) []byte {
	payload, err := encMode.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("device: %v", err)) // only a value of a type that is not bool, integer, float or string
	}
	return append(append(dst, byte(m.Type())), payload...)
}

// ParseControl reads any message but DATA and validates it. The error wraps ErrMalformed or ErrUnknownType; the
// latter for DATA too.
func ParseControl(b []byte) (Message, error) {
	switch {
	case len(b) == 0:
		return nil, fmt.Errorf("%w: no bytes", ErrMalformed)
	case len(b) > MaxMessage:
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(b), MaxMessage)
	}
	m := newMessage(Type(b[0]))
	if m == nil {
		return nil, fmt.Errorf("%w 0x%02x", ErrUnknownType, b[0])
	}
	if err := decMode.Unmarshal(b[1:], m); err != nil {
		return nil, fmt.Errorf("%w: %v: %s", ErrMalformed, m.Type(), explain(err))
	}
	if err := validate(m); err != nil {
		return nil, fmt.Errorf("%w: %v: %v", ErrMalformed, m.Type(), err)
	}
	return m, nil
}

func validate(m Message) error {
	if s, ok := m.(*Schema); ok {
		return s.validate() // its length is known already
	}
	return m.Validate()
}

func newMessage(t Type) Message {
	switch t {
	case TypeHello:
		return new(Hello)
	case TypeSchema:
		return new(Schema)
	case TypeLost:
		return new(Lost)
	case TypeResult:
		return new(Result)
	case TypeWelcome:
		return new(Welcome)
	case TypeAck:
		return new(Ack)
	case TypeReject:
		return new(Reject)
	case TypeResend:
		return new(Resend)
	case TypeCommand:
		return new(Command)
	case TypeGoAway:
		return new(GoAway)
	default:
		return nil
	}
}

// HashSchema is the hash of a schema, given its whole SCHEMA message, type byte included.
func HashSchema(message []byte) Hash {
	sum := sha256.Sum256(message[min(1, len(message)):])
	return Hash(sum[:HashSize])
}

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the hash as 16 hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(h) {
		return fmt.Errorf("a schema hash has %d hexadecimal digits", hex.EncodedLen(len(h)))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// UnmarshalCBOR implements cbor.Unmarshaler: a byte string of exactly HashSize bytes.
func (h *Hash) UnmarshalCBOR(b []byte) error { return unmarshalBytes(b, h[:]) }

// unmarshalBytes fills dst from a byte string of its length. The library would cut or fill up one of another length.
func unmarshalBytes(b, dst []byte) error {
	var s cbor.ByteString
	if err := decMode.Unmarshal(b, &s); err != nil {
		return err
	}
	if len(s) != len(dst) {
		return fmt.Errorf("%d bytes instead of %d", len(s), len(dst))
	}
	copy(dst, s)
	return nil
}
