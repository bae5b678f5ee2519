package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/upstream"
)

// queryCommand is "saldo query".
type queryCommand struct {
	Names []string `arg:"" optional:"" name:"provider" help:"The provider to ask; with --config the upstreams to ask, by default all."`

	Config string `placeholder:"FILE" help:"Ask the upstreams that this YAML file describes, all at the same time."`
	List   bool   `help:"List the providers, with the environment variables of their credentials."`

	CredentialsFile string        `placeholder:"FILE" help:"Read the credentials from lines NAME=VALUE instead of the environment."`
	BaseURL         string        `name:"base-url" placeholder:"URL" help:"Ask here instead of at the provider's own address; its path is added."`
	PlainHTTP       bool          `name:"plain-http" help:"Send the credentials without TLS to a host that is not this machine."`
	Timeout         time.Duration `placeholder:"DURATION" help:"How long the provider may take, with all attempts (default 15s)."`
	Service         string        `placeholder:"NAME" help:"Look at this service only, such as sms."`
	Min             string        `placeholder:"AMOUNT" help:"How much should be left; exit status 3 where there is less. A negative one is written --min=-100."`

	Output string `short:"o" default:"table" enum:"table,json,nagios" placeholder:"FORMAT" env:"SALDO_OUTPUT" help:"table, json, or nagios with the exit statuses of its plugins (default ${default})."`
}

// Help explains where credentials come from and what the exit status means.
func (*queryCommand) Help() string {
	return `Asks providers of SMS and voice what is left of your balance there. Credentials come from the
environment (saldo query --list names the variables) or a file, never from the command line, which
others can see.

The exit status is
  0  every balance is there, and at least its minimum
  2  the command line, the file or the credentials cannot be used, and nothing was asked
  3  a balance is below its minimum
  4  the provider refuses: wrong credentials, an address that is not let in, a suspended account
  5  there is no balance, for a reason that may pass: unreachable, busy, failing, or no such reply
What needs a person outranks what may pass: of several upstreams 4 wins over 3, and 3 over 5. What is
left is compared with the minimum as the provider counts it, with the credit limit where it tells
one. Accounts that are paid later, or without limit, are never below it. With --output nagios, 3 and
4 are CRITICAL (2), and 5 and whatever could not be asked are UNKNOWN (3).

Examples:
  ANTGST_AUTH_SECRET=… saldo query antgst
  saldo query esms --credentials-file /etc/saldo/esms.env --min 50000
  saldo query antgst --base-url http://127.0.0.1:8080 --service sms --output json
  saldo query --config /etc/saldo/upstreams.yaml
  saldo query --config /etc/saldo/upstreams.yaml --output nagios antgst-sms esms-otp
  saldo query --list`
}

// Validate checks what kong's tags cannot say.
func (c *queryCommand) Validate() error {
	single := c.CredentialsFile != "" || c.BaseURL != "" || c.PlainHTTP || c.Timeout != 0 || c.Service != "" || c.Min != ""
	switch {
	case c.List && (c.Config != "" || len(c.Names) > 0 || single):
		return errors.New("--list can't be used with anything but --output")
	case c.List:
		return nil
	case c.Config != "" && single:
		return app.Hint(errors.New("--config can't be used with flags for one provider"), "the file says all this for each upstream")
	case c.Config == "" && len(c.Names) == 0:
		return app.Hint(errors.New("no provider was named"), `"saldo query --list" shows the providers; --config FILE asks several`)
	case c.Config == "" && len(c.Names) > 1:
		return app.Hint(errors.New("only one provider can be asked"), "--config FILE asks several")
	case c.Timeout < 0:
		return errors.New("--timeout cannot be negative")
	}
	return nil
}

// Run asks, shows what came, and lets the exit status say the rest.
func (c *queryCommand) Run(ctx context.Context, streams cli.Streams) error {
	if c.List {
		return c.list(streams)
	}
	upstreams, err := c.upstreams(streams)
	if err != nil {
		if c.Output == "nagios" {
			return nagiosUnusable(streams, err)
		}
		return unusable(err)
	}
	answers := upstream.Query(ctx, upstreams, c.Service)
	if ctx.Err() != nil {
		return context.Canceled
	}
	switch {
	case c.Output == "nagios":
		return showNagios(streams, answers)
	case c.Output == "json":
		err = streams.JSON(answers)
	case c.Config != "":
		err = showTable(streams, answers, true)
	case !answers[0].Failed():
		err = showTable(streams, answers, false)
	}
	if err != nil {
		return err
	}
	return c.verdict(answers)
}

// upstreams are what is to be asked.
func (c *queryCommand) upstreams(streams cli.Streams) ([]*upstream.Upstream, error) {
	if c.Config == "" {
		one, err := c.single(streams)
		return []*upstream.Upstream{one}, err
	}
	config, err := upstream.Load(c.Config, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	for _, warning := range config.Warnings {
		fmt.Fprintf(streams.Err, "warning: %s\n", warning)
	}
	return config.Select(c.Names)
}

// single is the upstream that the command line describes.
func (c *queryCommand) single(streams cli.Streams) (*upstream.Upstream, error) {
	p, err := upstream.Find(c.Names[0])
	if err != nil {
		return nil, err
	}
	if p.Described {
		return nil, app.Hint(fmt.Errorf("%s is a provider that has to be described", p.Name), "describe it in a file, and ask it with: saldo query --config FILE")
	}
	u := &upstream.Upstream{
		Name: p.Name, Provider: p, BaseURL: c.BaseURL, PlainHTTP: c.PlainHTTP, Timeout: c.Timeout, Pace: p.Limit.Interval(),
	}
	if c.Min != "" {
		if u.Min, err = upstream.ParseMinimum(c.Min); err != nil {
			return nil, fmt.Errorf("--min: %w", err)
		}
	}
	lookup, place := os.LookupEnv, "the environment"
	if c.CredentialsFile != "" {
		file, warning, err := upstream.ReadCredentials(c.CredentialsFile)
		if err != nil {
			return nil, err
		}
		if warning != "" {
			fmt.Fprintf(streams.Err, "warning: %s\n", warning)
		}
		lookup, place = file, c.CredentialsFile
	}
	if u.Credentials, err = p.Credentials(lookup); err != nil {
		return nil, app.Hint(fmt.Errorf("%w in %s", err, place), p.Name+" needs "+strings.Join(p.Variables(), " and "))
	}
	// A base URL that cannot be used is the caller's mistake, not the provider's.
	client, err := u.Connect()
	if err != nil {
		return nil, err
	}
	client.Close()
	return u, nil
}

// exitStatus is that of one answer.
func exitStatus(a *upstream.Answer) int {
	switch {
	case a.Refused():
		return cli.ExitUnauthorized
	case a.Failed():
		return cli.ExitUnavailable
	case a.BelowMin:
		return cli.ExitRejected
	default:
		return cli.ExitOK
	}
}

// urgency orders the exit statuses: what needs a person outranks what may pass,
// so that a provider which fails now and then hides no wallet that runs empty.
var urgency = map[int]int{cli.ExitOK: 0, cli.ExitUnavailable: 1, cli.ExitRejected: 2, cli.ExitUnauthorized: 3}

// verdict is the error for the worst answer, nil where all is well.
func (c *queryCommand) verdict(answers []upstream.Answer) error {
	worst := cli.ExitOK
	var named []string
	for i := range answers {
		a := &answers[i]
		status := exitStatus(a)
		if urgency[status] > urgency[worst] {
			worst = status
		}
		if status != cli.ExitOK {
			named = append(named, a.Name+" ("+statusWord(a)+")")
		}
	}
	failure := &cli.Error{Status: worst}
	switch {
	case worst == cli.ExitOK:
		return nil
	case c.Config != "":
		failure.Message = fmt.Sprintf("%d of %d upstreams need attention: %s", len(named), len(answers), strings.Join(named, ", "))
	default:
		failure.Message = answers[0].Sentence()
		if advice := answers[0].Advice(); advice != "" {
			failure.Hints = []string{advice}
		}
	}
	return failure
}

// provided is a provider in the list.
type provided struct {
	Provider  string   `json:"provider"`
	Variables []string `json:"variables"`
	BaseURL   string   `json:"base_url"`
	Limit     string   `json:"limit"`
}

func (c *queryCommand) list(streams cli.Streams) error {
	all := []provided{}
	var rows [][]string
	for _, p := range upstream.Providers() {
		all = append(all, provided{p.Name, p.Variables(), p.BaseURL, p.Limit.String()})
		variables := strings.Join(p.Variables(), " ")
		if p.Described {
			variables = "any other, described in a file"
		}
		rows = append(rows, []string{p.Name, variables, p.BaseURL, p.Limit.String()})
	}
	if c.Output == "json" {
		return streams.JSON(all)
	}
	return streams.Table([]cli.Column{{Title: "PROVIDER"}, {Title: "VARIABLES"}, {Title: "BASE URL"}, {Title: "LIMIT"}}, rows)
}
