package device

import "time"

// Moment is the time µs since 1970. What lies outside MinTime and MaxTime, as hubs once took it, becomes the nearer of the two:
// every format can write that.
func Moment(µs int64) time.Time { return time.UnixMicro(min(max(µs, MinTime), MaxTime)).UTC() }
