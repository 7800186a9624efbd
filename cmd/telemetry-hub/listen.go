package main

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
)

// listen binds address in the family that it names: 0.0.0.0 is IPv4 only and [::] is IPv6 only, while no host stands for both.
// To net.Listen, all three are the same.
func listen(address string) (net.Listener, error) {
	network := "tcp"
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, withHint(err, `--listen is HOST:PORT, for example :8443, 192.168.1.5:8443 or [::1]:8443`)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if network = "tcp6"; ip.Unmap().Is4() {
			network = "tcp4"
		}
	}
	ln, err := net.Listen(network, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, withHint(err, "another program listens there; choose another address with --listen")
	case errors.Is(err, syscall.EACCES):
		return nil, withHint(err, "ports below 1024 need a right (systemd/README.md, Port 443); or choose another with --listen")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, withHint(err, "this machine does not have the address (yet); :PORT listens on all that it has and gets")
	}
	return ln, err
}

// checkListen finds out what is wrong with an address before anything is made for a hub that can't serve on it. The address
// may be taken by a hub on the same data that is about to end; whether it stays taken, the listener finds out.
func checkListen(address, dataDir string) error {
	ln, err := listen(address)
	if err == nil {
		return ln.Close()
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		if _, statErr := os.Stat(filepath.Join(dataDir, "hub.db")); !errors.Is(statErr, fs.ErrNotExist) {
			return nil
		}
	}
	return err
}

// hosts are the names and addresses that the configuration says the hub is reached by.
func (c *config) hosts() []string {
	hosts := c.names()
	host, _, _ := net.SplitHostPort(c.Listen)
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() {
			return hosts
		}
		host = ip.WithZone("").String()
	}
	if host != "" {
		hosts = append(hosts, host)
	}
	return hosts
}
