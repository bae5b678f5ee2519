package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// The ways in which a body fails to carry a text.
var (
	ErrNotObject = errors.New("the body is not one JSON object")
	ErrNotText   = errors.New("the member is neither a string nor null")
)

// Object is the text of one valid JSON object. Unlike a struct of
// encoding/json it tells member names apart by case, and it spends nothing on
// members that nobody asks for.
type Object struct{ text []byte }

// ParseObject takes a body that is exactly one JSON object. It keeps the body,
// which must not change while the Object is in use.
func ParseObject(body []byte) (Object, error) {
	text := trim(body)
	if !json.Valid(text) || text[0] != '{' {
		return Object{}, ErrNotObject
	}
	return Object{text}, nil
}

// Text is the string under a name, "" where it is missing or null, ErrNotText
// where it is anything else. Of members with the same name the last one counts.
func (o Object) Text(name string) (string, error) {
	value := o.member(name)
	switch {
	case value == nil || value[0] == 'n':
		return "", nil
	case value[0] != '"':
		return "", ErrNotText
	}
	return unquote(value), nil
}

// Decode decodes the value under a name as encoding/json does. Where there is
// none, it leaves what is there alone.
func (o Object) Decode(name string, into any) error {
	value := o.member(name)
	if value == nil {
		return nil
	}
	return json.Unmarshal(value, into)
}

// member finds the raw value under a name, nil if there is none. The text is
// known to be valid, so inside the outermost braces every colon ends a name and
// every comma, like the last brace, ends a value.
func (o Object) member(name string) (value []byte) {
	depth, mark, named := 0, 0, false
	for i := 0; i < len(o.text); i++ {
		c := o.text[i]
		switch c {
		case '"':
			i = closingQuote(o.text, i)
		case '{', '[':
			if depth++; depth == 1 {
				mark = i + 1
			}
		case ':':
			if depth == 1 {
				named = isName(trim(o.text[mark:i]), name)
				mark = i + 1
			}
		case ',', '}', ']':
			if depth == 1 {
				if named {
					value = trim(o.text[mark:i])
				}
				named, mark = false, i+1
			}
			if c != ',' {
				depth--
			}
		}
	}
	return value
}

// closingQuote is where the string that opens at i ends.
func closingQuote(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

// isName tells whether a quoted member name is the given one, which is plain
// ASCII; it may still be spelled with escapes.
func isName(quoted []byte, name string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1:len(quoted)-1]) == name
	}
	return unquote(quoted) == name
}

// unquote is the string that a valid JSON string stands for, as encoding/json
// reads it: what is not Unicode becomes U+FFFD. Nearly every secret is plain
// text and needs no second look.
func unquote(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	// The text was checked as a whole, so this part of it cannot fail.
	_ = json.Unmarshal(quoted, &s)
	return s
}

// trim removes the white space of JSON, which is less than that of Unicode.
func trim(text []byte) []byte { return bytes.Trim(text, " \t\r\n") }
