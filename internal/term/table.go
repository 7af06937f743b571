package term

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Table writes rows below a header in aligned columns. A column whose cells all
// look like numbers is aligned to the right, header included. Rows may be shorter
// than the header; an empty cell says nothing about its column. A nil header is
// left out.
func Table(w io.Writer, header []string, rows [][]string) error {
	lines := rows
	if header != nil {
		lines = append([][]string{header}, rows...)
	}
	var width []int
	var number []bool
	for i, line := range lines {
		for c, cell := range line {
			if c == len(width) {
				width, number = append(width, 0), append(number, true)
			}
			width[c] = max(width[c], utf8.RuneCountInString(cell))
			if (i > 0 || header == nil) && cell != "" && !isNumber(cell) {
				number[c] = false
			}
		}
	}
	var b strings.Builder
	for _, line := range lines {
		var out strings.Builder
		for c, cell := range line {
			if c > 0 {
				out.WriteString("  ")
			}
			pad := strings.Repeat(" ", width[c]-utf8.RuneCountInString(cell))
			if number[c] {
				out.WriteString(pad + cell)
			} else {
				out.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(out.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// isNumber says that a cell begins like a number, so that units may follow it, or
// is the dash of a figure that is missing.
func isNumber(cell string) bool {
	digits := strings.TrimLeft(cell, "+-−.<>~")
	return digits == "" || digits[0] >= '0' && digits[0] <= '9' || digits == "NaN" || digits == "Inf"
}
