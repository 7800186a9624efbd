package main

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	queuedLines   = 1024        // of a few hundred bytes
	flushAtTheEnd = time.Second // for lines that are still queued
)

// lineQueue passes lines on to w in a goroutine of its own. Whoever reads them may stand still, as a terminal does that was
// told to, or journald: then lines are dropped, and counted, and the hub goes on.
type lineQueue struct {
	lines   chan []byte
	dropped atomic.Uint64
	ending  chan struct{}
	ended   chan struct{}
}

func newLineQueue(w io.Writer) *lineQueue {
	q := &lineQueue{lines: make(chan []byte, queuedLines), ending: make(chan struct{}), ended: make(chan struct{})}
	go q.run(w)
	return q
}

// Write queues one line. It never blocks, and never fails.
func (q *lineQueue) Write(line []byte) (int, error) {
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.dropped.Add(1)
	}
	return len(line), nil
}

func (q *lineQueue) run(w io.Writer) {
	defer close(q.ended)
	for {
		select {
		case line := <-q.lines:
			q.pass(w, line)
			continue
		default:
		}
		select {
		case line := <-q.lines:
			q.pass(w, line)
		case <-q.ending:
			if len(q.lines) == 0 {
				return
			}
		}
	}
}

// pass writes a line. Nobody could be told that it fails.
func (q *lineQueue) pass(w io.Writer, line []byte) {
	_, _ = w.Write(line)
	if n := q.dropped.Swap(0); n > 0 {
		fmt.Fprintf(w, "level=WARN msg=\"log lines were dropped: nobody has read them in time\" lines=%d\n", n)
	}
}

// close waits until what is queued is written, but not for a reader that stands still.
func (q *lineQueue) close() {
	close(q.ending)
	select {
	case <-q.ended:
	case <-time.After(flushAtTheEnd):
	}
}
