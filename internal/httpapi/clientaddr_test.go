package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/saldo-ledger/saldo/internal/httpapi"
)

func networks(t *testing.T, texts ...string) []netip.Prefix {
	t.Helper()
	var all []netip.Prefix
	for _, text := range texts {
		network, err := httpapi.ParseNetwork(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, network)
	}
	return all
}

// Allow-lists and the failure limit rest on this address, so what matters most
// is who cannot choose it.
func TestClientAddr(t *testing.T) {
	t.Parallel()
	trusted := networks(t, "10.0.0.0/8", "192.168.1.1", "2001:db8:ffff::/48")
	for _, tt := range []struct {
		name      string
		peer      string
		forwarded []string // the lines of the header
		want      string
	}{
		{"no proxy", "203.0.113.7:4711", nil, "203.0.113.7"},
		{"no proxy, IPv6", "[2001:db8::7]:4711", nil, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:203.0.113.7]:4711", nil, "203.0.113.7"},
		{"a zone", "[fe80::7%eth0]:4711", nil, "fe80::7"},
		{"a stranger forges", "203.0.113.7:4711", []string{"198.51.100.1"}, "203.0.113.7"},
		{"a stranger forges a chain", "203.0.113.7:4711", []string{"198.51.100.1, 10.1.2.3", "10.0.0.1"}, "203.0.113.7"},
		{"through a proxy", "10.0.0.1:80", []string{"203.0.113.7"}, "203.0.113.7"},
		{"through a proxy, IPv4 in IPv6", "[::ffff:10.0.0.1]:80", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"through a proxy of IPv6", "[2001:db8:ffff::1]:80", []string{"2001:db8:aaaa::7"}, "2001:db8:aaaa::7"},
		{"the client forges in front", "10.0.0.1:80", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7"},
		{"the client forges a trusted one in front", "10.0.0.1:80", []string{"10.9.9.9, 203.0.113.7"}, "203.0.113.7"},
		{"the client forges a line of its own", "10.0.0.1:80", []string{"198.51.100.1", "203.0.113.7"}, "203.0.113.7"},
		{"a chain of proxies", "10.0.0.1:80", []string{"203.0.113.7, 192.168.1.1, 10.2.2.2"}, "203.0.113.7"},
		{"a chain over several lines", "10.0.0.1:80", []string{"198.51.100.1,203.0.113.7", "192.168.1.1", "10.2.2.2"}, "203.0.113.7"},
		{"a chain of trusted ones only", "10.0.0.1:80", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		{"no header", "10.0.0.1:80", nil, "10.0.0.1"},
		{"an empty header", "10.0.0.1:80", []string{""}, "10.0.0.1"},
		{"garbage in front", "10.0.0.1:80", []string{"unknown, 203.0.113.7"}, "203.0.113.7"},
		{"garbage at the end", "10.0.0.1:80", []string{"203.0.113.7, unknown"}, "10.0.0.1"},
		{"garbage between proxies", "10.0.0.1:80", []string{"203.0.113.7, _hidden, 10.2.2.2"}, "10.2.2.2"},
		{"a comma too many", "10.0.0.1:80", []string{"203.0.113.7,"}, "10.0.0.1"},
		{"a port", "10.0.0.1:80", []string{"203.0.113.7:4711"}, "10.0.0.1"},
		{"a zone in the header", "10.0.0.1:80", []string{"fe80::7%eth0"}, "fe80::7"},
		{"spaces", "10.0.0.1:80", []string{"  203.0.113.7\t, 10.2.2.2 "}, "203.0.113.7"},
		{"a neighbour of the trusted address", "192.168.1.2:80", []string{"203.0.113.7"}, "192.168.1.2"},
		{"a socket", "@", []string{"203.0.113.7"}, "invalid IP"},
		{"nothing", "", nil, "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.RemoteAddr = tt.peer
			if tt.forwarded != nil {
				r.Header["X-Forwarded-For"] = tt.forwarded
			}
			if got := httpapi.ClientAddr(r, trusted).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			r.Header.Set("Forwarded", "for=198.51.100.1")
			r.Header.Set("X-Real-IP", "198.51.100.1")
			if got := httpapi.ClientAddr(r, trusted).String(); got != tt.want {
				t.Errorf("with other headers: got %s, want %s", got, tt.want)
			}
			peer, err := netip.ParseAddrPort(tt.peer)
			if got := httpapi.ClientAddr(r, nil); err == nil && got != peer.Addr().Unmap().WithZone("") {
				t.Errorf("without trusted proxies: got %s", got)
			}
		})
	}
}

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"203.0.113.7":             "203.0.113.7/32",
		"203.0.113.7/24":          "203.0.113.0/24",
		"0.0.0.0/0":               "0.0.0.0/0",
		"2001:db8::7":             "2001:db8::7/128",
		"2001:db8::7/32":          "2001:db8::/32",
		"fe80::7%eth0":            "fe80::7/128",
		"::ffff:203.0.113.7":      "203.0.113.7/32",
		"::ffff:203.0.113.7/120":  "203.0.113.0/24",
		"::ffff:0.0.0.0/96":       "0.0.0.0/0",
		"":                        "",
		"203.0.113":               "",
		"203.0.113.7/33":          "",
		"203.0.113.07":            "",
		"fe80::7%eth0/64":         "",
		"example.com":             "",
		"203.0.113.0-203.0.113.9": "",
	} {
		got, err := httpapi.ParseNetwork(text)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q: %s, %v; want %q", text, got, err, want)
		}
	}
}
