// Package ledger keeps a list of expenses.
package ledger

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// An Entry is one expense.
type Entry struct {
	Day   Day
	What  string
	Cents int
	Tags  []string
}

// A Day is a date without a time.
type Day struct{ Year, Month, Date int }

// String is the date as in the input.
func (d Day) String() string {
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Date)
}

// Before compares two dates.
func (d Day) Before(e Day) bool {
	if d.Year != e.Year {
		return d.Year < e.Year
	}
	if d.Month != e.Month {
		return d.Month < e.Month
	}
	return d.Date < e.Date
}

// A Book holds entries in the order of their days.
type Book struct {
	entries []Entry
	byTag   map[string][]int
}

// ErrEmpty is the error of an input without entries.
var ErrEmpty = errors.New("ledger: no entries")

// Read makes a book of lines: a day, a word, an amount in cents, and perhaps tags with commas between them.
func Read(lines []string) (*Book, error) {
	b := &Book{}
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseEntry(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		b.entries = append(b.entries, e)
	}
	if len(b.entries) == 0 {
		return nil, ErrEmpty
	}
	sort.SliceStable(b.entries, func(i, j int) bool {
		return b.entries[i].Day.Before(b.entries[j].Day)
	})
	b.index(nil)
	return b, nil
}

// parseEntry reads one line.
func parseEntry(line string) (Entry, error) {
	words := strings.Fields(line)
	if len(words) < 3 || len(words) > 4 {
		return Entry{}, fmt.Errorf("%d words, want 3 or 4", len(words))
	}
	day, err := parseDay(words[0])
	if err != nil {
		return Entry{}, err
	}
	cents, err := strconv.Atoi(words[2])
	if err != nil {
		return Entry{}, fmt.Errorf("amount: %w", err)
	}
	e := Entry{Day: day, What: words[1], Cents: cents}
	if len(words) == 4 {
		e.Tags = splitTags(words[3])
	}
	return e, nil
}

// parseDay reads a date.
func parseDay(s string) (Day, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return Day{}, fmt.Errorf("day %q: want year-month-date", s)
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || v <= 0 {
			return Day{}, fmt.Errorf("day %q: %q is no number", s, p)
		}
		n[i] = v
	}
	if n[1] > 12 || n[2] > 31 {
		return Day{}, fmt.Errorf("day %q: out of range", s)
	}
	return Day{n[0], n[1], n[2]}, nil
}

// splitTags cuts tags apart and drops the empty and the doubled.
func splitTags(s string) []string {
	var tags []string
	seen := map[string]bool{}
	for _, t := range strings.Split(s, ",") {
		if t != "" && !seen[t] {
			seen[t] = true
			tags = append(tags, t)
		}
	}
	sort.Strings(tags)
	return tags
}

// index notes where each tag is; only, when it is not empty, names the tags to note.
func (b *Book) index(only []string) {
	b.byTag = map[string][]int{}
	for i, e := range b.entries {
		for _, t := range e.Tags {
			if len(only) == 0 || contains(only, t) {
				b.byTag[t] = append(b.byTag[t], i)
			}
		}
	}
}

// contains reports whether a list has a word.
func contains(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// Sum adds up the entries that have a tag.
func (b *Book) Sum(tag string) int {
	sum := 0
	for _, i := range b.byTag[tag] {
		sum += b.entries[i].Cents
	}
	return sum
}

// Month adds up one month, tag by tag.
func (b *Book) Month(year, month int, tags []string) map[string]int {
	sums := map[string]int{}
	for _, tag := range tags {
		for _, i := range b.byTag[tag] {
			e := b.entries[i]
			if e.Day.Year == year && e.Day.Month == month {
				sums[tag] += e.Cents
			}
		}
	}
	return sums
}

// Largest is the entry with the largest amount among those of a word; ok is false when there is none.
func (b *Book) Largest(what string) (largest Entry, ok bool) {
	for _, e := range b.entries {
		if e.What == what && (!ok || e.Cents > largest.Cents) {
			largest, ok = e, true
		}
	}
	return largest, ok
}

// Report is a line for each tag.
func Report(b *Book, tags []string) string {
	var out strings.Builder
	for i, tag := range tags {
		if i > 0 {
			out.WriteString("; ")
		}
		fmt.Fprintf(&out, "%s %s", tag, euros(b.Sum(tag), "€"))
	}
	if e, ok := b.Largest("bread"); ok {
		fmt.Fprintf(&out, "; bread up to %s on %v", euros(e.Cents, "€"), e.Day)
	}
	return out.String()
}

// euros formats an amount.
func euros(cents int, unit string) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s%d.%02d %s", sign, cents/100, cents%100, unit)
}
