package wallclock

import (
	"hash/fnv"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

var (
	began       = time.Now()
	beganUptime = uptime()
)

// SystemSource is the machine's clocks. Elapsed is Go's monotonic time, which is quick to read but stands still while the machine
// sleeps; the kernel knows for how long that was.
func SystemSource() Source {
	elapsed := func() time.Duration { return beganUptime + time.Since(began) }
	return Source{
		Wall: time.Now, Elapsed: elapsed, Asleep: func() time.Duration { return uptime() - elapsed() }, Machine: boot(),
	}
}

// uptime is how long ago the machine booted, sleep included.
func uptime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // every Linux that Go runs on has it
	return time.Duration(ts.Nano())
}

// boot names this boot of the machine, 0 if the kernel does not say.
func boot() uint64 {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(id) == 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(id)
	return h.Sum64()
}
