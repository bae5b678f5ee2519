package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// maxSecretFile bounds what is read of a secret's file: the longest secret is 511 characters.
const maxSecretFile = 1024

// keyCommands is "saldo key".
type keyCommands struct {
	Create keyCreate `cmd:"" group:"client" help:"Create or import a key."`
	List   keyList   `cmd:"" group:"client" help:"List keys, without their secrets."`
	Set    keySet    `cmd:"" group:"client" help:"Set how much may be spent with a key."`
	Revoke keyRevoke `cmd:"" group:"client" help:"Revoke a key for good."`
}

// keyCreate is "saldo key create".
type keyCreate struct {
	Account    accountID  `required:"" xor:"owner" placeholder:"N" help:"The account that the key belongs to."`
	Operator   bool       `required:"" xor:"owner" help:"Make a key for whoever runs Saldo."`
	Scope      []string   `enum:"balance:read,transactions:write,admin" placeholder:"SCOPE" help:"What the key may do: balance:read, transactions:write or admin; may be repeated. A customer's key gets balance:read by default."`
	Allow      []string   `placeholder:"CIDR" help:"Network from which the key may be used; may be repeated. By default any."`
	ExpiresAt  time.Time  `placeholder:"TIME" help:"When the key ends, in RFC 3339: 2027-01-31T00:00:00Z."`
	ID         string     `name:"id" placeholder:"ID" help:"Import a pair that exists already: its id."`
	Secret     credential `xor:"secret" placeholder:"SECRET" help:"Import a pair: its secret. Others can see a command line: better use --secret-file."`
	SecretFile string     `xor:"secret" placeholder:"PATH" help:"Import a pair: a file with its secret, or - for standard input."`
	Caps       keyCaps    `embed:""`

	Globals
}

// keyCaps are the flags for what may be spent with a key.
type keyCaps struct {
	DailySpendCap   *string `placeholder:"AMOUNT" help:"The most that may be spent with the key in one day; 0 for no cap."`
	MonthlySpendCap *string `placeholder:"AMOUNT" help:"The most that may be spent with the key in one month; 0 for no cap."`
}

// Help shows examples.
func (*keyCreate) Help() string {
	return `The secret is shown this once: Saldo keeps a hash of it. Without --id a random pair is made.

Examples:
  saldo key create --account 9999
  saldo key create --account 9999 --scope balance:read --scope transactions:write --allow 203.0.113.0/24
  saldo key create --account 9999 --scope transactions:write --daily-spend-cap 20
  saldo key create --operator --scope transactions:write --expires-at 2027-01-31T00:00:00Z
  saldo key create --account 9999 --id OLDKEY --secret-file - < secret.txt`
}

// Validate checks what kong's tags cannot say.
func (c *keyCreate) Validate() error {
	imported := c.Secret != "" || c.SecretFile != ""
	switch {
	case c.Operator && len(c.Scope) == 0:
		return errors.New("an operator's key needs at least one --scope")
	case c.ID == "" && imported:
		return errors.New("a secret is imported together with its --id")
	case c.ID != "" && !imported:
		return errors.New("--id imports a pair, which needs --secret-file (or --secret) too")
	}
	return nil
}

// Run creates the key.
func (c *keyCreate) Run(ctx context.Context, streams Streams) error {
	secret, err := c.secret(streams.In)
	if err != nil {
		return err
	}
	request := api.KeyRequest{
		ID: c.ID, Secret: secret, AllowList: c.Allow, DailySpendCap: c.Caps.DailySpendCap, MonthlySpendCap: c.Caps.MonthlySpendCap,
	}
	for _, scope := range c.Scope {
		request.Scopes = append(request.Scopes, api.Scope(scope))
	}
	if !c.ExpiresAt.IsZero() {
		request.ExpiresAt = c.ExpiresAt.UTC().Format(time.RFC3339Nano)
	}
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		var key api.NewKey
		var err error
		if c.Operator {
			key, err = saldo.CreateOperatorKey(ctx, api.OperatorKeyRequest(request))
		} else {
			key, err = saldo.CreateKey(ctx, api.AccountID(c.Account), request)
		}
		if err == nil {
			c.show(p, key)
		}
		return err
	})
}

// secret gives the secret to import; "" where there is none. Its errors do not repeat it.
func (c *keyCreate) secret(stdin io.Reader) (string, error) {
	if c.SecretFile == "" {
		return string(c.Secret), nil
	}
	source := stdin
	if c.SecretFile != "-" {
		file, err := os.Open(c.SecretFile)
		if err != nil {
			return "", unreadable(err)
		}
		defer file.Close() //nolint:errcheck // it is only read
		source = file
	}
	content, err := io.ReadAll(io.LimitReader(source, maxSecretFile+1))
	if err != nil {
		return "", unreadable(err)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" || len(content) > maxSecretFile || strings.ContainsAny(secret, "\r\n") {
		return "", &Error{
			Status: ExitUsage, Message: c.SecretFile + " does not hold one secret",
			Hints: []string{"it must be one line of at most 511 characters, and nothing else"},
		}
	}
	return secret, nil
}

func unreadable(err error) error {
	return &Error{
		Status: ExitUsage, Message: "cannot read the secret: " + err.Error(), Err: err,
		Hints: []string{"--secret-file names a file with nothing but the secret, or - for standard input"},
	}
}

// show prints a new key. A secret that was imported is known to whoever brought
// it, so a table does not repeat it.
func (c *keyCreate) show(p *printer, key api.NewKey) {
	p.show(key, func() {
		secret, authSecret := key.Secret, key.AuthSecret
		if c.ID != "" {
			secret, authSecret = "as imported", ""
		}
		p.fields(
			"id", key.ID, "secret", secret, "auth_secret", authSecret,
			"account", accountText(key.Account), "scopes", scopesText(key.Scopes), "allowed from", networksText(key.AllowList),
			"daily spend cap", key.DailySpendCap, "monthly spend cap", key.MonthlySpendCap,
			"expires", key.ExpiresAt, "created", key.CreatedAt,
		)
		if c.ID == "" {
			p.notef("warning: the secret is shown this once and cannot be shown again; keep it now")
		}
	})
}

// keyList is "saldo key list".
type keyList struct {
	Account accountID `placeholder:"N" help:"List the keys of this account; by default those of the operator."`
	Limit   uint      `default:"100" placeholder:"N" help:"Stop after this many keys; 0 lists all (default ${default})."`

	Globals
}

// Help shows examples.
func (*keyList) Help() string {
	return `Expired and revoked keys are listed too.

Examples:
  saldo key list
  saldo key list --account 9999 --output json`
}

// Run lists the keys.
func (c *keyList) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		keys := saldo.OperatorKeys(ctx)
		if c.Account != 0 {
			keys = saldo.Keys(ctx, api.AccountID(c.Account))
		}
		t := p.table(text("ID"), text("LAST4"), status("STATUS"), text("SCOPES"), text("ALLOWED FROM"),
			money("SPENT TODAY"), money("SPENT THIS MONTH"), text("EXPIRES"), text("CREATED"))
		return list(p, keys, c.Limit, t, func(k api.Key) {
			expires := k.ExpiresAt
			if expires == "" {
				expires = "never"
			}
			t.row(k.ID, k.Last4, string(k.Status), scopesText(k.Scopes), networksText(k.AllowList),
				spentText(k.SpentToday, k.DailySpendCap), spentText(k.SpentThisMonth, k.MonthlySpendCap), expires, k.CreatedAt)
		})
	})
}

// keySet is "saldo key set".
type keySet struct {
	ID   string  `arg:"" name:"key" help:"Id of the key."`
	Caps keyCaps `embed:""`

	Globals
}

// Help shows examples.
func (*keySet) Help() string {
	return `A cap is in force for the next transaction; what is spent with a key is counted from the moment it
has one. Days and months are those of the account's time zone, and of UTC for an operator's key.
Nothing else of a key ever changes.

Examples:
  saldo key set AK7M2QX4ZPLNTW3B --daily-spend-cap 20
  saldo key set AK7M2QX4ZPLNTW3B --daily-spend-cap 0 --monthly-spend-cap 300`
}

// Validate refuses a command that changes nothing.
func (c *keySet) Validate() error {
	if c.Caps == (keyCaps{}) {
		return errors.New("name at least one cap to set")
	}
	return nil
}

// Run sets the caps.
func (c *keySet) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		key, err := saldo.PatchKey(ctx, c.ID, api.KeyPatch{DailySpendCap: c.Caps.DailySpendCap, MonthlySpendCap: c.Caps.MonthlySpendCap})
		if err != nil {
			return err
		}
		p.show(key, func() {
			p.fields(
				"key", key.ID, "account", accountText(key.Account), "status", string(key.Status), "scopes", scopesText(key.Scopes),
				"spent today", spentText(key.SpentToday, key.DailySpendCap), "spent this month", spentText(key.SpentThisMonth, key.MonthlySpendCap),
			)
		})
		return nil
	})
}

// keyRevoke is "saldo key revoke".
type keyRevoke struct {
	ID string `arg:"" name:"key" help:"Id of the key."`

	Globals
}

// Help shows examples.
func (*keyRevoke) Help() string {
	return `A revoked key is refused at once and for good. To revoke it again changes nothing. The server
replies with no content, so --output json prints nothing.

Examples:
  saldo key revoke AK7M2QX4ZPLNTW3B`
}

// Run revokes the key.
func (c *keyRevoke) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		err := saldo.RevokeKey(ctx, c.ID)
		if err == nil && !p.json {
			p.fields("key", c.ID, "status", string(api.KeyStatusRevoked))
		}
		return err
	})
}

func scopesText(scopes api.Scopes) string {
	texts := make([]string, len(scopes))
	for i, scope := range scopes {
		texts[i] = string(scope)
	}
	return strings.Join(texts, ",")
}

func networksText(networks api.AllowList) string {
	if len(networks) == 0 {
		return "anywhere"
	}
	return strings.Join(networks, ",")
}
