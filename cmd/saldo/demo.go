package main

import (
	"fmt"
	"os"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
)

// printDemo shows the two requests of the provider pages, ready to paste.
func printDemo(streams cli.Streams, demo *app.Demo) {
	bold, dim := streams.Bold, streams.Dim
	fmt.Fprintf(streams.Out, `%s

%s
curl --location --request POST '%s/user/account/balance' \
--header 'Content-Type: application/json' \
--data '{"authSecret": "%s"}'

%s
curl --location '%s/MainService.svc/json/GetBalance_json' \
--header 'Content-Type: application/json' \
--data '{
"ApiKey":"%s",
"SecretKey":"%s"
}'

%s
export SALDO_URL=%s SALDO_KEY=%s
%s topup 1000 sms 50
%s balance 1000

%s
`,
		bold("Saldo is serving a demo ledger at "+demo.URL()),
		dim("# Antgst: account 1000 owes 18.383 CNY for SMS, on a credit line"),
		demo.URL(), app.DemoCNY.AuthSecret(),
		dim("# eSMS.vn: account 9999 has 36693 VND"),
		demo.URL(), app.DemoVND.ID, app.DemoVND.Secret,
		dim("# Move money, in another terminal, with an operator's key made for this run"),
		demo.URL(), demo.Operator.AuthSecret(), os.Args[0], os.Args[0],
		dim("# The ledger is thrown away when you press Ctrl-C."))
}
