package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"

	"github.com/saldo-ledger/saldo/api"
)

// readings prints readings as a table, or as one JSON document.
func (p *printer) readings(pages iter.Seq2[api.ReadingPage, error], limit uint) error {
	t := p.table(text("TIME"), text("SERVICE"), money("BALANCE"), text("CURRENCY"), figure("CREDIT LIMIT"), figure("AVAILABLE"), figure("PENDING"), text("RISE"))
	return document(p, pages, limit, t, func(page api.ReadingPage) (api.ReadingPage, []string, []api.Reading) {
		items := page.Items
		page.Items, page.NextCursor = []api.Reading{}, ""
		return page, []string{"from", page.From, "to", page.To}, items
	}, func(r api.Reading) {
		rise := ""
		if r.Rise {
			rise = "yes"
		}
		t.row(r.At, r.Service, r.Amount, unitWord(r.Unit, r.Currency), told(r.CreditLimit), told(r.Available), told(r.Pending), rise)
	})
}

// readingsFile prints readings as lines below a header, which stands there also
// where there are none, and not where nothing could be read.
func (p *printer) readingsFile(pages iter.Seq2[api.ReadingPage, error], limit uint, header string, line func(*api.Reading) error) error {
	shown := uint(0)
	for page, err := range pages {
		if err != nil {
			return err
		}
		p.write(header)
		header = ""
		for i := range page.Items {
			if limit > 0 && shown == limit {
				p.notef("note: there are more; only the first %d are shown (--limit 0 shows all)", limit)
				return nil
			}
			shown++
			if err := line(&page.Items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

const readingsHeader = "at,service,unit,currency,amount,credit_limit,available,pending,spendable,rise\n"

// csvLines gives what prints a reading as a line of CSV.
func csvLines(p *printer) func(*api.Reading) error {
	lines := csv.NewWriter(writerFunc(func(text []byte) (int, error) {
		p.write(string(text))
		return len(text), nil
	}))
	return func(r *api.Reading) error {
		defer lines.Flush()
		return lines.Write([]string{
			r.At, r.Service, string(r.Unit), r.Currency, r.Amount, told(r.CreditLimit), told(r.Available), told(r.Pending),
			r.Spendable, strconv.FormatBool(r.Rise),
		})
	}
}

// jsonLine prints a reading as one line of JSON.
func (p *printer) jsonLine(r *api.Reading) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write a line of JSON: %w", err)
	}
	p.write(string(line) + "\n")
	return nil
}
