package generic

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
)

// errFloat keeps floating point away from amounts. Numbers of the reply are
// json.Number, which gojq hands on as they were written and calculates with
// exactly while they are whole; everything else that it calculates is a float64.
var errFloat = errors.New("it was calculated in floating point; pick the number as it is, and set scale to move its point")

// text is a value that an expression yields, as it is written: a string or a
// number, "" for null.
func text(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case int:
		return strconv.Itoa(v), nil
	case *big.Int:
		return v.String(), nil
	case float64:
		return "", errFloat
	case bool:
		return "", fmt.Errorf("it is %t, and neither a number nor a string", v)
	}
	return "", errors.New("it is neither a number nor a string")
}
