package firmwaresim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used so far, from proc(5). Only Linux tells.
type usage struct {
	cpu     time.Duration // user and system
	rss     uint64        // bytes resident now
	peak    uint64        // bytes resident at most
	written uint64        // bytes sent to disk; 0 on a file system in memory
}

// tick is the unit of CPU times in /proc/PID/stat: USER_HZ is 100 on every architecture Go supports.
const tick = 10 * time.Millisecond

func processUsage(pid int) (u usage, err error) {
	stat, err := procFile(pid, "stat")
	if err != nil {
		return u, err
	}
	// The program's name in parentheses may hold anything, spaces too.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return u, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		u.cpu += time.Duration(n) * tick
	}
	status, err := procFile(pid, "status")
	if err != nil {
		return u, err
	}
	u.rss, u.peak = procField(status, "VmRSS")*1024, procField(status, "VmHWM")*1024
	io, err := procFile(pid, "io")
	if err != nil {
		return u, err
	}
	u.written = procField(io, "write_bytes")
	return u, nil
}

func procFile(pid int, name string) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	return string(b), err
}

// procField takes the number behind "name:" from a file with such lines; 0 if there is none.
func procField(text, name string) uint64 {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		if f := strings.Fields(rest); len(f) > 0 {
			n, _ := strconv.ParseUint(f[0], 10, 64)
			return n
		}
	}
	return 0
}
