package analysis

import (
	"fmt"
	"maps"
	"slices"

	"github.com/limeade-go/limeade/analysis/snapshot"
)

// checkedPackage returns a type-checked package of the new snapshot with the bodies of those functions, or of all if it is
// nil, from this comparison or one before.
func (c *comparison) checkedPackage(path string, bodies map[string]bool) (*Checked, error) {
	if p := c.new.Package(path); c.env.Cgo != nil && usesC(p) {
		checked, list, refused, err := c.checkTranslated(p, bodies)
		switch {
		case err != nil:
			return nil, err
		case len(list) > 0:
			return nil, list[0]
		case checked == nil:
			return nil, fmt.Errorf("package %s: %s", path, refused)
		}
		return checked, nil
	}
	if p := c.byPath[path]; p != nil && p.checked != nil && p.checked.covers(bodies) {
		return p.checked, nil
	}
	p := c.new.Package(path)
	checked, had := c.recall(p, bodies)
	if checked != nil {
		return checked, nil
	}
	wanted := maps.Clone(bodies)
	if wanted != nil {
		maps.Copy(wanted, had)
	}
	checked, list, err := c.after.check(p, wanted, false)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		return nil, list[0]
	}
	c.keep(c.after.key(p), checked)
	return checked, nil
}

// covers reports whether the bodies of those functions were checked; nil stands for all.
func (c *Checked) covers(bodies map[string]bool) bool {
	if c.bodies == nil {
		return true
	}
	if bodies == nil {
		return false
	}
	for name := range bodies {
		if !c.bodies[name] {
			return false
		}
	}
	return true
}

// recall returns a package of the new snapshot that was type-checked before with those bodies, nil if it was not: against
// packages that look as they do now, and in the same importer. In the second case it returns the bodies with which
// it was checked, if any.
func (c *comparison) recall(p *snapshot.Package, bodies map[string]bool) (*Checked, map[string]bool) {
	key := c.after.key(p)
	for i, r := range c.recent {
		if r.key != key || r.importer != c.importer.generation {
			continue
		}
		if !r.checked.covers(bodies) || r.checked.draft && !c.draft {
			return nil, r.checked.bodies
		}
		c.recent = append(slices.Delete(c.recent, i, i+1), r)
		return r.checked, nil
	}
	return nil, nil
}

// keep remembers a type-checked package and forgets the oldest ones.
func (s *Session) keep(key factKey, checked *Checked) {
	size := 0
	for _, f := range checked.Package.Files {
		content, _ := f.Content()
		size += len(content)
	}
	s.recent = slices.DeleteFunc(s.recent, func(r recentCheck) bool { return r.key == key })
	s.recent = append(s.recent, recentCheck{key, s.importer.generation, size, checked})
	total := 0
	for i, r := range slices.Backward(s.recent) {
		if total += r.size; total > s.recentBytes && i < len(s.recent)-1 {
			s.recent = slices.Delete(s.recent, 0, i+1)
			return
		}
	}
}

// maxFresh is how many versions of packages that other ones see otherwise than the build's are kept without being used.
const maxFresh = 8

// bound forgets imported packages when there are too many: of the versions that changed source had, all at once, with
// all that was checked against them, as they refer to each other.
func (s *Session) bound() {
	im := s.importer
	im.mu.Lock()
	defer im.mu.Unlock()
	s.comparisons++
	unused := 0
	for _, f := range im.fresh {
		if f.used < s.comparisons-1 {
			unused++
		}
	}
	switch {
	case im.complete > maxImports:
		im.reset()
	case unused > maxFresh:
		im.fresh = make(map[freshKey]freshPackage)
		im.generation++
	}
}

// Frugal makes the session keep no type-checked packages but the latest, for a process that is to be small.
func (s *Session) Frugal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recentBytes = 1
}
