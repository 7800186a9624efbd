//go:build !unix

package hub

// maxWaiting is how many accepted connections may wait to be served.
func maxWaiting() int { return mostWaiting }
