package upstream

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// given is a lookup in a fixed set of variables.
func given(variables map[string]string) Lookup {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

// anything gives every variable a value that every provider takes.
func anything(name string) (string, bool) {
	if name == "TWILIO_ACCOUNT_SID" {
		return "AC0123456789abcdef0123456789abcdef", true
	}
	return "value-of-" + name, true
}

// The names are a contract with whoever sets them.
func TestVariables(t *testing.T) {
	want := map[string][]string{
		"antgst": {"ANTGST_AUTH_SECRET"}, "esms": {"ESMS_API_KEY", "ESMS_SECRET_KEY"}, "speedsms": {"SPEEDSMS_TOKEN"},
		"twilio": {"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"}, "telnyx": {"TELNYX_API_KEY"}, "vonage": {"VONAGE_API_KEY", "VONAGE_API_SECRET"},
		"messagebird": {"MESSAGEBIRD_ACCESS_KEY"}, "smsc": {"SMSC_LOGIN", "SMSC_PASSWORD"},
	}
	for _, p := range Providers() {
		if p.Described {
			continue
		}
		if got := p.Variables(); !slices.Equal(got, want[p.Name]) {
			t.Errorf("%s has %v, want %v", p.Name, got, want[p.Name])
		}
		delete(want, p.Name)
	}
	if len(want) > 0 {
		t.Errorf("there is no %v", want)
	}
}

// Each provider can be asked at its own address, and over TLS.
func TestProviders(t *testing.T) {
	for _, p := range Providers() {
		if p.Described {
			continue
		}
		base, err := url.Parse(p.BaseURL)
		if err != nil || base.Scheme != "https" || base.Host == "" {
			t.Errorf("%s is at %q, %v", p.Name, p.BaseURL, err)
		}
		credentials, err := p.Credentials(anything)
		if err != nil {
			t.Fatal(err)
		}
		client, err := (&Upstream{Provider: p, Credentials: credentials}).Connect()
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		client.Close()
		client, err = (&Upstream{Provider: p, Credentials: credentials, BaseURL: "http://sms.example.com"}).Connect()
		if err == nil || client != nil {
			t.Errorf("%s sends credentials unencrypted", p.Name)
		}
		for _, member := range p.Members {
			broken := Credentials{}
			for name, secret := range credentials {
				if name != member {
					broken[name] = secret
				}
			}
			if client, err = (&Upstream{Provider: p, Credentials: broken}).Connect(); err == nil || client != nil {
				t.Errorf("%s asks without %s", p.Name, member)
			}
		}
	}
}

func TestFind(t *testing.T) {
	if p, err := Find("esms"); err != nil || p.Name != "esms" {
		t.Errorf("%v, %v", p, err)
	}
	_, err := Find("nobody")
	if err == nil || err.Error() != `there is no provider "nobody"` || !strings.Contains(hintOf(err), "antgst, esms, ") {
		t.Errorf("%v, hint %s", err, hintOf(err))
	}
}

func TestMissingCredentials(t *testing.T) {
	p, err := Find("esms")
	if err != nil {
		t.Fatal(err)
	}
	for _, variables := range []map[string]string{
		nil,
		{"ESMS_API_KEY": "k"},
		{"ESMS_API_KEY": "k", "ESMS_SECRET_KEY": ""},
		{"ESMS_API_KEY": "k", "ESMS_SECRET_KEY": "s3cr3t\n"},
		{"ESMS_API_KEY": "k", "ESMS_SECRET_KEY": strings.Repeat("s3cr3t", 1000)},
	} {
		credentials, err := p.Credentials(given(variables))
		if err == nil || credentials != nil || !strings.Contains(err.Error(), "ESMS_") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%d variables: %v", len(variables), err)
		}
	}
}

func TestLimits(t *testing.T) {
	for name, want := range map[string]time.Duration{"antgst": 5 * time.Millisecond, "smsc": 6 * time.Second, "speedsms": time.Second, "esms": 0} {
		p, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Limit.Interval(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := (Limit{10, time.Minute}).String() + (Limit{200, time.Second}).String() + (Limit{}).String(); got != "10 a minute200 a second" {
		t.Error(got)
	}
}
