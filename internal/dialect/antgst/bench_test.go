package antgst_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/dialect/antgst"
)

// bare is the least that a Go program would do for this request: the measure
// of what the dialect costs.
func bare(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AuthSecret string `json:"authSecret"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.AuthSecret != secret {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	type result struct {
		SMSBalance  float64 `json:"smsBalance"`
		VoIPBalance float64 `json:"voipBalance"`
		Currency    string  `json:"currency"`
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct {
		Msg    string `json:"msg"`
		Code   int    `json:"code"`
		Result result `json:"result"`
	}{"SUCCESS", 200, result{-18.383, 0, "CNY"}})
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
	saldo := antgst.NewServer(stub{holder: holder(-18_383_000, 0)})
	for name, handler := range map[string]http.Handler{"saldo": saldo, "bare": http.HandlerFunc(bare)} {
		b.Run(name, func(b *testing.B) {
			r := post("")
			text := body{strings.NewReader(request)}
			r.Body = text
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				text.Reset(request)
				clear(w.header)
				handler.ServeHTTP(w, r)
			}
		})
	}
}
