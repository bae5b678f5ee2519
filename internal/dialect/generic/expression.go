package generic

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/itchyny/gojq"
)

// Bounds on an expression, which could be an endless loop.
const (
	runTime   = time.Second
	maxValues = 64
	maxName   = 64
)

// expression is an expression of jq. It has neither the environment nor files
// nor modules, and of the reply's HTTP status it knows by $http_status.
type expression struct {
	member string
	code   *gojq.Code
}

// compile reads an expression, nil for an empty one.
func compile(member, text string) (*expression, error) {
	if text == "" {
		return nil, nil
	}
	const hint = "it is an expression of jq, such as .data.balance"
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, wrong(member, err.Error(), hint)
	}
	code, err := gojq.Compile(query, gojq.WithVariables([]string{"$http_status"}))
	if err != nil {
		return nil, wrong(member, err.Error(), hint)
	}
	return &expression{member, code}, nil
}

// run gives the values that an expression yields.
func (e *expression) run(input any, status int) ([]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), runTime)
	defer cancel()
	var values []any
	for iterator := e.code.RunWithContext(ctx, input, status); ; {
		value, ok := iterator.Next()
		if !ok {
			return values, nil
		}
		if err, failed := value.(error); failed {
			return nil, fmt.Errorf("%s: %s", e.member, reason(err))
		}
		if values = append(values, value); len(values) > maxValues {
			return nil, fmt.Errorf("%s: the expression yields more than %d values", e.member, maxValues)
		}
	}
}

// kindMet is how gojq says what kind of value an expression met, before it quotes
// the beginning of that value.
var kindMet = regexp.MustCompile(`^[a-z ]+: (null|boolean|number|string|array|object)\b`)

// reason is why an expression failed. What gojq quotes of a value is left out: a
// secret that is cut off in there is not recognised any more, and so not hidden.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("the expression takes longer than %v", runTime)
	}
	// The text is the expression's own, and whole.
	if raised, ok := errors.AsType[gojq.ValueError](err); ok {
		if text, ok := raised.Value().(string); ok {
			return text
		}
	}
	if kind := kindMet.FindString(err.Error()); kind != "" {
		return kind
	}
	return "the expression fails on this reply"
}

// one gives the only value, nil where there is none.
func (e *expression) one(input any, status int) (any, error) {
	if e == nil {
		return nil, nil
	}
	values, err := e.run(input, status)
	switch {
	case err != nil:
		return nil, err
	case len(values) > 1:
		return nil, fmt.Errorf("%s: the expression yields %d values, and not one", e.member, len(values))
	case len(values) == 0:
		return nil, nil
	}
	return values[0], nil
}
