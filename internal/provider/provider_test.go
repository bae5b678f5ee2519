package provider

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestError(t *testing.T) {
	t.Parallel()
	for want, failure := range map[string]*Error{
		"malformed":                     {Status: Malformed},
		"unreachable: no reply in time": {Status: Unreachable, Message: "no reply in time"},
		"unauthorized: Authorize Failed (the provider's code 101)": {Status: Unauthorized, Code: "101", Message: "Authorize Failed"},
		"rate_limited (the provider's code -32)":                   {Status: RateLimited, Code: "-32", RetryAfter: time.Second},
	} {
		if got := failure.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for want, err := range map[Status]error{
		OK:            nil,
		IPDenied:      Errorf(IPDenied, "from %s", "here"),
		Suspended:     fmt.Errorf("upstream: %w", Errorf(Suspended, "")),
		ProviderError: errors.New("something else"),
	} {
		if got := StatusOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]Status{200: Malformed, 403: Malformed, 404: Malformed, 499: Malformed, 500: ProviderError, 502: ProviderError, 599: ProviderError} {
		if got := (&Reply{Status: status, Body: []byte("<html>S3CR3T")}).Foreign(); got.Status != want || got.Code != "" {
			t.Errorf("%d: %v, want %s", status, got, want)
		}
	}
}
