package firmwaresim

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// pinning keeps a child on one processor and this process on another, so that what one of them costs does not slow the other
// down. The zero pinning pins nothing: on a machine with one processor there is nothing to divide.
type pinning struct {
	on    bool
	all   unix.CPUSet // what this process may run on otherwise
	child unix.CPUSet
	procs int // GOMAXPROCS otherwise
}

// pin moves this process to one processor, and keeps another for a child. undo moves it back.
func pin() (p pinning, err error) {
	if err := unix.SchedGetaffinity(0, &p.all); err != nil {
		return p, fmt.Errorf("sched_getaffinity: %w", err)
	}
	if p.all.Count() < 2 {
		return pinning{}, nil
	}
	var own unix.CPUSet
	for cpu := 0; own.Count() == 0; cpu++ {
		switch {
		case !p.all.IsSet(cpu):
		case p.child.Count() == 0:
			p.child.Set(cpu)
		default:
			own.Set(cpu)
		}
	}
	p.on, p.procs = true, runtime.GOMAXPROCS(1)
	return p, moveThreads(&own)
}

func (p *pinning) undo() {
	if p.on {
		_ = moveThreads(&p.all)
		runtime.GOMAXPROCS(p.procs)
	}
}

// start calls start, which starts a child, so that it runs on the child's processor.
func (p *pinning) start(start func() error) error {
	if !p.on {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var own unix.CPUSet
	if err := unix.SchedGetaffinity(0, &own); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	if err := unix.SchedSetaffinity(0, &p.child); err != nil { // of this thread; a child inherits it
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	return errors.Join(start(), unix.SchedSetaffinity(0, &own))
}

// moveThreads moves all threads of this process; those that they start later follow.
func moveThreads(to *unix.CPUSet) error {
	for range 2 { // one may have been started meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, to); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("sched_setaffinity: %w", err)
			}
		}
	}
	return nil
}
