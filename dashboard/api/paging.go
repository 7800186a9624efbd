package api

import (
	"slices"
	"strconv"
	"strings"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// place is where a page of a list begins. All lists have the parameters limit and cursor; an answer that ends before its list
// does has next, which is the cursor of the page behind it.
type place struct {
	cursor string
	limit  int
}

func (q *query) place(fallback, most int64) place {
	p := place{cursor: q.text("cursor"), limit: int(q.number("limit", fallback, 1, most))}
	return p
}

// numbered is a place in a list of numbered entries, the newest first or, with after, the oldest.
type numbered struct {
	before, after uint64 // not included; 0: from the end
	ascending     bool
	limit         int
}

// ascends begins the cursors of pages with the oldest entry first.
const ascends = "a"

func (q *query) numbered(fallback, most int64, mayAscend bool) numbered {
	p := q.place(fallback, most)
	n := numbered{limit: p.limit}
	if mayAscend {
		after := q.number("after", -1, 0, 1<<53)
		n.ascending, n.after = after >= 0, uint64(max(after, 0))
	}
	if p.cursor == "" {
		return n
	}
	text, ascending := strings.CutPrefix(p.cursor, ascends)
	number, err := strconv.ParseUint(text, 10, 63)
	switch {
	case err != nil || ascending && !mayAscend:
		q.bad("cursor is what an answer of this list had as next")
	case ascending:
		n.ascending, n.after = true, number
	case n.ascending:
		q.bad("cursor and after do not go together")
	default:
		n.before = number
	}
	return n
}

// next is the cursor of the page behind one that ends with the entry of this number.
func (n *numbered) next(entries int, last func() uint64) string {
	if entries < n.limit {
		return ""
	}
	text := strconv.FormatUint(last(), 10)
	if n.ascending {
		return ascends + text
	}
	return text
}

// cut returns the page at p of a list that is sorted by key, and the cursor of the next one.
func cut[T any](list []T, p place, key func(*T) string) (page []T, next string) {
	from := 0
	if p.cursor != "" {
		from, _ = slices.BinarySearchFunc(list, p.cursor, func(e T, cursor string) int { return strings.Compare(key(&e), cursor+"\x00") })
	}
	page = list[from:min(from+p.limit, len(list))]
	if from+p.limit < len(list) {
		next = key(&page[len(page)-1])
	}
	return page, next
}
