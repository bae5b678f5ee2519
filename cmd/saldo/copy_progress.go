package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
)

// copyProgress overwrites one line while a terminal watches a copy.
type copyProgress struct {
	streams        cli.Streams
	started, shown time.Time
	stage          string
	since          time.Time // when the stage began
}

// update is called with how far the copy is; it is nil where nobody watches.
func (p *copyProgress) update() func(app.CopyProgress) {
	if !p.streams.ErrIsTerminal() {
		return nil
	}
	return p.show
}

func (p *copyProgress) show(so app.CopyProgress) {
	now := time.Now()
	if stage := string(so.Stage); stage != p.stage {
		p.stage, p.since, p.shown = stage, now, time.Time{}
	}
	if now.Sub(p.shown) >= progressInterval {
		p.shown = now
		fmt.Fprint(p.streams.Err, eraseLine+copyText(&so, now.Sub(p.since)))
	}
}

// end takes the line away.
func (p *copyProgress) end() {
	if p.stage != "" {
		fmt.Fprint(p.streams.Err, eraseLine)
	}
}

// copyText is the line: what is done, how much of it, how fast, and how long it
// will still take.
func copyText(so *app.CopyProgress, took time.Duration) string {
	if so.Verified.Wallets > 0 {
		return string(so.Stage) + "  " + progressText(&so.Verified, took)
	}
	if so.Total == 0 {
		return string(so.Stage) + "…"
	}
	const width = 20
	share := min(float64(so.Done)/float64(so.Total), 1)
	full := int(share * width)
	text := fmt.Sprintf("%-9s  %3d%% %s%s  %d of %d", so.Stage, int(share*100), strings.Repeat("━", full), strings.Repeat("─", width-full), so.Done, so.Total)
	// What an earlier run has done says nothing of how fast this one is.
	if rate := float64(so.Done-so.Before) / took.Seconds(); took > time.Second && rate > 0 {
		left := time.Duration(float64(so.Total-so.Done) / rate * float64(time.Second))
		text += fmt.Sprintf("; %.0f/s, %s left", rate, left.Round(time.Second))
	}
	return text
}
