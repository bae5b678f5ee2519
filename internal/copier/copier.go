// Package copier copies a whole ledger, with its history, from one store to
// another: out of the embedded store when that has become too small, and back.
//
// A copy goes on where an earlier one stopped. What is only ever added, the
// transactions and their entries, is read in the order in which it was decided,
// and each page of it is written together with the note of how far the copy is.
// What changes, such as accounts and keys, is written anew each time. So most of
// a ledger can be copied while it is served, and the rest when it is not. Readings
// of upstreams are removed in the source, too, so a copy has all of them anew.
//
// A copy is no ledger before it is complete and verified: stores refuse to open
// it. And it takes nothing more once a store has opened it to be served, because
// it has a history of its own from then on. docs/adr/0014 says why.
package copier

import (
	"context"
	"errors"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/readings"
)

var (
	// ErrUnfinished says that a ledger is a copy that is not complete.
	ErrUnfinished = errors.New("the copy into this ledger is not finished")
	// ErrNotCopy says that a ledger stands where a copy should go.
	ErrNotCopy = errors.New("there is a ledger already that is no copy, or was served since it was copied")
	// ErrOtherSource says that a copy was made of another ledger.
	ErrOtherSource = errors.New("there is a copy of another ledger")
	// ErrDiffers says that a copy has what the source does not have.
	ErrDiffers = errors.New("the histories of the copy and of the ledger differ")
	// ErrTakenOver says that a second process writes the same copy.
	ErrTakenOver = errors.New("another process has taken this copy over")
	// ErrNeverUsed says that the source has no key, so that nobody can have used it.
	ErrNeverUsed = errors.New("there is nothing to copy: the ledger has no key")
)

// Source is a ledger that is copied.
type Source interface {
	engine.Reader
	// CopySnapshot runs fn over one consistent state of the ledger. Where several
	// processes may write it, what was decided less than settle ago may not be
	// all that was decided then, and the snapshot's History ends before it.
	CopySnapshot(ctx context.Context, settle time.Duration, fn func(Snapshot) error) error
}

// Snapshot reads a ledger as it was at one moment, a page at a time.
type Snapshot interface {
	// Counts counts the rows of everything.
	Counts(ctx context.Context) (Counts, error)
	// OldestKey is the digest of the key that was created first; NotFound where
	// there is no key.
	OldestKey(ctx context.Context) (ledger.Hash, error)
	// HasKey tells whether there is a key with this digest.
	HasKey(ctx context.Context, digest ledger.Hash) (bool, error)
	// CountUpTo counts the transactions up to one of them, in the order of History.
	CountUpTo(ctx context.Context, id ledger.TransactionID) (int64, error)
	// History gives the transactions after one of them, or from the first on for
	// the zero id, in an order in which those about one wallet were decided.
	History(ctx context.Context, after ledger.TransactionID, limit int) (*Page, error)
	// Holders gives accounts with an id above after, in order of their ids.
	Holders(ctx context.Context, after ledger.AccountID, limit int) ([]*ledger.Holder, error)
	// Keys gives keys of all owners with an id above after, in order of their ids.
	Keys(ctx context.Context, after string, limit int) ([]*ledger.Key, error)
	// System lists the balances of the system accounts, in order.
	System(ctx context.Context) ([]engine.SystemTotal, error)
	// Upstreams gives what is known of upstreams with a name above after, in order
	// of their names.
	Upstreams(ctx context.Context, after string, limit int) ([]*readings.State, error)
	// Readings gives readings of all upstreams after a place, in order of upstreams,
	// and of each in order of time and key.
	Readings(ctx context.Context, after ReadingPlace, limit int) ([]readings.Reading, error)
}

// Target is a ledger that is being made as a copy. What it was given, it gives
// as a Source.
type Target interface {
	Source
	// State tells how far the copy is; see Begun for one that was not begun. What a
	// target makes at an empty place is unfinished from its first moment.
	State(ctx context.Context) (*State, error)
	// Begin begins a copy, or goes on with one; it is unfinished from then on.
	// Where another process writes it, that one fails. Errors: ErrNotCopy.
	Begin(ctx context.Context, source ledger.Hash) error
	// AppendHistory adds a page, after which the copy has so many transactions.
	AppendHistory(ctx context.Context, page *Page, transactions int64) error
	// PutHolders writes accounts with their wallets, whether they are there or
	// not. The entries of the wallets are there.
	PutHolders(ctx context.Context, holders []*ledger.Holder) error
	// PutKeys writes keys, whether they are there or not. Their accounts are there.
	PutKeys(ctx context.Context, keys []*ledger.Key) error
	// PutSystem writes the balances of the system accounts.
	PutSystem(ctx context.Context, totals []engine.SystemTotal) error
	// ClearUpstreams removes all that the copy has of upstreams.
	ClearUpstreams(ctx context.Context) error
	// PutUpstreams writes what is known of upstreams that are not there. Nobody has
	// claimed them in the copy.
	PutUpstreams(ctx context.Context, states []*readings.State) error
	// PutReadings writes readings that are not there.
	PutReadings(ctx context.Context, added []readings.Reading) error
	// Loaded is called when all is written, before all of it is read.
	Loaded(ctx context.Context) error
	// Finish makes the copy a ledger.
	Finish(ctx context.Context) error
}

// State is how far a copy is.
type State struct {
	// Source is the digest of a key of the source, of which no other ledger has
	// one: keys are random, and never deleted.
	// Zero stands for none yet, in what a target has made and no copy was begun in.
	Source       ledger.Hash
	Transactions int64                // so many are copied
	Last         ledger.TransactionID // of them; zero for none
	Finished     bool
}

// Begun tells whether a copy was begun; of nil it says no.
func (s *State) Begun() bool { return s != nil && s.Source != ledger.Hash{} }

// Page is a part of a ledger's history.
type Page struct {
	Transactions []ledger.Transaction // in order
	Entries      []ledger.Entry       // at their versions
	// What the transactions are about, as it is in the snapshot. Each later change
	// of it is a transaction, and so brings it along again.
	Holds   []ledger.Hold
	Refunds []Refund
}

// Refund is how much of a charge was given back.
type Refund struct {
	Charge   ledger.TransactionID
	Refunded ledger.Amount
}

// ReadingPlace is the place of a reading among those of all upstreams.
type ReadingPlace struct {
	Upstream string
	readings.Place
}

// Counts are how many rows a ledger has.
type Counts struct {
	Accounts     int64 `json:"accounts"`
	Wallets      int64 `json:"wallets"`
	Keys         int64 `json:"keys"`
	Transactions int64 `json:"transactions"`
	Entries      int64 `json:"entries"`
	Holds        int64 `json:"holds"`
	Refunds      int64 `json:"refunded_charges"`
	Upstreams    int64 `json:"upstreams"`
	Readings     int64 `json:"upstream_readings"`
}

// Settle is how long after its time the last transaction of that time can still
// be committed: a write takes half a minute, and clocks differ by seconds. One that
// waits longer for a second server to have it is noticed by the next run.
const Settle = 90 * time.Second

// defaultPage is how many transactions, or accounts, are written at once. Larger
// pages are hardly faster.
const defaultPage = 2000

// Options are what Run can be given beside the ledgers.
type Options struct {
	// Settle is how old a transaction of a source must be that several processes
	// may write; 0 where nobody writes it any more.
	Settle time.Duration
	// Page is how many rows are written at once, 0 for a good number.
	Page int
	// Progress, if not nil, is called after each page.
	Progress func(Progress)
}

// Stage is a part of the work.
type Stage string

// The stages, in their order.
const (
	Counting  Stage = "counting"
	Copying   Stage = "copying"
	Waiting   Stage = "waiting"
	Comparing Stage = "comparing"
	Verifying Stage = "verifying"
)

// Progress is how far Run is.
type Progress struct {
	Stage Stage
	// Done of Total transactions are copied, Before of them by an earlier run;
	// while it compares, these are rows, and while it waits, seconds.
	Done, Before, Total int64
	Verified            engine.Report // so far
}

// maxProblems bounds the problems that a report spells out; it counts them all.
const maxProblems = 100

// Report is what Run did and found.
type Report struct {
	// Finished tells whether the copy is a ledger now: complete, and sound.
	Finished bool `json:"finished"`
	// Copied are the transactions that this run has copied.
	Copied int64 `json:"copied_transactions"`
	// Left are transactions that are too new to be copied: the source is being written.
	Left int64 `json:"left_transactions"`
	// Ledger is what the source has.
	Ledger Counts `json:"ledger"`
	// ProblemCount is how many problems the comparison and the verification found.
	ProblemCount int64 `json:"problem_count"`
	// Problems are the first of them, in plain words.
	Problems []string `json:"problems"`
	// Verified is what the verification of the copy found, nil where it was not made.
	Verified *engine.Report `json:"verified,omitempty"`
}
