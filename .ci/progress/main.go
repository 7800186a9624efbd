// Progress reads what `go test -json` prints and says what is going on: each package when it has ended, all that a failed test
// printed, and, when nothing has ended for a while, which tests are running. It exits with 1 if anything failed, or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// silence is how long may pass without a line; at most twice that does.
const silence = 10 * time.Second

func main() {
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		in := bufio.NewReader(os.Stdin)
		for {
			line, err := in.ReadBytes('\n')
			if len(line) > 0 {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	out := &watched{to: os.Stdout}
	p := newProgress(out)
	began := time.Now()
	tick := time.NewTicker(silence)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				os.Exit(p.end())
			}
			p.line(line)
		case now := <-tick.C:
			if !out.wrote {
				p.still(now.Sub(began), now)
			}
			out.wrote = false
		}
	}
}

// watched notes that something was written.
type watched struct {
	to    io.Writer
	wrote bool
}

func (w *watched) Write(b []byte) (int, error) {
	w.wrote = true
	return w.to.Write(b)
}

// event is what test2json prints (go doc test2json), and what the go command adds about builds.
type event struct {
	Time                                      time.Time
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64 // seconds
}

type progress struct {
	out     io.Writer
	printed map[[2]string][]string  // by package and test, until it has passed
	running map[[2]string]time.Time // since when
	passed  int                     // packages
	failed  []string                // packages and tests
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, printed: map[[2]string][]string{}, running: map[[2]string]time.Time{}}
}

func (p *progress) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintf(p.out, "%s", line)
		return
	}
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "run", "cont":
		p.running[key] = e.Time
	case "pause":
		delete(p.running, key)
	case "output":
		p.printed[key] = append(p.printed[key], e.Output)
	case "build-output":
		fmt.Fprint(p.out, e.Output)
	case "build-fail":
		p.failed = append(p.failed, e.ImportPath+" (does not build)")
	case "pass", "skip", "fail":
		p.ended(key, e)
	}
}

func (p *progress) ended(key [2]string, e event) {
	failed := e.Action == "fail"
	if failed {
		for _, text := range p.printed[key] {
			fmt.Fprint(p.out, text)
		}
		p.failed = append(p.failed, strings.TrimSpace(e.Package+" "+e.Test))
	}
	delete(p.printed, key)
	delete(p.running, key)
	if e.Test != "" {
		return
	}
	if e.Action == "pass" {
		p.passed++
	}
	for other, printed := range p.printed { // a panic, or os.Exit, ends a package in the middle of its tests
		if failed && other[0] == e.Package {
			fmt.Fprint(p.out, strings.Join(printed, ""))
		}
	}
	if failed || e.Action == "pass" {
		fmt.Fprintf(p.out, "%-4s %6.1fs  %s\n", e.Action, e.Elapsed, e.Package)
	}
}

// still says what has been running for longest.
func (p *progress) still(since time.Duration, now time.Time) {
	names := []string{}
	for key, began := range p.running {
		if !strings.Contains(key[1], "/") {
			names = append(names, fmt.Sprintf("%5.0fs %s %s", now.Sub(began).Seconds(), key[0][strings.LastIndex(key[0], "/")+1:], key[1]))
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	if len(names) == 0 {
		names = []string{"compiling"}
	}
	fmt.Fprintf(p.out, "     after %.0f s: %s\n", since.Seconds(), strings.Join(names[:min(4, len(names))], ", "))
}

func (p *progress) end() int {
	for _, name := range p.failed {
		fmt.Fprintf(p.out, "failed: %s\n", name)
	}
	if len(p.failed) > 0 || p.passed == 0 {
		return 1
	}
	return 0
}
