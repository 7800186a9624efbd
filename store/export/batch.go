package export

import (
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

// batch is the lines of journal entries that follow each other.
type batch struct {
	span   // what it covers, entries without lines included
	lines  influx.Batch
	frames []frame
	counts Counts    // to be added when it has been delivered
	newest time.Time // when the last of its entries was committed
}

// frame is a frame with lines in a batch.
type frame struct {
	position uint64
	received time.Time
	device   string
	seq      uint64
	line     int // its first
}

func (b *batch) reset(first uint64) {
	clear(b.frames)
	b.lines.Reset()
	*b = batch{span: span{first, first}, lines: b.lines, frames: b.frames[:0]}
}
