package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// measurement is one row of the table.
type measurement struct {
	name   string
	take   func(context.Context) (result, error)
	base   string  // the row that it is compared with
	budget float64 // the least ratio to it, 0 for none
	taken  []result
}

// heads are those of the columns; those of numbers are aligned to the right.
var heads = []string{"store", "what", "a second", "p50", "p99", "server cpu", "compared with", "ratio", "budget", ""}

var numeric = []bool{2: true, 3: true, 4: true, 5: true, 7: true, 8: true, 9: false}

// show prints the medians, and how they stand to what they are compared with.
func show(store, about string, rows []*measurement, markdown bool) {
	medians := map[string]float64{}
	table := [][]string{heads}
	for _, m := range rows {
		slices.SortFunc(m.taken, func(a, b result) int { return cmp.Compare(a.rate, b.rate) })
		median := m.taken[len(m.taken)/2]
		medians[m.name] = median.rate
		line := []string{store, m.name, thousands(median.rate), "", "", "", m.base, "", "", ""}
		if median.p50 > 0 {
			line[3], line[4] = milliseconds(median.p50), milliseconds(median.p99)
		}
		if median.cpu > 0 {
			line[5] = median.cpu.Round(100 * time.Nanosecond).String()
		}
		if base := medians[m.base]; base > 0 {
			line[7] = fmt.Sprintf("%.2f", median.rate/base)
		}
		if m.budget > 0 {
			line[8], line[9] = fmt.Sprintf("%.2f", m.budget), verdict(median.rate/medians[m.base] >= m.budget)
		}
		table = append(table, line)
	}
	fmt.Printf("%s: %s\n\n", store, about)
	if markdown {
		showMarkdown(table)
	} else {
		showText(table)
	}
	fmt.Println()
}

func showText(table [][]string) {
	widths := make([]int, len(heads))
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, line := range table {
		var text strings.Builder
		for i, cell := range line {
			if numeric[i] {
				fmt.Fprintf(&text, "%*s  ", widths[i], cell)
			} else {
				fmt.Fprintf(&text, "%-*s  ", widths[i], cell)
			}
		}
		fmt.Println(strings.TrimRight(text.String(), " "))
	}
}

// showMarkdown leaves out what the processor time is: it is for who works on the code.
func showMarkdown(table [][]string) {
	rule := make([]string, len(heads))
	for i := range rule {
		rule[i] = "---"
		if numeric[i] {
			rule[i] = "---:"
		}
	}
	for _, line := range slices.Insert(table, 1, rule) {
		fmt.Println("| " + strings.Join(slices.Delete(slices.Clone(line), 5, 6), " | ") + " |")
	}
}

// thousands writes a rate with a comma in each thousand.
func thousands(rate float64) string {
	text := strconv.FormatInt(int64(rate+0.5), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds()*1000, 'f', 2, 64) + " ms"
}

// verdict says in a word whether a budget was met.
func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}
