package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddr is the address that a request comes from. It is the peer's, unless
// the peer is a trusted proxy: then it is the last address in X-Forwarded-For
// that is not itself one. Whoever is not trusted cannot choose its address.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	if len(trusted) == 0 || !contains(trusted, addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		forwarded, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return addr // what stands before a hop that makes no sense cannot be believed
		}
		addr = forwarded.Unmap().WithZone("")
		if !contains(trusted, addr) {
			return addr
		}
	}
	return addr
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// ParseNetwork reads a network in CIDR notation, or one address.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && !strings.Contains(text, "/") { // in a zone's name, it could
		addr = addr.Unmap().WithZone("")
		return addr.Prefix(addr.BitLen())
	}
	prefix, err := netip.ParsePrefix(text)
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		// Addresses are compared in their plain form, so this must be plain too.
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), err
}
