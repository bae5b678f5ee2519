package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// families are metrics by their names, each with the names of its labels.
type families map[string][]string

// Labels that Prometheus adds to what it scrapes.
var ofTarget = []string{"job", "instance"}

var (
	selector = regexp.MustCompile(`\b(saldo_\w+|up)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\bby\s*\(([^)]*)\)\s*\(`)
)

// check finds what an expression names and the families do not have, and gives the
// labels that its results have.
func (f families) check(expression string) (labels, problems []string) {
	selectors := selector.FindAllStringSubmatch(expression, -1)
	if len(selectors) == 0 {
		problems = append(problems, "no metric is named")
	}
	for _, found := range selectors {
		known, ok := f[found[1]]
		if !ok {
			problems = append(problems, fmt.Sprintf("there is no metric %s", found[1]))
			continue
		}
		labels = append(labels, known...)
		for _, m := range matcher.FindAllStringSubmatch(found[2], -1) {
			if !slices.Contains(known, m[1]) {
				problems = append(problems, fmt.Sprintf("%s has no label %s", found[1], m[1]))
			}
		}
	}
	groups := grouping.FindAllStringSubmatchIndex(expression, -1)
	if len(groups) > 0 {
		labels = nil
	}
	for _, at := range groups {
		by := names(expression[at[2]:at[3]])
		labels = append(labels, by...)
		for _, found := range selector.FindAllStringSubmatch(argument(expression[at[1]:]), -1) {
			for _, label := range by {
				if known, ok := f[found[1]]; ok && !slices.Contains(known, label) {
					problems = append(problems, fmt.Sprintf("%s has no label %s to group by", found[1], label))
				}
			}
		}
	}
	return labels, problems
}

// names splits a list of names.
func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// argument is what stands before the parenthesis that is not opened in it.
func argument(text string) string {
	open := 1
	for i, r := range text {
		switch r {
		case '(':
			open++
		case ')':
			open--
		}
		if open == 0 {
			return text[:i]
		}
	}
	return text
}

// TestCheck: what the other tests rely on finds what is wrong.
func TestCheck(t *testing.T) {
	f := families{"saldo_a": {"x", "y", "instance"}, "saldo_b_bucket": {"x", "le"}, "up": {"job", "instance"}}
	for expression, want := range map[string]string{
		`saldo_a`:                 "",
		`saldo_a{x="1",y=~"a|b"}`: "",
		`saldo_a > 3 * saldo_b`:   "there is no metric saldo_b",
		`rate(saldo_b_count[5m])`: "there is no metric saldo_b_count",
		`saldo_a{x="1", z!="2"}`:  "saldo_a has no label z",
		`histogram_quantile(0.9, sum by (x, le) (rate(saldo_b_bucket[5m])))`: "",
		`max by (y) (rate(saldo_b_bucket[5m])) + sum by (y) (saldo_a)`:       "saldo_b_bucket has no label y to group by",
		`max by(x)(saldo_a) and on () (max(up{job="saldo"}) == 1)`:           "",
		`vector(1)`: "no metric is named",
	} {
		_, problems := f.check(expression)
		if got := strings.Join(problems, "; "); got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
	for expression, want := range map[string]string{
		`saldo_a > 1`: "x y instance", `max by (x) (saldo_a)`: "x",
	} {
		if labels, _ := f.check(expression); strings.Join(labels, " ") != want {
			t.Errorf("%s has %q, want %s", expression, labels, want)
		}
	}
}
