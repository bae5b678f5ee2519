package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const dashboardFile = "../../deploy/grafana/saldo.json"

// place is where a panel stands, in a grid that is 24 wide.
type place struct{ X, Y, W, H int }

// dashboard is as much of Grafana's model as Saldo's dashboard uses.
type dashboard struct {
	UID           string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type, Definition string
			Query                  any
		}
	}
	Panels []struct {
		ID         int
		Type       string
		Title      string
		Datasource source
		GridPos    place
		Targets    []struct {
			Expr, LegendFormat string
			Datasource         source
		}
	}
}

type source struct{ Type, UID string }

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	board := new(dashboard)
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), board); err != nil {
		t.Fatal(err)
	}
	if len(board.Panels) == 0 {
		t.Fatal("there is no panel")
	}
	return board
}

// variables gives a place to what Grafana puts in before it asks.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$upstream", ".*", "$instance", ".*")

var (
	legend      = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
)

func TestDashboardNamesWhatIsThere(t *testing.T) {
	metrics, board := exposed(t), readDashboard(t)
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			labels, problems := metrics.check(variables.Replace(target.Expr))
			for _, problem := range problems {
				t.Errorf("%s: %s", panel.Title, problem)
			}
			for _, used := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(labels, used[1]) {
					t.Errorf("%s: its result has no label %s", panel.Title, used[1])
				}
			}
		}
	}
	for _, variable := range board.Templating.List {
		if variable.Type != "query" {
			continue
		}
		match := labelValues.FindStringSubmatch(variable.Definition)
		if match == nil {
			t.Errorf("the variable %s is %q", variable.Name, variable.Definition)
			continue
		}
		labels, problems := metrics.check(match[1])
		if len(problems) > 0 || !slices.Contains(labels, match[2]) {
			t.Errorf("the variable %s: %q, %q", variable.Name, problems, labels)
		}
	}
}

// TestDashboardExpressions has Prometheus parse each.
func TestDashboardExpressions(t *testing.T) {
	type record struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var records []record
	for _, panel := range readDashboard(t).Panels {
		for i, target := range panel.Targets {
			expression := variables.Replace(target.Expr)
			if strings.Contains(expression, "$") {
				t.Errorf("%s has a variable that is not known: %s", panel.Title, expression)
			}
			records = append(records, record{fmt.Sprintf("panel:%d:%d", panel.ID, i), expression})
		}
	}
	content, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": records}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

// TestDashboardIsTidy: it loads into any Grafana from 10 on, beside others.
func TestDashboardIsTidy(t *testing.T) {
	board := readDashboard(t)
	if board.UID != "saldo" || board.SchemaVersion < 38 {
		t.Errorf("uid %q, schema %d", board.UID, board.SchemaVersion)
	}
	anyPrometheus := source{Type: "prometheus", UID: "${datasource}"}
	seen, titles := map[int]bool{}, map[string]bool{}
	for i, panel := range board.Panels {
		if panel.ID == 0 || seen[panel.ID] || titles[panel.Title] {
			t.Errorf("the panel %d %q is there twice, or has no id", panel.ID, panel.Title)
		}
		seen[panel.ID], titles[panel.Title] = true, true
		at := panel.GridPos
		if at.X < 0 || at.W <= 0 || at.H <= 0 || at.X+at.W > 24 {
			t.Errorf("%s stands at %+v", panel.Title, at)
		}
		for _, other := range board.Panels[:i] {
			o := other.GridPos
			if at.X < o.X+o.W && o.X < at.X+at.W && at.Y < o.Y+o.H && o.Y < at.Y+at.H {
				t.Errorf("%s and %s overlap", panel.Title, other.Title)
			}
		}
		if panel.Type == "row" {
			continue
		}
		if !slices.Contains([]string{"timeseries", "stat", "state-timeline"}, panel.Type) {
			t.Errorf("%s is a %s, which may be no core panel", panel.Title, panel.Type)
		}
		if panel.Datasource != anyPrometheus || len(panel.Targets) == 0 {
			t.Errorf("%s asks %+v %d times", panel.Title, panel.Datasource, len(panel.Targets))
		}
		for _, target := range panel.Targets {
			if target.Datasource != anyPrometheus {
				t.Errorf("%s asks %+v", panel.Title, target.Datasource)
			}
		}
	}
}
