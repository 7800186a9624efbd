package firmwaresim

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// recordReader reads CSV records (RFC 4180) of bounded size: encoding/csv alone would take a line of any length, or a
// quote that is never closed, into memory.
type recordReader struct {
	csv    *csv.Reader
	budget *budgetReader
	limit  int64
}

// readAhead is how far the buffer in front of the CSV reader may run beyond the record being read.
const readAhead = 4096

func newRecordReader(r io.Reader, comma rune, limit int64) *recordReader {
	budget := &budgetReader{r: r, limit: limit}
	c := csv.NewReader(bufio.NewReaderSize(budget, readAhead))
	c.Comma = comma
	c.FieldsPerRecord = -1 // the callers say which line has too few or too many
	c.ReuseRecord = true
	return &recordReader{csv: c, budget: budget, limit: limit}
}

// next returns the next record, valid until the following call, and the line it begins on.
func (r *recordReader) next() (record []string, line int, err error) {
	r.budget.left = r.limit + readAhead
	record, err = r.csv.Read()
	if err != nil {
		return nil, 0, err
	}
	line, _ = r.csv.FieldPos(0)
	return record, line, nil
}

var errRecordTooLong = errors.New("record too long")

// budgetReader fails once more has been read than was allowed.
type budgetReader struct {
	r     io.Reader
	left  int64
	limit int64
}

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: more than %d bytes in one line or one quoted cell", errRecordTooLong, b.limit)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}
