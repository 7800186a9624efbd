package influx

import (
	"cmp"
	"slices"
)

// Batch is lines that are sent together.
type Batch struct {
	text  []byte
	lines []line
}

// line is the smallest part of a batch that is sent by itself: a line or, where a batch is made of texts that were
// encoded before, a text.
type line struct {
	end    int    // in Batch.text, its line break included
	count  int    // of lines in it
	device string // whose it is; empty in a text
	shape  uint64 // a hash of its fields and their types: what a server thinks of a line depends on little else
}

// alike says whether a server is likely to take both lines or none.
func (l *line) alike(o *line) bool { return l.device == o.device && l.shape == o.shape }

// Lines is how many lines, or texts, the batch has.
func (b *Batch) Lines() int { return len(b.lines) }

// Bytes is the length of all lines together.
func (b *Batch) Bytes() int { return len(b.text) }

// Line returns line i with its line break. It aliases the batch.
func (b *Batch) Line(i int) []byte { return b.text[b.start(i):b.lines[i].end] }

// AppendText appends whole lines, count of them, that are refused or accepted together.
func (b *Batch) AppendText(text []byte, count int) {
	b.text = append(b.text, text...)
	b.lines = append(b.lines, line{end: len(b.text), count: count})
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.lines)
	b.text, b.lines = b.text[:0], b.lines[:0]
}

func (b *Batch) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.lines[i-1].end
}

func (b *Batch) end() int { return b.start(len(b.lines)) }

// span returns the lines first to last−1, and how many there are in them.
func (b *Batch) span(first, last int) (text []byte, count int) {
	for _, l := range b.lines[first:last] {
		count += l.count
	}
	return b.text[b.start(first):b.start(last)], count
}

// grouped returns the lines sorted by device and shape, the devices in suspects last, and where each line was before. good is how
// many lines are of other devices.
func (b *Batch) grouped(suspects map[string]bool) (sorted *Batch, was []int, good int) {
	was = make([]int, len(b.lines))
	for i := range was {
		was[i] = i
		if !suspects[b.lines[i].device] {
			good++
		}
	}
	slices.SortStableFunc(was, func(i, j int) int {
		x, y := &b.lines[i], &b.lines[j]
		if sx, sy := suspects[x.device], suspects[y.device]; sx != sy {
			if sx {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(x.device, y.device), cmp.Compare(x.shape, y.shape))
	})
	sorted = &Batch{text: make([]byte, 0, len(b.text)), lines: make([]line, 0, len(b.lines))}
	for _, i := range was {
		l := b.lines[i]
		sorted.text = append(sorted.text, b.Line(i)...)
		l.end = len(sorted.text)
		sorted.lines = append(sorted.lines, l)
	}
	return sorted, was, good
}
