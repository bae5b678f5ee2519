package generic

import (
	"context"
	"fmt"
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
			return nil, fmt.Errorf("%s: %w", e.member, err)
		}
		if values = append(values, value); len(values) > maxValues {
			return nil, fmt.Errorf("%s: the expression yields more than %d values", e.member, maxValues)
		}
	}
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
