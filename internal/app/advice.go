package app

import "errors"

// advice is what to do about a failure.
type advice struct {
	about error
	hint  string
}

// hintOn is what is known to do about an error, the first that fits; "" where
// nothing is.
func hintOn(err error, known ...[]advice) string {
	for _, list := range known {
		for _, a := range list {
			if errors.Is(err, a.about) {
				return a.hint
			}
		}
	}
	return ""
}

// advise adds a hint to an error where there is one on it.
func advise(err error, known ...[]advice) error {
	if hint := hintOn(err, known...); hint != "" {
		return Hint(err, hint)
	}
	return err
}

// hintIn is the hint that an error carries, "" where it has none.
func hintIn(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}
