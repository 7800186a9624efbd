//go:build !linux

package wallclock

import (
	"math/rand/v2"
	"time"
)

var (
	began   = time.Now()
	process = rand.Uint64() | 1
)

// SystemSource is the machine's clocks. When the machine booted is not known here: Elapsed counts from the start of the program,
// as if the machine had booted then.
func SystemSource() Source {
	return Source{Wall: time.Now, Elapsed: func() time.Duration { return time.Since(began) }, Machine: process}
}
