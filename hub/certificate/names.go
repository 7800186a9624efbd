package certificate

import (
	"crypto/x509"
	"net"
	"os"
	"slices"
	"strings"
)

// maxNames is how many names and addresses a certificate has at most: each is sent in every handshake.
const maxNames = 48

// names are what clients call the hub.
type names struct {
	dns []string
	ips []net.IP
}

// thisMachine returns its name, "" if it has none, and its addresses.
func thisMachine() (name string, addresses []net.IP) {
	name, _ = os.Hostname()
	interfaces, _ := net.InterfaceAddrs() // without them the certificate still serves names and loopback
	for _, a := range interfaces {
		if n, ok := a.(*net.IPNet); ok {
			addresses = append(addresses, n.IP)
		}
	}
	return name, addresses
}

// wanted returns the names and addresses under which clients may reach the hub, the surest first, and which of the configured
// hosts can't stand in a certificate.
func (c *Config) wanted() (n names, bad []string) {
	n.addIPs(net.IPv4(127, 0, 0, 1), net.IPv6loopback)
	n.addDNS("localhost")
	for _, host := range c.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			n.addIPs(ip)
		} else if !n.addDNS(host) {
			bad = append(bad, host)
		}
	}
	machine, addresses := c.machine()
	if n.addDNS(machine) && machine != "localhost" {
		short, _, _ := strings.Cut(machine, ".")
		n.addDNS(short)
		n.addDNS(short + ".local") // as mDNS has it
	}
	for _, ip := range addresses {
		if ip.IsGlobalUnicast() {
			n.addIPs(ip)
		}
	}
	return n, bad
}

// addDNS reports whether the name can stand in a certificate.
func (n *names) addDNS(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !validName(name) {
		return false
	}
	if !slices.Contains(n.dns, name) && n.count() < maxNames {
		n.dns = append(n.dns, name)
	}
	return true
}

func (n *names) addIPs(ips ...net.IP) {
	for _, ip := range ips {
		if !slices.ContainsFunc(n.ips, ip.Equal) && n.count() < maxNames {
			n.ips = append(n.ips, ip)
		}
	}
}

func (n *names) count() int { return len(n.dns) + len(n.ips) }

// missing returns one that the certificate lacks, "" if it has all.
func (n *names) missing(leaf *x509.Certificate) string {
	for _, name := range n.dns {
		if !slices.Contains(leaf.DNSNames, name) {
			return name
		}
	}
	for _, ip := range n.ips {
		if !slices.ContainsFunc(leaf.IPAddresses, ip.Equal) {
			return ip.String()
		}
	}
	return ""
}

// validName reports whether a name can stand in a certificate and be connected to: labels of letters, digits, hyphens, and the
// underscores that some machines have, none longer than 63 bytes (RFC 1034 §3.1). A kernel takes any bytes as a machine's name.
func validName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	// What ends in a number is read as an IPv4 address by browsers, and refused by them as a name.
	last := name[strings.LastIndexByte(name, '.')+1:]
	return strings.Trim(last, "0123456789") != ""
}
