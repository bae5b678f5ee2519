package cli

import "slices"

// Column is a column of a table that a command outside of this package shows.
type Column struct {
	Title  string
	Right  bool                     // aligned to the right, as figures are
	Colour func(cell string) string // the SGR code for a cell, "" for none; may be nil
}

// Table shows rows in columns, without the columns that are empty.
func (s Streams) Table(columns []Column, rows [][]string) error {
	p := newPrinter(s, "table")
	p.dense(columns, rows)
	return p.flush()
}

// dense prints a table without the columns that are empty.
func (p *printer) dense(columns []Column, rows [][]string) {
	var kept []int
	var shown []column
	for i, c := range columns {
		if slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "" }) {
			kept = append(kept, i)
			shown = append(shown, column{title: c.Title, right: c.Right, colour: c.Colour})
		}
	}
	t := p.table(shown...)
	for _, row := range rows {
		cells := make([]string, len(kept))
		for at, i := range kept {
			cells[at] = row[i]
		}
		t.row(cells...)
	}
	t.flush()
}

// JSON shows a value as the commands show what the API answers.
func (s Streams) JSON(value any) error {
	p := newPrinter(s, "json")
	p.write(indented(value, "") + "\n")
	return p.flush()
}
