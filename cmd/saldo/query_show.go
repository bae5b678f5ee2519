package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/upstream"
)

// statusWord is the status of an answer for people.
func statusWord(a *upstream.Answer) string {
	if a.BelowMin {
		return "below min"
	}
	return strings.ReplaceAll(string(a.Status), "_", " ")
}

// queryColumns are the columns of the table, those of showTable's rows.
var queryColumns = []cli.Column{
	{Title: "UPSTREAM"},
	{Title: "PROVIDER"},
	{Title: "STATUS", Colour: queryColour},
	{Title: "ACCOUNT"},
	{Title: "SERVICE"},
	{Title: "BALANCE", Right: true, Colour: debtColour},
	{Title: "CURRENCY"},
	{Title: "CREDIT LIMIT", Right: true},
	{Title: "AVAILABLE", Right: true, Colour: debtColour},
	{Title: "PENDING", Right: true},
	{Title: "MIN", Right: true},
	{Title: "BILLING"},
	{Title: "MESSAGE"},
}

// showTable shows a line for each balance, and one for each upstream that has
// none. Every line has the upstream's name, for whoever filters them.
func showTable(streams cli.Streams, answers []upstream.Answer, named bool) error {
	var rows [][]string
	for i := range answers {
		a := &answers[i]
		front := []string{"", a.Provider, statusWord(a), a.Account}
		if named {
			front[0] = a.Name
		}
		if a.Failed() {
			rows = append(rows, append(front, "", "", "", "", "", "", "", "", reason(a)))
			continue
		}
		billing := string(a.Billing)
		if billing == "prepaid" { // as nearly all are
			billing = ""
		}
		if len(a.Buckets) == 0 {
			rows = append(rows, append(front, "", "", "", "", "", "", "", billing, ""))
		}
		for j := range a.Buckets {
			b := &a.Buckets[j]
			row := append(slices.Clone(front), b.Service, b.Amount.String(), b.Word(),
				optional(b.CreditLimit), optional(b.Available), optional(b.Pending), optional(b.Min), billing, "")
			if !b.BelowMin {
				row[2] = strings.ReplaceAll(string(a.Status), "_", " ")
			}
			rows = append(rows, row)
		}
	}
	return streams.Table(queryColumns, rows)
}

// reason is why there is no balance, with the provider's own code.
func reason(a *upstream.Answer) string {
	if a.Code == "" {
		return a.Message
	}
	return fmt.Sprintf("%s (code %s)", a.Message, a.Code)
}

// optional is an amount that a provider may not tell.
func optional(amount *decimal.Decimal) string {
	if amount == nil {
		return ""
	}
	return amount.String()
}

// queryColour is green where all is well, and yellow where waiting may help.
func queryColour(word string) string {
	switch word {
	case "ok":
		return "32"
	case "below min", "unauthorized", "ip denied", "suspended":
		return "31"
	default:
		return "33"
	}
}

// debtColour is red for less than nothing.
func debtColour(amount string) string {
	if strings.HasPrefix(amount, "-") {
		return "31"
	}
	return ""
}

// The states of a Nagios plugin, which are its exit statuses.
const (
	nagiosOK       = 0
	nagiosCritical = 2
	nagiosUnknown  = 3
)

var nagiosWords = map[int]string{nagiosOK: "OK", nagiosCritical: "CRITICAL", nagiosUnknown: "UNKNOWN"}

// showNagios prints the one line that Nagios, Icinga, Naemon and others read,
// with the balances as performance data.
func showNagios(streams cli.Streams, answers []upstream.Answer) error {
	state := nagiosOK
	var sentences, balances, data []string
	for i := range answers {
		a := &answers[i]
		switch exitStatus(a) {
		case cli.ExitOK:
		case cli.ExitUnavailable:
			if state == nagiosOK {
				state = nagiosUnknown
			}
		default:
			state = nagiosCritical
		}
		if sentence := a.Sentence(); sentence != "" {
			sentences = append(sentences, sentence)
		}
		// An account that is paid later, or without limit, may well tell 0: as a
		// balance or in a graph that would be an empty wallet.
		if !a.Billing.RunsOut() {
			balances = append(balances, a.Name+" "+string(a.Billing))
			continue
		}
		for j := range a.Buckets {
			b := &a.Buckets[j]
			balances = append(balances, fmt.Sprintf("%s %s %s", a.Name, b.Service, b.Text()))
			data = append(data, performance(a.Name, b))
		}
	}
	if len(sentences) == 0 {
		sentences = balances
	}
	return sayNagios(streams, state, strings.Join(sentences, "; "), strings.Join(data, " "))
}

// performance is a balance as Nagios keeps it: 'name service'=VALUE;;MIN: where
// the last is the range in which all is well.
func performance(name string, b *upstream.Left) string {
	least := ""
	if b.Min != nil {
		least = b.Min.String() + ":"
	}
	label := strings.TrimSpace(strings.Join([]string{name, b.Service, b.Currency}, " "))
	return fmt.Sprintf("'%s'=%s;;%s", strings.NewReplacer("'", "", "=", "", "|", "").Replace(label), b.Spendable(), least)
}

// outputFlag finds what --output says among arguments that stand on lines of
// their own.
var outputFlag = regexp.MustCompile(`(?m)^(?:-o[\n=]?|--output[\n=])(.*)$`)

// forNagios tells whether a command line that could not be parsed is one of
// "saldo query" whose output Nagios reads. The parser stops at the first fault,
// so it may not have come to --output.
func forNagios(args []string) bool {
	if args[0] != "query" {
		return false
	}
	output := os.Getenv("SALDO_OUTPUT")
	for _, found := range outputFlag.FindAllStringSubmatch(strings.Join(args, "\n"), -1) {
		output = found[1]
	}
	return output == "nagios"
}

// nagiosUnusable says that nothing could be asked, where Nagios looks for it.
func nagiosUnusable(streams cli.Streams, err error) error {
	return sayNagios(streams, nagiosUnknown, err.Error(), "")
}

// sayNagios prints the line. What stands behind a | would be read as data.
func sayNagios(streams cli.Streams, state int, text, data string) error {
	text = harmless(strings.ReplaceAll(text, "|", "/"))
	line := "SALDO " + nagiosWords[state] + ": " + text
	if data != "" {
		line += " | " + harmless(data)
	}
	if _, err := io.WriteString(streams.Out, line+"\n"); err != nil {
		return err
	}
	if state == nagiosOK {
		return nil
	}
	return &cli.Error{Status: state, Message: text}
}
