package message

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, want string
		err              error
	}{
		{"plain", `{"key":"value"}`, "value", nil},
		{"spaced", " \t\r\n{ \"key\" :\n\"value\" } ", "value", nil},
		{"empty object", `{}`, "", nil},
		{"missing", `{"other":"value"}`, "", nil},
		{"null", `{"key":null}`, "", nil},
		{"empty", `{"key":""}`, "", nil},
		{"other case", `{"Key":"value","KEY":"value"}`, "", nil},
		{"last of two", `{"key":"first","key":"second"}`, "second", nil},
		{"null after text", `{"key":"first","key":null}`, "", nil},
		{"text after number", `{"key":1,"key":"second"}`, "second", nil},
		{"among others", `{"a":[1,{"key":"no"}],"key":"value","b":{"key":["no"]},"c":-1.5e3}`, "value", nil},
		{"name as value", `{"a":"key","b":"\"key\":"}`, "", nil},
		{"escaped name", `{"\u006bey":"value"}`, "value", nil},
		{"escapes", `{"key":"\"\\\/\u00e9\ud83d\ude00,}"}`, "\"\\/é😀,}", nil},
		{"half a surrogate", `{"key":"\ud83d"}`, "\ufffd", nil},
		{"not UTF-8", "{\"key\":\"\xff\"}", "\ufffd", nil},
		{"number", `{"key":1}`, "", ErrNotText},
		{"boolean", `{"key":true}`, "", ErrNotText},
		{"array", `{"key":["value"]}`, "", ErrNotText},
		{"object", `{"key":{"key":"value"}}`, "", ErrNotText},
		{"no bytes", "", "", ErrNotObject},
		{"white space", " \n", "", ErrNotObject},
		{"literal", `null`, "", ErrNotObject},
		{"list", `[{"key":"value"}]`, "", ErrNotObject},
		{"string", `"key"`, "", ErrNotObject},
		{"two objects", `{"key":"value"}{}`, "", ErrNotObject},
		{"cut off", `{"key":"value"`, "", ErrNotObject},
		{"comma at the end", `{"key":"value",}`, "", ErrNotObject},
		{"no-break space", "\u00a0{}", "", ErrNotObject},
		{"byte order mark", "\ufeff{}", "", ErrNotObject},
		{"too deep", `{"key":` + strings.Repeat("[", 20_000), "", ErrNotObject},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := text([]byte(tt.body), "key")
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func text(body []byte, name string) (string, error) {
	object, err := ParseObject(body)
	if err != nil {
		return "", err
	}
	return object.Text(name)
}

func TestDecode(t *testing.T) {
	t.Parallel()
	object, err := ParseObject([]byte(`{"number":-1.50,"list":[1, 2],"null":null,"Text":"other case","text":"a","text":"b"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"number": "-1.50", "list": "[1, 2]", "null": "null", "text": `"b"`, "TEXT": "before", "none": "before"} {
		value := json.RawMessage("before")
		if err := object.Decode(name, &value); err != nil || string(value) != want {
			t.Errorf("%s: %s, %v, want %s", name, value, err, want)
		}
	}
	text := ""
	if err := object.Decode("list", &text); err == nil {
		t.Errorf("a list is decoded into the text %q", text)
	}
}

// FuzzText holds the scanner against a map of encoding/json, which tells names
// apart by case and lets the last of two members count, too.
func FuzzText(f *testing.F) {
	for _, body := range []string{
		`{"key":"value"}`, `{"a":{"key":1},"key":null}`, `{"\u006bey":"\ud83d\ude00"}`, "{\"key\":\"\xff\"}",
		`{"key":[1,"a",{}],"key":"b"}`, `{"key":-1.5E+3 , "a":true}`, `null`, `[]`, `{}x`, ``, ` {} `,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, wantErr := reference(body, "key")
		got, err := text(body, "key")
		if got != want || !errors.Is(err, wantErr) {
			t.Errorf("%q: got %q, %v; encoding/json says %q, %v", body, got, err, want, wantErr)
		}
	})
}

func reference(body []byte, name string) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return "", ErrNotObject
	}
	raw, ok := members[name]
	if !ok {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", ErrNotText
	}
	return s, nil
}
