package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// fleet makes the frames of devices that send one sample of three channels twice a second.
type fleet struct {
	testSchema
	names    []string
	frames   int
	position uint64
	data     device.Data
	message  []byte
}

func newFleet(devices int) *fleet {
	f := &fleet{testSchema: makeSchema(
		device.Channel{ID: 0, Name: "temperature", Type: device.Int, Scale: -2},
		device.Channel{ID: 1, Name: "humidity", Type: device.Int, Scale: -2},
		device.Channel{ID: 2, Name: "co2", Type: device.Float32},
	)}
	for i := range devices {
		f.names = append(f.names, fmt.Sprintf("bench-%04d", i))
	}
	f.data = device.Data{Times: make([]int64, 1), Columns: []device.Column{
		{ID: 0, Type: device.Int, Bits: make([]uint64, 1)},
		{ID: 1, Type: device.Int, Bits: make([]uint64, 1)},
		{ID: 2, Type: device.Float32, Bits: make([]uint64, 1)},
	}}
	return f
}

// next is the next frame, of one device after the other. Its memory is used again.
func (f *fleet) next() *Frame {
	i := f.frames % len(f.names)
	round := f.frames / len(f.names)
	f.frames++
	f.position++
	d := &f.data
	d.Seq = uint64(round + 1)
	d.Times[0] = 1_700_000_000_000_000 + int64(round)*500_000 + int64((f.frames*7919)%3000)
	d.Columns[0].Bits[0] = uint64(2100 + round/40%50)
	d.Columns[1].Bits[0] = uint64(4500 + round%7)
	d.Columns[2].Bits[0] = math.Float64bits(float64(float32(600 + math.Sin(float64(f.frames)))))
	f.message, _ = device.AppendData(f.message[:0], d, f.schema)
	return &Frame{
		Position: f.position, Received: time.UnixMicro(d.Times[0] + 30_000), Device: f.names[i], Schema: f.schema,
		SchemaHash: f.hash, SchemaBytes: f.testSchema.message, Data: f.message,
	}
}

// world is a journal of the next n frames.
func (f *fleet) world(n int) *world {
	w := &world{rng: rand.New(rand.NewPCG(1, 1))}
	for range n {
		frame := f.next()
		frame.Data = slices.Clone(frame.Data)
		w.push(entryOfJournal{frame: frame})
	}
	return w
}
