package message

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadBody(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("x", MaxBody)
	tests := []struct {
		name      string
		body      io.Reader
		encodings []string
		want      string
		err       error
	}{
		{"empty", strings.NewReader(""), nil, "", nil},
		{"short", strings.NewReader("short"), nil, "short", nil},
		{"byte by byte", iotest.OneByteReader(strings.NewReader("short")), nil, "short", nil},
		{"at the limit", strings.NewReader(full), nil, full, nil},
		{"over the limit", strings.NewReader(full + "x"), nil, "", ErrTooLarge},
		{"identity", strings.NewReader("short"), []string{"Identity"}, "short", nil},
		{"gzip", strings.NewReader("short"), []string{"gzip"}, "", ErrUnreadable},
		{"gzip in a second line", strings.NewReader("short"), []string{"identity", "gzip"}, "", ErrUnreadable},
		{"cut off", io.MultiReader(strings.NewReader("sh"), iotest.ErrReader(io.ErrUnexpectedEOF)), nil, "", ErrUnreadable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/", tt.body)
			r.Header["Content-Encoding"] = tt.encodings
			got, err := ReadBody(httptest.NewRecorder(), r)
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %d bytes, %v; want %d, %v", len(got), err, len(tt.want), tt.err)
			}
		})
	}
}
