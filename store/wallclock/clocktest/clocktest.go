// Package clocktest has a machine for tests whose clock is set, and which boots.
package clocktest

import (
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Machine is one whose clock is set, and which boots.
type Machine struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
	boots   uint64
}

// NewMachine returns a machine whose clock shows wall a minute after it booted.
func NewMachine(wall time.Time) *Machine { return &Machine{wall: wall, elapsed: time.Minute, boots: 1} }

// Pass lets time pass.
func (m *Machine) Pass(d time.Duration) { m.change(d, d) }

// Set sets the clock by so much.
func (m *Machine) Set(by time.Duration) { m.change(by, 0) }

func (m *Machine) change(wall, elapsed time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall, m.elapsed = m.wall.Add(wall), m.elapsed+elapsed
}

// Reboot has the machine come up with its clock moved by so much.
func (m *Machine) Reboot(by time.Duration) {
	m.Set(by)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.elapsed = time.Second
	m.boots++
}

// Clock is the clock as a program sees it that begins now.
func (m *Machine) Clock() *wallclock.Clock {
	m.mu.Lock()
	boots := m.boots
	m.mu.Unlock()
	read := func() (time.Time, time.Duration) {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.wall, m.elapsed
	}
	return wallclock.New(wallclock.Source{
		Wall:    func() time.Time { wall, _ := read(); return wall },
		Elapsed: func() time.Duration { _, elapsed := read(); return elapsed },
		Machine: boots,
	})
}
