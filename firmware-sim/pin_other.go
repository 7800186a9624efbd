//go:build !linux

package firmwaresim

// pinning pins nothing where measurements don't run anyway.
type pinning struct{}

func pin() (pinning, error) { return pinning{}, nil }

func (*pinning) undo() {}

func (*pinning) start(start func() error) error { return start() }
