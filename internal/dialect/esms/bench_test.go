package esms_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/dialect/esms"
)

// bare is the least that a Go program would do for this request: the measure
// of what the dialect costs.
func bare(w http.ResponseWriter, r *http.Request) {
	var in struct{ ApiKey, SecretKey string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.ApiKey != key || in.SecretKey != secret {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(struct {
		Balance      int64
		CodeResponse string
		UserID       int32
	}{36693, "100", 9999})
}

// discard is a ResponseWriter that keeps nothing, so that the benchmark
// measures the handler and not the recorder.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(b []byte) (int, error) { return len(b), nil }

type body struct{ *strings.Reader }

func (body) Close() error { return nil }

func BenchmarkBalance(b *testing.B) {
	saldo := esms.NewServer(known)
	benchmarks := []struct {
		name, method, path, body string
		handler                  http.Handler
	}{
		{"json", http.MethodPost, jsonPath, jsonBody, saldo},
		{"xml", http.MethodPost, xmlPath, xmlBody, saldo},
		{"path", http.MethodGet, jsonGet + "/" + key + "/" + secret, "", saldo},
		{"bare", http.MethodPost, jsonPath, jsonBody, http.HandlerFunc(bare)},
	}
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			r := post(bb.path, "")
			r.Method = bb.method
			text := body{strings.NewReader("")}
			r.Body = text
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				text.Reset(bb.body)
				clear(w.header)
				bb.handler.ServeHTTP(w, r)
			}
		})
	}
}
