package main

import (
	"strings"
	"testing"
	"time"
)

// What fails is printed whole and counts, however it ends.
func TestFailuresAreSeen(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
		code int
	}{
		"passed": {`{"Action":"run","Package":"m/a","Test":"TestA"}
			{"Action":"output","Package":"m/a","Test":"TestA","Output":"chatter\n"}
			{"Action":"pass","Package":"m/a","Test":"TestA"}
			{"Action":"pass","Package":"m/a","Elapsed":1.5}`, []string{"pass    1.5s  m/a\n"}, 0},
		"failed": {`{"Action":"output","Package":"m/a","Test":"TestA","Output":"    a_test.go:1: wrong\n"}
			{"Action":"fail","Package":"m/a","Test":"TestA"}
			{"Action":"fail","Package":"m/a"}`, []string{"a_test.go:1: wrong\n", "fail    0.0s  m/a\n", "failed: m/a TestA\n"}, 1},
		"panicked": {`{"Action":"run","Package":"m/a","Test":"TestA"}
			{"Action":"output","Package":"m/a","Test":"TestA","Output":"panic: oh\n"}
			{"Action":"fail","Package":"m/a"}`, []string{"panic: oh\n", "failed: m/a\n"}, 1},
		"did not build": {`{"ImportPath":"m/a","Action":"build-output","Output":"a.go:1: undefined\n"}
			{"ImportPath":"m/a","Action":"build-fail"}`, []string{"a.go:1: undefined\n", "failed: m/a (does not build)\n"}, 1},
		"not JSON": {"go: no such package\n", []string{"go: no such package\n"}, 1},
		"nothing":  {"", nil, 1},
	} {
		var out strings.Builder
		p := newProgress(&out)
		for line := range strings.Lines(c.in) {
			p.line([]byte(line))
		}
		if code := p.end(); code != c.code {
			t.Errorf("%s: exit code %d", name, code)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is not in %q", name, want, out.String())
			}
		}
		if strings.Contains(out.String(), "chatter") {
			t.Errorf("%s: prints what a passed test printed", name)
		}
	}
}

func TestWhatRunsIsNamed(t *testing.T) {
	var out strings.Builder
	p := newProgress(&out)
	p.line([]byte(`{"Time":"2026-05-01T08:00:00Z","Action":"run","Package":"m/store","Test":"TestLong"}`))
	p.still(30*time.Second, time.Date(2026, 5, 1, 8, 0, 12, 0, time.UTC))
	if want := "after 30 s:    12s store TestLong"; !strings.Contains(out.String(), want) {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
