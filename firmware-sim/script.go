package firmwaresim

import (
	"math"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// script is everything one device of a verification sends: a pure function of seed, device and sequence number, so that
// what was sent need not be remembered to be compared. Frame seq has a slot of time of its own, and each of its samples a
// place in that slot, so a time leads back to frame and sample.
type script struct {
	seed   uint64 // of this device
	schema *device.Schema
	clock  device.Clock
	base   int64 // µs: where slot 0 begins, on the device's clock
	origin int64 // µs since 1970 at which the device's clock was 0; only for boot clocks
	layout slots
}

// slots is how a script lays its frames out in time, in µs.
type slots struct {
	frame     int64 // from one frame to the next
	sample    int64 // from one sample to the next
	tolerance int64 // by how much a stored time may be off
}

const (
	scriptSamples = 4    // the most a scripted frame has
	maxJitter     = 5000 // µs by which a sample may be late
)

// A wall clock's times have to come back exactly. A hub that is told a boot clock's time can know it no better than the
// message was quick, and under load that is not much: far apart, samples are still told apart.
func wallSlots() slots { return slots{frame: 1e6, sample: 1e4} }
func bootSlots() slots { return slots{frame: 240e6, sample: 60e6, tolerance: 25e6} }

// scriptSchema has a channel of every type.
func scriptSchema() *device.Schema {
	return &device.Schema{Channels: []device.Channel{
		{ID: 0, Name: "count", Type: device.Int}, // never absent: every stored frame can be found by it
		{ID: 1, Name: "flag", Type: device.Bool},
		{ID: 2, Name: "level", Type: device.Int, Scale: -3, Unit: "m"},
		{ID: 3, Name: "ratio", Type: device.Float32},
		{ID: 7, Name: "exact", Type: device.Float64},
		{ID: 300, Name: "note", Type: device.String},
	}}
}

// newScript returns the script of one device. Its times lie well before now, and on a boot clock too.
func newScript(seed uint64, id string, clock device.Clock, now time.Time) *script {
	s := &script{seed: mix(seed, hashText(id)), schema: scriptSchema(), clock: clock}
	if clock == device.ClockBoot {
		s.layout = bootSlots()
		s.origin = now.Add(-365 * 24 * time.Hour).UnixMicro()
		s.base = time.Hour.Microseconds()
	} else {
		s.layout = wallSlots()
		s.base = now.Add(-30*24*time.Hour).UnixMicro() / 1e6 * 1e6
	}
	return s
}

// The kinds of decision a script makes; each draws from a stream of its own.
const (
	drawSamples = iota
	drawCorrupt
	drawDuplicate
	drawCut
	drawJitter
	drawPresent
	drawValue
	drawSpecial
)

func (s *script) draw(kind, seq uint64) uint64 { return mix(s.seed+kind, seq) }

// corrupt says whether the frame goes out broken: the hub has to reject it.
func (s *script) corrupt(seq uint64) bool { return s.draw(drawCorrupt, seq)%60 == 0 }

// duplicate says whether the frame goes out twice.
func (s *script) duplicate(seq uint64) bool { return s.draw(drawDuplicate, seq)%25 == 0 }

// cut says whether the connection is cut behind the frame.
func (s *script) cut(seq uint64) bool { return s.draw(drawCut, seq)%100 == 0 }

// samples is how many samples the frame has.
func (s *script) samples(seq uint64) int { return 1 + int(s.draw(drawSamples, seq)%scriptSamples) }

// time is the device's time of one sample, in µs.
func (s *script) time(seq uint64, sample int) int64 {
	// Odd microseconds now and then, whole milliseconds and seconds otherwise: each time unit of a frame gets its turn.
	jitter := int64(0)
	if r := s.draw(drawJitter, seq*scriptSamples+uint64(sample)); r%3 == 0 {
		jitter = int64(r / 3 % maxJitter)
	}
	return s.base + int64(seq)*s.layout.frame + int64(sample)*s.layout.sample + jitter
}

// locate finds the sample that has the stored time t, in µs since 1970.
func (s *script) locate(t int64) (seq uint64, sample int, ok bool) {
	t -= s.origin + s.base - s.layout.tolerance
	if t < s.layout.frame {
		return 0, 0, false
	}
	seq, sample = uint64(t/s.layout.frame), int(t%s.layout.frame/s.layout.sample)
	if sample >= s.samples(seq) {
		return 0, 0, false
	}
	off := t - s.layout.tolerance + s.base - s.time(seq, sample)
	return seq, sample, -s.layout.tolerance <= off && off <= s.layout.tolerance
}

// value is the value of one sample, absent if ok is false.
func (s *script) value(seq uint64, sample, channel int) (v device.Value, ok bool) {
	ch := &s.schema.Channels[channel]
	key := (seq*scriptSamples+uint64(sample))*uint64(len(s.schema.Channels)) + uint64(channel)
	if channel > 0 && s.draw(drawPresent, key)%8 == 0 {
		return device.Value{}, false
	}
	r := s.draw(drawValue, key)
	v = device.Value{Type: ch.Type, Scale: ch.Scale}
	special := s.draw(drawSpecial, key) % 64
	switch ch.Type {
	case device.Bool:
		v.Bits = r & 1
	case device.Int:
		v.Bits = uint64(int64(r) >> (special)) // every magnitude, both signs
	case device.Float32:
		v.Bits = float32Bits(float64(int32(r)) / 1024)
	case device.Float64:
		v.Bits = math.Float64bits(specialFloat(special, float64(int64(r))/(1<<20)))
	case device.String:
		v.Text = scriptText(special, r)
	}
	return v, true
}

// specialFloat gives now and then one of the values that careless code trips over.
func specialFloat(which uint64, otherwise float64) float64 {
	switch which {
	case 0:
		return math.Inf(1)
	case 1:
		return math.NaN()
	case 2:
		return math.Copysign(0, -1)
	case 3:
		return math.SmallestNonzeroFloat64
	case 4:
		return math.MaxFloat64
	}
	return otherwise
}

func scriptText(which, r uint64) string {
	switch which {
	case 0:
		return ""
	case 1:
		return `a "quoted", text`
	case 2:
		return "två rader\nµ"
	}
	return "state " + strconv.FormatUint(r%10000, 10)
}

// fill makes d the frame seq.
func (s *script) fill(d *device.Data, seq uint64) {
	n := s.samples(seq)
	resize(d, n)
	d.Seq = seq
	for i := range n {
		d.Times[i] = s.time(seq, i)
		for c := range d.Columns {
			column := &d.Columns[c]
			v, ok := s.value(seq, i, c)
			column.Present[i], column.Bits[i] = ok, v.Bits
			if column.Type == device.String {
				column.Text[i] = append(column.Text[i][:0], v.Text...)
			}
		}
	}
}

// spoil breaks an encoded frame behind its sequence number in one of several ways, none of which a hub may store.
func (s *script) spoil(message []byte, seq uint64) []byte {
	head := 1
	for message[head]&0x80 != 0 { // the varint of the sequence number
		head++
	}
	head++ // now at the flags
	switch s.draw(drawCorrupt, seq) / 60 % 4 {
	case 0:
		message[head] |= 0x80 // a flag that does not exist
	case 1:
		message = message[:head+5] // in the middle of the first time
	case 2:
		message = message[:len(message)-1] // in the middle of the last column
	default:
		// A column that the schema does not have, with one byte in it.
		message = append(message, 0xf1, 0xff, 0x03, 0x00)
	}
	return message
}

// mix is a step of splitmix64 over two numbers.
func mix(a, b uint64) uint64 {
	z := a + 0x9e3779b97f4a7c15*(b+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
