package client

import "github.com/telemetry-hub/telemetry-hub/device"

// recordLog collects the records that the buffer file lacks. Client.mu guards it.
type recordLog struct {
	pending  []byte
	limit    int           // upper bound of pending
	rewrite  bool          // the file is to be made anew from the state in memory, which holds all that pending holds
	schema   *schemaRecord // last one written or pending
	appended uint64        // records ever collected
	wake     chan struct{} // capacity 1: there is something to write
}

// collected is called after every record. Acknowledgements wait for the next frame: losing them costs sending twice, writing them
// at once would cost flash.
func (l *recordLog) collected(urgent bool) {
	l.appended++
	if len(l.pending) > l.limit {
		l.pending, l.rewrite, l.schema = nil, true, nil
	}
	if urgent {
		notify(l.wake)
	}
}

func (l *recordLog) frame(f *frame) {
	if f.schema != l.schema {
		l.schema = f.schema
		l.pending = appendRecord(l.pending, recordSchema, f.schema.message)
	}
	l.pending = appendFrameRecord(l.pending, f, 0, 0)
	l.collected(true)
}

func (l *recordLog) settled(first, last uint64) {
	l.pending = appendRangeRecord(l.pending, recordSettled, first, last)
	l.collected(false)
}

func (l *recordLog) lost(first, last uint64, reason device.LostReason) {
	l.pending = appendRangeRecord(l.pending, recordLost, first, last, byte(reason))
	l.collected(true)
}

func (l *recordLog) command(id device.CommandID) {
	l.pending = appendRecord(l.pending, recordCommand, id[:])
	l.collected(true)
}

func (l *recordLog) result(message []byte) {
	l.pending = appendRecord(l.pending, recordResult, message)
	l.collected(true)
}

// notify puts a token into a channel of capacity 1 unless one is there.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
