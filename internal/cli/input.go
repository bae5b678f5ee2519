package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxLine bounds one line of an input file, as the API does.
const maxLine = 64 << 10

// row is one object of an input file.
type row struct {
	line   int    // the number of its first line, counted from 1
	text   string // as it stands in the file
	end    int64  // how many bytes of the file there are up to its end
	object []byte // in JSON; a line of a CSV has become an object
	err    error  // what is wrong with its form; nil where nothing is
}

// columns are the columns that a CSV may have.
type columns struct {
	// known has a pattern for those whose cells are no texts in JSON.
	known map[string]*regexp.Regexp
	// implied are the first columns of a file that does not name them; a file
	// must name them where there are none.
	implied []string
}

// rows reads the objects in a file: JSON objects, one a line, or a CSV with a
// header that names the members. It ends after the first error, which is one of
// the whole file; what is wrong with one row is in the row.
func rows(file io.Reader, may columns) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		r := bufio.NewReaderSize(file, maxLine)
		switch first, err := firstByte(r); {
		case errors.Is(err, io.EOF):
		case err != nil:
			yield(row{}, err)
		case first == '{':
			jsonRows(r, yield)
		default:
			csvRows(r, may, yield)
		}
	}
}

// firstByte finds the first byte of a file that is no white space, and leaves
// the reader before it, or before the lines that it stands behind.
func firstByte(r *bufio.Reader) (byte, error) {
	if mark, err := r.Peek(3); err == nil && string(mark) == "\ufeff" { // spreadsheets begin their files so
		_, _ = r.Discard(len(mark))
	}
	for n := 1; n <= maxLine; n++ {
		start, err := r.Peek(n)
		if err != nil {
			return 0, err
		}
		if !strings.ContainsRune(" \t\r\n", rune(start[n-1])) {
			return start[n-1], nil
		}
	}
	return 0, errors.New("it begins with nothing but white space")
}

// jsonRows yields the lines of a file, but for empty ones.
func jsonRows(r *bufio.Reader, yield func(row, error) bool) {
	var end int64
	for number := 1; ; number++ {
		line, size, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			yield(row{}, err)
			return
		}
		end += size
		last := err != nil
		if text := string(bytes.TrimSpace(line)); text != "" {
			current := row{line: number, text: text, end: end, object: []byte(text)}
			switch {
			case size > maxLine:
				current.err = fmt.Errorf("the line is over %d bytes", maxLine)
			case !utf8.ValidString(text):
				current.err = errNotUTF8
			}
			if !yield(current, nil) {
				return
			}
		}
		if last {
			return
		}
	}
}

// readLine reads a line. Of one that is too long it gives the beginning, and
// passes over the rest.
func readLine(r *bufio.Reader) (line []byte, size int64, err error) {
	line, err = r.ReadSlice('\n')
	size = int64(len(line))
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, size, err
	}
	line = bytes.Clone(line[:80])
	for errors.Is(err, bufio.ErrBufferFull) {
		var more []byte
		more, err = r.ReadSlice('\n')
		size += int64(len(more))
	}
	return append(line, "…"...), size, err
}

// csvRows yields the lines of a CSV as objects.
func csvRows(file io.Reader, may columns, yield func(row, error) bool) {
	source := &recorder{source: file}
	r := csv.NewReader(source)
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if err != nil {
		yield(row{}, fmt.Errorf("its first line: %w", err))
		return
	}
	first := header
	if may.named(header) {
		source.take(r.InputOffset())
		first = nil
	} else {
		header = may.implied[:min(len(header), len(may.implied))]
	}
	if err := may.check(header); err != nil {
		yield(row{}, fmt.Errorf("its first line: %w", err))
		return
	}
	for {
		cells, err := first, error(nil)
		if first = nil; cells == nil {
			cells, err = r.Read()
		}
		if errors.Is(err, io.EOF) {
			return
		}
		current, err := may.row(r, header, cells, err)
		if err != nil {
			yield(row{}, err)
			return
		}
		current.text = strings.TrimSpace(string(source.take(current.end)))
		if current.err != nil && strings.Contains(current.text, "\n") {
			// Nobody knows how many lines stand behind a quote that is not closed.
			err = fmt.Errorf("line %d: %w; is a quote not closed?", current.line, current.err)
		}
		if current.err == nil && !utf8.ValidString(current.text) {
			current.err = errNotUTF8
		}
		if !yield(current, err) || err != nil {
			return
		}
	}
}

// errNotUTF8 is what is wrong with a text in another encoding: to read it would
// put other characters in the place of some.
var errNotUTF8 = errors.New("the line is not valid UTF-8")

// named tells whether the first line of a file names its columns.
func (c *columns) named(first []string) bool {
	return len(c.implied) == 0 || slices.Contains(first, c.implied[0])
}

// row makes a row of a line that was read, or of what is wrong with it. The
// error is one that there is no reading on after.
func (c *columns) row(r *csv.Reader, header, cells []string, err error) (row, error) {
	current := row{end: r.InputOffset()}
	wrong, malformed := errors.AsType[*csv.ParseError](err)
	switch {
	case err != nil && !malformed:
		return row{}, err
	case malformed && !errors.Is(err, csv.ErrFieldCount):
		current.line, current.err = wrong.StartLine, wrong.Err
		return current, nil
	}
	current.line, _ = r.FieldPos(0)
	if len(cells) != len(header) {
		current.err = fmt.Errorf("the line has %d cells where there are %d columns", len(cells), len(header))
		return current, nil
	}
	current.object, current.err = c.object(header, cells)
	return current, nil
}

// metadataColumn begins the name of a column of metadata.
const metadataColumn = "metadata."

// check says what is wrong with the names of columns.
func (c *columns) check(header []string) error {
	for i, name := range header {
		_, ok := c.known[name]
		if _, metadata := c.known[metadataColumn]; metadata && strings.HasPrefix(name, metadataColumn) {
			ok = name != metadataColumn
		}
		switch {
		case !ok:
			return fmt.Errorf("there is no column %q (the columns are %s)", name, c.names())
		case slices.Contains(header[:i], name):
			return fmt.Errorf("the column %q stands twice", name)
		}
	}
	return nil
}

// names are the columns that there are, for people to read.
func (c *columns) names() string {
	names := slices.Sorted(maps.Keys(c.known))
	if i := slices.Index(names, metadataColumn); i >= 0 {
		names[i] += "NAME"
	}
	return strings.Join(names, ", ")
}

// object makes an object of a line. An empty cell is a member that is left out.
func (c *columns) object(header, cells []string) ([]byte, error) {
	object := map[string]any{}
	metadata := map[string]string{}
	for i, name := range header {
		cell := cells[i]
		pattern := c.known[name]
		label, isMetadata := strings.CutPrefix(name, metadataColumn)
		switch {
		case cell == "":
		case isMetadata:
			metadata[label] = cell
		case pattern == nil:
			object[name] = cell
		case pattern.MatchString(cell):
			object[name] = json.RawMessage(cell)
		default:
			return nil, fmt.Errorf("%s cannot be %q", name, cell)
		}
	}
	if len(metadata) > 0 {
		object["metadata"] = metadata
	}
	return json.Marshal(object)
}

// recorder keeps what is read until it is taken, so that a line of a CSV can be
// shown as it was.
type recorder struct {
	source io.Reader
	kept   []byte
	taken  int64
}

func (r *recorder) Read(p []byte) (int, error) {
	// The CSV reader asks for some KiB ahead, and on and on after a quote that
	// nothing closes.
	if len(r.kept) > 2*maxLine {
		return 0, fmt.Errorf("a line is over %d bytes; is a quote not closed?", maxLine)
	}
	n, err := r.source.Read(p)
	r.kept = append(r.kept, p[:n]...)
	return n, err
}

// take gives what was read since the last take, up to an offset of the whole.
func (r *recorder) take(end int64) []byte {
	text := r.kept[:end-r.taken]
	r.kept, r.taken = r.kept[end-r.taken:], end
	return text
}

// decodeObject reads an object of a known form, as strictly as the API does: a
// member that is misspelt, or stands twice, would otherwise be lost in silence.
func decodeObject(object []byte, into any) error {
	if err := checkMembers(object); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s must be %s, not a JSON %s", wrong.Field, formOf(wrong.Type), wrong.Value)
	}
	if err != nil {
		return errors.New(strings.Replace(strings.TrimPrefix(err.Error(), "json: "), "unknown field", "unknown member", 1))
	}
	return nil
}

func formOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text in quotes"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32:
		return "a whole number in its range"
	default:
		return "an object of texts"
	}
}

// checkMembers makes sure that a text is one JSON object, and of its own
// members that none stands twice, or is spelled in another way than the API does.
func checkMembers(object []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	var seen []string
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("it is no JSON: %w", err)
		}
		name, _ := token.(string) // a name always is
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return fmt.Errorf("unknown member %q", name)
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("the member %q stands twice", name)
		}
		seen = append(seen, name)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("it is no JSON: %w", err)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return errors.New("it is no JSON object: its end is missing")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands after the object")
	}
	return nil
}

// input is a file that a command reads, or standard input.
type input struct {
	io.Reader
	name    string
	regular bool  // a plain file, beside which others can stand
	size    int64 // of a plain file
	file    *os.File
}

// openInput opens the file of that name; "-" is standard input.
func openInput(name string, streams Streams) (*input, error) {
	if name == "-" {
		return &input{Reader: streams.In, name: "standard input"}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, unreadableInput(err)
	}
	in := &input{Reader: file, name: name, file: file}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = errors.New(name + " is a folder")
	}
	if err != nil {
		in.Close()
		return nil, unreadableInput(err)
	}
	if info.Mode().IsRegular() {
		in.regular, in.size = true, info.Size()
	}
	return in, nil
}

func unreadableInput(err error) error {
	return &Error{Status: ExitUsage, Message: "cannot read the file: " + err.Error(), Err: err, Hints: []string{"for standard input, write -"}}
}

// Close closes the file. It was only read, so nothing can be lost.
func (i *input) Close() {
	if i.file != nil {
		_ = i.file.Close()
	}
}
