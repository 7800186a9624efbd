// Package live is the present state of the hub and its devices, in memory.
package live

// Feed knows the newest state of everything and tells those who watch.
type Feed struct{}
