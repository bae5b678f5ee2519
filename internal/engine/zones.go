package engine

import (
	"path"
	"sync"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// zones keeps the time zones of accounts, because to read one takes longer than
// a decision. There are a few hundred names, which bounds it.
type zones struct{ byName sync.Map }

// load finds a time zone by its IANA name; "" is UTC. InvalidRequest if there is none.
func (z *zones) load(name string) (*time.Location, error) {
	if zone, ok := z.byName.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name != "" && name != path.Clean(name) { // such as .//UTC
		return nil, ledger.Errorf(ledger.InvalidRequest, "there is no time zone %q", name).WithHint("write it like Asia/Ho_Chi_Minh or UTC")
	}
	z.byName.Store(name, zone)
	return zone, nil
}

// get is load for a name that was checked when it was stored. Should the zone's
// data be gone since, days begin in UTC.
func (z *zones) get(name string) *time.Location {
	zone, err := z.load(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

// Zone finds a time zone by its IANA name; "" is UTC. InvalidRequest if there is none.
func (e *Engine) Zone(name string) (*time.Location, error) { return e.zones.load(name) }

// StartOfDay is the first moment of a day in a zone. Where clocks go forward at
// midnight the day has none, and time.Date may give a moment of the day before.
func StartOfDay(year int, month time.Month, day int, zone *time.Location) time.Time {
	start := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if ledger.DayOf(start, zone) < ledger.DayOf(time.Date(year, month, day, 0, 0, 0, 0, time.UTC), time.UTC) {
		_, start = start.ZoneBounds()
	}
	return start
}

// Today is the day that it is in a time zone of an account.
func (e *Engine) Today(zone string) ledger.Day { return ledger.DayOf(e.now(), e.zones.get(zone)) }
