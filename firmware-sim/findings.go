package firmwaresim

import (
	"fmt"
	"strings"
)

// maxSentences is how many findings are said in words; the others only count.
const maxSentences = 20

// findings are what a verification has found wrong.
type findings struct {
	Found     uint64
	Sentences []string
	Dir       string // where the hub's files are kept; empty if they are gone
}

// Agrees says whether nothing was found.
func (f *findings) Agrees() bool { return f.Found == 0 }

func (f *findings) complain(format string, args ...any) {
	f.Found++
	if len(f.Sentences) < maxSentences {
		f.Sentences = append(f.Sentences, fmt.Sprintf(format, args...))
	}
}

// conclude ends the table for people: with what is right if nothing was found, else with how much was; of says where.
func (f *findings) conclude(b *strings.Builder, right, of string) {
	for _, s := range f.Sentences {
		fmt.Fprintf(b, "  %s\n", s)
	}
	if f.Agrees() {
		fmt.Fprintln(b, right)
	} else {
		fmt.Fprintf(b, "DISAGREEMENT: %d findings%s\n", f.Found, of)
	}
	if f.Dir != "" {
		fmt.Fprintf(b, "files kept in %s\n", f.Dir)
	}
}
