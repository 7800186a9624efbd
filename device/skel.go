package device

import "errors"

// The errors of ParseControl.
var (
	ErrMalformed   = errors.New("malformed message")
	ErrUnknownType = errors.New("unknown message type")
)

// Range is the sequence numbers from First to Last, both included.
type Range struct{ First, Last uint64 }

// Ranges are ascending and disjoint. In CBOR they are one flat array: [first, last, first, last, …].
type Ranges []Range

// Count is how many sequence numbers the ranges hold.
func (r Ranges) Count() uint64 { panic("skeleton") }

// SeqSet is a set of sequence numbers.
type SeqSet struct {
	last  Range
	lower []Range
	count uint64
}

func (s *SeqSet) Add(seq uint64) bool                                      { panic("skeleton") }
func (s *SeqSet) AddRange(first, last uint64) uint64                       { panic("skeleton") }
func (s *SeqSet) Contains(seq uint64) bool                                 { panic("skeleton") }
func (s *SeqSet) Max() uint64                                              { panic("skeleton") }
func (s *SeqSet) Len() int                                                 { panic("skeleton") }
func (s *SeqSet) Count() uint64                                            { panic("skeleton") }
func (s *SeqSet) Fits(seq uint64, limit int) bool                          { panic("skeleton") }
func (s *SeqSet) Ranges() Ranges                                           { panic("skeleton") }
func (s *SeqSet) AppendRanges(dst Ranges, limit int) Ranges                { panic("skeleton") }
func (s *SeqSet) Missing(first, last uint64, dst Ranges, limit int) Ranges { panic("skeleton") }
func AppendControl(dst []byte, m Message) []byte                           { panic("skeleton") }
func ParseControl(b []byte) (Message, error)                               { panic("skeleton") }
func AppendAck(dst []byte, r Ranges) []byte                                { panic("skeleton") }
func HashSchema(message []byte) Hash                                       { panic("skeleton") }
func (h Hash) String() string                                              { panic("skeleton") }
func (id CommandID) String() string                                        { panic("skeleton") }
func (s *Schema) Channel(id uint16) (*Channel, bool)                       { panic("skeleton") }
func (m *Hello) Validate() error                                           { panic("skeleton") }
func (s *Schema) Validate() error                                          { panic("skeleton") }
func (m *Lost) Validate() error                                            { panic("skeleton") }
func (m *Result) Validate() error                                          { panic("skeleton") }
func (m *Welcome) Validate() error                                         { panic("skeleton") }
func (m *Ack) Validate() error                                             { panic("skeleton") }
func (m *Reject) Validate() error                                          { panic("skeleton") }
func (m *Resend) Validate() error                                          { panic("skeleton") }
func (m *Command) Validate() error                                         { panic("skeleton") }
func (m *GoAway) Validate() error                                          { panic("skeleton") }
func (d *Data) Readings() int                                              { panic("skeleton") }
func ParseData(b []byte, s *Schema, d *Data) error                         { panic("skeleton") }
func AppendData(dst []byte, d *Data, s *Schema) ([]byte, error)            { panic("skeleton") }
func (c *Column) Value(i int, ch *Channel) (Value, bool)                   { panic("skeleton") }
func (v Value) Float() (f float64, ok bool)                                { panic("skeleton") }
func (v Value) AppendText(dst []byte) []byte                               { panic("skeleton") }

// Data is one DATA message.
type Data struct {
	Seq     uint64
	Clock   Clock
	Boot    uint64  // boot counter, if Clock is ClockBoot
	Times   []int64 // µs
	Columns []Column
}

// Column holds the values of one channel.
type Column struct {
	ID      uint16
	Type    ValueType
	Present []bool   // nil: all present
	Bits    []uint64 // len(Times), absent = 0
	Text    [][]byte // String only
}

// Value is one reading's value.
type Value struct {
	Type  ValueType
	Scale int8
	Bits  uint64
	Text  string
}

// DataError says why ParseData refused a message.
type DataError struct {
	Seq  uint64 // 0 if it could not be read
	Code RejectCode
	Text string
}

func (e *DataError) Error() string { return e.Text }
