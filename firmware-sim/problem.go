package firmwaresim

import "fmt"

// Problem is an error that a person can do something about: what went wrong, and what to try.
type Problem struct {
	Err  error
	Hint string // one sentence for the person at the terminal
}

func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap returns the error without its hint.
func (p *Problem) Unwrap() error { return p.Err }

// problem builds a Problem; format and args are those of fmt.Errorf.
func problem(hint, format string, args ...any) error {
	return &Problem{Err: fmt.Errorf(format, args...), Hint: hint}
}
