package upstream

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// ConfigError says what is wrong in a configuration file, and where. It repeats
// names of members and paths of files, and no other value: any of these might be
// a credential in the wrong place.
type ConfigError struct {
	Line     int    // 0 for the file as a whole
	Upstream string // "" where it concerns none
	Message  string
	Advice   string
}

// Error gives the place and what is wrong there.
func (e *ConfigError) Error() string {
	text := e.Message
	if e.Upstream != "" {
		text = "upstream " + e.Upstream + ": " + text
	}
	if e.Line > 0 {
		text = "line " + strconv.Itoa(e.Line) + ": " + text
	}
	return text
}

// Hint is what to do about it, where nothing better is known to read about the file.
func (e *ConfigError) Hint() string {
	return cmp.Or(e.Advice, "docs/query.md#configuration says what stands in this file")
}

// refuse makes a ConfigError for a node.
func refuse(node ast.Node, advice, format string, args ...any) *ConfigError {
	return &ConfigError{Line: node.GetToken().Position.Line, Message: fmt.Sprintf(format, args...), Advice: advice}
}

// parseYAML gives the one value of a YAML file, nil for an empty one. The values
// are read from the syntax tree, and not by reflection: amounts keep every digit
// that way, and no error quotes a line in which a credential may stand.
func parseYAML(content []byte) (ast.Node, error) {
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, nil
	}
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return nil, notYAML(err)
	}
	var root ast.Node
	for _, document := range file.Docs {
		switch {
		case document.Body == nil || document.Body.Type() == ast.NullType || document.Body.Type() == ast.CommentType:
		case root != nil:
			return nil, refuse(document.Body, "", "the file has more than one document")
		default:
			root = document.Body
		}
	}
	return root, nil
}

// twice is how the parser says that a name stands in a mapping again.
var twice = regexp.MustCompile(`already defined at \[(\d+):\d+\]$`)

// notYAML says where the parser failed, without its words: they repeat the text.
func notYAML(err error) error {
	failure := &ConfigError{Message: "this is not YAML", Advice: "look at the indentation, at quotes that are not closed, and at ${NAME} between braces, which needs quotes there"}
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		failure.Line = syntax.GetToken().Position.Line
		if match := twice.FindStringSubmatch(syntax.GetMessage()); match != nil {
			failure.Message, failure.Advice = "this member is there twice, for the first time on line "+match[1], "leave one of them out"
		}
	}
	return failure
}

// nameLike is what a misspelt member looks like. In anything else, such as a line
// without its colon, there may be a credential.
var nameLike = regexp.MustCompile(`^[A-Za-z_]{1,40}$`)

// fields takes a mapping apart. secret keeps the names out of errors too, where
// a credential might stand in the place of one.
func fields(node ast.Node, secret bool, known ...string) (map[string]ast.Node, error) {
	advice := "the members here are " + strings.Join(known, ", ")
	pairs, err := entries(node, advice)
	if err != nil {
		return nil, err
	}
	found := make(map[string]ast.Node, len(pairs))
	for _, pair := range pairs {
		name, ok := pair.Key.(*ast.StringNode)
		switch {
		case !ok || (secret || !nameLike.MatchString(name.Value)) && !slices.Contains(known, name.Value):
			return nil, refuse(pair.Key, advice, "there is no such member")
		case !slices.Contains(known, name.Value):
			return nil, refuse(pair.Key, advice, "there is no member %q", name.Value)
		}
		found[name.Value] = pair.Value
	}
	return found, nil
}

// entries are the pairs of a mapping.
func entries(node ast.Node, advice string) ([]*ast.MappingValueNode, error) {
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		return nil, refuse(node, advice, "there must be members and values here, NAME: VALUE")
	}
	return mapping.Values, nil
}

// maxEntries bounds a mapping whose names are the operator's.
const maxEntries = 32

// named takes a mapping apart whose names are free, within a form.
func named(node ast.Node, form *regexp.Regexp, advice string) (map[string]ast.Node, error) {
	pairs, err := entries(node, advice)
	if err != nil {
		return nil, err
	}
	if len(pairs) > maxEntries {
		return nil, refuse(node, "", "there are more than %d", maxEntries)
	}
	found := make(map[string]ast.Node, len(pairs))
	for _, pair := range pairs {
		name, ok := pair.Key.(*ast.StringNode)
		if !ok || !form.MatchString(name.Value) {
			return nil, refuse(pair.Key, advice, "this cannot be a name here")
		}
		found[name.Value] = pair.Value
	}
	return found, nil
}

// scalar is the text of a value as it was written: a number keeps its digits.
func scalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", refuse(node, "", "there is no value")
	default:
		return "", refuse(node, `put a text in quotes: "…"`, "there must be one text or number here")
	}
}

// boolean is true or false.
func boolean(node ast.Node) (bool, error) {
	n, ok := node.(*ast.BoolNode)
	if !ok {
		return false, refuse(node, "", "this must be true or false")
	}
	return n.Value, nil
}

// duration is a time between two bounds.
func duration(node ast.Node, least, most time.Duration) (time.Duration, error) {
	text, err := scalar(node)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, refuse(node, "write a number with its unit, such as 500ms, 30s, 5m or 1h", "this must be a time from %s to %s", least, most)
	}
	return d, nil
}

// dayCount is keep_days, a whole number of days.
func dayCount(node ast.Node) (time.Duration, error) {
	text, err := scalar(node)
	if err != nil {
		return 0, err
	}
	days, err := strconv.Atoi(text)
	if err != nil || days < minKeepDays || days > maxKeepDays {
		advice := fmt.Sprintf("leave keep_days out for %d", DefaultKeep/(24*time.Hour))
		return 0, refuse(node, advice, "this must be a number of days from %d to %d", minKeepDays, maxKeepDays)
	}
	return time.Duration(days) * 24 * time.Hour, nil
}
