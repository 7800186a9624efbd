package live

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxWindow is how many rows a window with a count may have.
const maxWindow = 200

// maxListText is the longest search or label, in bytes.
const maxListText = 256

// ErrBadList is wrapped by what is wrong with the parameters of a list; the texts are for people.
var ErrBadList = errors.New("bad parameter")

// List selects devices: the parameters of /topic/devices and of the REST list.
type List struct {
	Query string // part of the id, kind, model or of name=value of a label, in any case
	State State  // only those in this state; StateAttention: those with a trouble; "": all
	Label string // "name" or "name=value": only those with this label
	Sort  string // "id", "state", "seen" or "kind", with "-" before it for descending; "": by id
	First int    // how many to pass over
	After string // sorted by id: only those behind this one

	IDs       []string // only these, sorted; none: all
	AllValues bool     // rows have the values of all channels
	Count     int      // at most so many, to maxWindow; 0: all
}

// StateAttention is no state but a filter for devices with a trouble.
const StateAttention State = "attention"

// stateOrder is the order of sorting by state: what needs looking after comes first.
var stateOrder = []State{StateStale, StateOffline, StateLate, StateNever, StateRevoked, StateLive}

// ParseList reads the parameters q, state, label, sort, first and count. Others, and empty ones, are ignored. The error wraps
// ErrBadList.
func ParseList(params map[string]string) (List, error) {
	l := List{Query: strings.ToLower(params["q"]), State: State(params["state"]), Label: params["label"], Sort: params["sort"]}
	if len(l.Query) > maxListText || len(l.Label) > maxListText {
		return List{}, fmt.Errorf("%w: q and label have at most %d bytes", ErrBadList, maxListText)
	}
	if l.State != "" && l.State != StateAttention && !slices.Contains(stateOrder, l.State) {
		return List{}, fmt.Errorf("%w: state is one of live, late, stale, offline, never, revoked and attention", ErrBadList)
	}
	switch strings.TrimPrefix(l.Sort, "-") {
	case "id", "state", "seen", "kind":
	case "":
		if l.Sort == "" {
			break
		}
		fallthrough
	default:
		return List{}, fmt.Errorf("%w: sort is one of id, state, seen and kind, with - before it for descending", ErrBadList)
	}
	var err error
	if l.First, err = number(params, "first", 1<<31-1); err != nil {
		return List{}, err
	}
	if l.Count, err = number(params, "count", maxWindow); err != nil {
		return List{}, err
	}
	return l, nil
}

func number(params map[string]string, name string, most int) (int, error) {
	text := params[name]
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%w: %s is a number from 0 to %d", ErrBadList, name, most)
	}
	return n, nil
}

// key is the same for lists that select the same.
func (l *List) key() string {
	return fmt.Sprintf("%q %q %q %q %d %d", l.Query, l.State, l.Label, l.Sort, l.First, l.Count)
}

// found is a device that matches, and what it is sorted by.
type found struct {
	*entry
	rank int64
	text string
}

// pick returns the window that l selects, and how many devices there are and match.
func (f *Feed) pick(l *List) (window []*entry, total, matched int) {
	f.mu.Lock()
	total = len(f.sorted)
	if l.all() && l.byID() {
		behind, _ := slices.BinarySearchFunc(f.sorted, l.After, func(e *entry, after string) int {
			if e.id > after || after == "" {
				return 1
			}
			return -1
		})
		window = slices.Clone(cut(l, f.sorted[behind:]))
		f.mu.Unlock()
		return window, total, total
	}
	list := make([]found, 0, total)
	for _, e := range f.sorted {
		if l.matches(e) {
			rank, text := l.rank(e)
			list = append(list, found{e, rank, text})
		}
	}
	f.mu.Unlock()
	matched = len(list)
	l.sort(list)
	if l.After != "" {
		list = slices.DeleteFunc(list, func(e found) bool { return e.id <= l.After })
	}
	for _, e := range cut(l, list) {
		window = append(window, e.entry)
	}
	return window, total, matched
}

func (l *List) all() bool  { return l.Query == "" && l.State == "" && l.Label == "" && len(l.IDs) == 0 }
func (l *List) byID() bool { return l.Sort == "" || l.Sort == "id" }

func cut[T any](l *List, list []T) []T {
	list = list[min(l.First, len(list)):]
	if l.Count > 0 {
		list = list[:min(l.Count, len(list))]
	}
	return list
}

func contains(sorted []string, id string) bool {
	_, found := slices.BinarySearch(sorted, id)
	return found
}

func (l *List) matches(e *entry) bool {
	switch {
	case len(l.IDs) > 0 && !contains(l.IDs, e.id):
		return false
	case l.State == StateAttention && !e.troubled:
		return false
	case l.State != "" && l.State != StateAttention && e.state != l.State:
		return false
	case l.Query != "" && !strings.Contains(e.search, l.Query):
		return false
	case l.Label == "":
		return true
	}
	name, value, withValue := strings.Cut(l.Label, "=")
	v, ok := e.labels[name]
	return ok && (!withValue || v == value)
}

// rank is what e is sorted by before its id.
func (l *List) rank(e *entry) (rank int64, text string) {
	switch strings.TrimPrefix(l.Sort, "-") {
	case "state":
		return int64(slices.Index(stateOrder, e.state)), ""
	case "seen":
		return e.seen, ""
	case "kind":
		return 0, e.kind
	default:
		return 0, ""
	}
}

// sort sorts list, which is by id.
func (l *List) sort(list []found) {
	if l.byID() {
		return
	}
	key, descending := strings.CutPrefix(l.Sort, "-")
	if key == "id" {
		slices.Reverse(list)
		return
	}
	slices.SortFunc(list, func(a, b found) int {
		c := cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.text, b.text))
		if descending {
			c = -c
		}
		return cmp.Or(c, strings.Compare(a.id, b.id))
	})
}
