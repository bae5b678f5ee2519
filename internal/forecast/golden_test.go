package forecast

import (
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
)

var update = flag.Bool("update", false, "make the series in testdata and what is forecast from them anew")

// TestGolden forecasts from each series in testdata, again and again as time goes by.
func TestGolden(t *testing.T) {
	for _, s := range allSeries() {
		t.Run(s.name, func(t *testing.T) {
			path := filepath.Join("testdata", s.name)
			if *update {
				writeGolden(t, path+".csv", formatReadings(s.readings))
			}
			s.readings = parseReadings(t, path+".csv")
			got := s.forecasts()
			if *update {
				writeGolden(t, path+".golden", got)
			}
			want, err := os.ReadFile(path + ".golden")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
				t.Errorf("the forecasts have changed (look at them, and run with -update):\n%s", diff)
			}
		})
	}
}

// forecasts are a line for each half of a day, beside what came. A burst is looked at closely.
func (s *series) forecasts() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# now, balance, outlook, spend per hour (recent), hours until %s (earliest..latest), hours that it took without further top-ups\n", s.threshold)
	step := 12 * 60
	if s.name == "burst" {
		step = 60
	}
	for minute := 45; minute <= s.days*minutesOfDay; minute += step {
		if s.name == "burst" && (minute < 3*minutesOfDay || minute > 3*minutesOfDay+12*60) && minute%(12*60) != 45 {
			continue
		}
		now := monday.Add(time.Duration(minute) * time.Minute)
		f := Predict(s.readings, now, s.threshold)
		fmt.Fprintf(&b, "%s %s %s", now.Format("Mon 2006-01-02T15:04"), newestOf(s.until(minute)).Amount, f.Outlook)
		if f.Outlook == OutlookUnknown {
			fmt.Fprintf(&b, " (%s)\n", f.Reason)
			continue
		}
		burst := ""
		if f.Burst {
			burst = " burst"
		}
		fmt.Fprintf(&b, " %s (%s)%s, in %s (%s..%s), came %s\n", f.SpendPerHour, f.RecentPerHour, burst,
			inHours(f.At, now), inHours(f.Earliest, now), inHours(f.Latest, now), s.came(minute))
	}
	return b.Bytes()
}

func newestOf(readings []Reading) Reading {
	return slices.MaxFunc(readings, func(a, b Reading) int { return a.Time.Compare(b.Time) })
}

// inHours are those until a moment, with one digit.
func inHours(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return decimal.New(int64(at.Sub(now)/(6*time.Minute)), -1).String()
}

// came is how long it really took until the threshold was reached.
func (s *series) came(minute int) string {
	goal := s.spent[minute] + s.balance[minute] - s.threshold.Shift(4).IntPart()
	later, found := slices.BinarySearch(s.spent, goal)
	if !found && later == len(s.spent) {
		return "later"
	}
	return decimal.New(int64(later-minute)*10/60, -1).String()
}

func formatReadings(readings []Reading) []byte {
	var b bytes.Buffer
	for _, r := range readings {
		fmt.Fprintf(&b, "%s,%s\n", r.Time.Format(time.RFC3339), r.Amount)
	}
	return b.Bytes()
}

func parseReadings(t *testing.T, path string) []Reading {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	readings := make([]Reading, len(rows))
	for i, row := range rows {
		at, err := time.Parse(time.RFC3339, row[0])
		if err != nil {
			t.Fatal(err)
		}
		readings[i] = Reading{at, decimal.RequireFromString(row[1])}
	}
	return readings
}

func writeGolden(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestForecastAgainstWhatCame asks at many moments of each series when what is
// spent in the next hours will be spent, and compares with how many these are.
func TestForecastAgainstWhatCame(t *testing.T) {
	// How far off the forecast is, in per mille of the time that it took, at the median and for
	// nine of ten; and how many of a thousand warnings come late
	// by more than a tenth. Nobody can foresee a
	// burst, where tomorrow's campaign begins, and that there is more with each day.
	limits := map[string]quality{
		"steady": {1, 3, 0}, "rhythm": {80, 300, 50}, "weekend": {260, 750, 50}, "top-ups": {100, 320, 50}, "campaigns": {300, 950, 100},
		"few-dong": {120, 320, 80}, "credit": {90, 350, 50}, "growth": {450, 750, 450}, "messy": {320, 720, 50},
	}
	for _, s := range allSeries() {
		limit, ok := limits[s.name]
		if !ok {
			continue
		}
		got := s.backtest(Predict)
		t.Logf("%-10s %+v", s.name, got)
		if got.median > limit.median || got.ninth > limit.ninth || got.late > limit.late {
			t.Errorf("%s: %+v, and the limit is %+v", s.name, got, limit)
		}
	}
}

// quality is how good forecasts were, in per mille.
type quality struct{ median, ninth, late int }

// backtest compares forecasts with what came. Never counts as twice the time.
func (s *series) backtest(predict func([]Reading, time.Time, decimal.Decimal) Forecast) quality {
	var off []int
	late := 0
	for minute := 2*minutesOfDay + 7; minute < s.days*minutesOfDay; minute += 7*60 + 11 {
		now := monday.Add(time.Duration(minute) * time.Minute)
		readings := s.until(minute)
		newest := newestOf(readings)
		seen := int(newest.Time.Sub(monday) / time.Minute)
		for _, ahead := range []int{6 * 60, 24 * 60, 72 * 60} {
			spent := s.spent[minute+ahead] - s.spent[seen]
			if spent == 0 || newest.Amount.IsZero() {
				continue // there is nothing to ask, or the provider has just been wrong
			}
			f := predict(readings, now, newest.Amount.Sub(tenThousandths(spent)))
			// In a night without spending the threshold is reached all the time.
			last := now.Add(time.Duration(ahead) * time.Minute)
			first := slices.Index(s.spent, s.spent[minute+ahead])
			miss := last.Sub(now)
			if !f.At.IsZero() {
				miss = max(0, f.At.Sub(last), monday.Add(time.Duration(first)*time.Minute).Sub(f.At))
			}
			off = append(off, int(miss*1000/last.Sub(now)))
			if f.Earliest.IsZero() || f.Earliest.Sub(last) > last.Sub(now)/10 {
				late++
			}
		}
	}
	slices.Sort(off)
	return quality{off[len(off)/2], off[len(off)*9/10], late * 1000 / len(off)}
}
