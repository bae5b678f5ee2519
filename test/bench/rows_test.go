package main

import (
	"slices"
	"testing"
)

// Whatever is asked for comes with all that it is compared with, and after it:
// otherwise there would be a verdict without a measurement.
func TestRowsHaveTheirBases(t *testing.T) {
	t.Parallel()
	for _, store := range []string{embedded, database} {
		for _, row := range (&suite{store: store}).all() {
			var measured []string
			for _, m := range (&suite{store: store, options: options{only: row.name}}).rows() {
				if m.base != "" && !slices.Contains(measured, m.base) {
					t.Errorf("%s: for %q, %q is measured before or without %q", store, row.name, m.name, m.base)
				}
				measured = append(measured, m.name)
			}
			if !slices.Contains(measured, row.name) {
				t.Errorf("%s: %q is not measured but %q", store, row.name, measured)
			}
		}
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]string{0: "0", 999.4: "999", 999.5: "1,000", 44_496: "44,496", 1_234_567: "1,234,567"} {
		if got := thousands(rate); got != want {
			t.Errorf("%v is written %s, want %s", rate, got, want)
		}
	}
}
