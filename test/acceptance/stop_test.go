package acceptance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// TestGracefulStop stops a server while a charge is half sent: it is finished,
// nothing new is taken, and then the process ends.
func TestGracefulStop(t *testing.T) { saldotest.OnEachStore(t, testGracefulStop) }

func testGracefulStop(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store)
	account := w.account(t, api.AccountRequest{}, map[string]string{"sms": "10"})
	address := strings.TrimPrefix(w.URL, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, conn)
	body := fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":"3"}`, account)
	w.Count(1)
	_, err = fmt.Fprintf(conn, "POST /v1/transactions HTTP/1.1\r\nHost: saldo\r\nAuthorization: Bearer %s\r\nIdempotency-Key: last\r\nContent-Length: %d\r\n\r\n%s", w.key, len(body), body[:20])
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // so that the server has begun with it; nothing outside tells

	stopped := make(chan struct{})
	go func() {
		w.Stop()
		close(stopped)
	}()
	w.AwaitLog(`"msg":"stopping"`, 1)
	deadline := time.Now().Add(10 * time.Second)
	for {
		late, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		shut(t, late)
		if time.Now().After(deadline) {
			t.Fatal("a stopping server takes connections")
		}
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case <-stopped:
		t.Fatal("the server did not wait for the request under way")
	default:
	}
	if _, err := io.WriteString(conn, body[20:]); err != nil {
		t.Fatal(err)
	}
	reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, reply.Body)
	text, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusCreated || !strings.Contains(string(text), `"balance":"7"`) {
		t.Errorf("got %d %s, %v", reply.StatusCode, text, err)
	}
	<-stopped

	w.serve(t)
	wallet, err := w.operator.Wallet(t.Context(), account, "sms")
	if err != nil || wallet.Balance != "7" {
		t.Errorf("after the restart: %+v, %v", wallet, err)
	}
}
