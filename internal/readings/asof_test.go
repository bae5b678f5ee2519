package readings_test

import (
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/readings"
)

var monday = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

func TestForecastIsToldAsOfNow(t *testing.T) {
	in := func(hours int) time.Time { return monday.Add(time.Duration(hours) * time.Hour) }
	stored := forecast.Forecast{Outlook: forecast.OutlookFalling, At: in(20), Earliest: in(10)}
	bucket := readings.Bucket{Empty: &stored}
	tests := []struct {
		name         string
		now          time.Time
		outlook      forecast.Outlook
		at, earliest time.Time
	}{
		{"at once", monday, forecast.OutlookFalling, in(20), in(10)},
		{"by a slow clock", in(-1), forecast.OutlookFalling, in(20), in(10)},
		{"past the earliest", in(11), forecast.OutlookFalling, in(20), in(11)},
		{"past all", in(24), forecast.OutlookFalling, in(24), in(24)},
		{"too old", in(24).Add(time.Microsecond), forecast.OutlookUnknown, time.Time{}, time.Time{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			empty, low := bucket.AsOf(monday, test.now)
			if low != nil {
				t.Errorf("a forecast of a minimum that there is not: %+v", low)
			}
			if empty.Outlook != test.outlook || !empty.At.Equal(test.at) || !empty.Earliest.Equal(test.earliest) || !empty.Latest.IsZero() {
				t.Errorf("got %+v", empty)
			}
			if (empty.Reason != "") != (test.outlook == forecast.OutlookUnknown) {
				t.Errorf("the reason is %q", empty.Reason)
			}
		})
	}
	if !stored.Earliest.Equal(in(10)) {
		t.Error("the stored forecast was changed")
	}
}

func TestAgeIsNeverNegative(t *testing.T) {
	balance := readings.Balance{At: monday}
	if age := balance.Age(monday.Add(-time.Second)); age != 0 {
		t.Errorf("by a slow clock the age is %s", age)
	}
	if age := balance.Age(monday.Add(time.Minute)); age != time.Minute {
		t.Errorf("after a minute the age is %s", age)
	}
}
