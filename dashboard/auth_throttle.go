package dashboard

import (
	"net/netip"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
)

// Who guesses from one address, or at one user from many, has to wait. Who shows that he has been logged in as this user
// before has an allowance of his own: others can't lock him out by guessing.
var (
	perAddress = limit.Allowance{Kind: "address", Burst: 20, Every: 15 * time.Second}
	perUser    = limit.Allowance{Kind: "user", Burst: 10, Every: time.Minute}
	perSession = limit.Allowance{Kind: "session", Burst: 10, Every: 15 * time.Second}
)

// maxLoginsWaiting is how many strangers, and how many who are known, may wait for their password to be checked, one at a time. A
// check takes tens of milliseconds on a PC and some hundred on a small gateway.
const maxLoginsWaiting = 16

// network is what one stranger usually has: an IPv4 address or an IPv6 /64.
func network(remote string) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	addr, bits := ap.Addr().Unmap().WithZone(""), 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.Prefix(bits) // 32 and 64 fit
	return prefix.String()
}
