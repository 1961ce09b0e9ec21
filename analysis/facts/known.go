package facts

import (
	"go/types"
	"slices"
)

// What functions of the standard library do, as far as it has to be known. A function that is not here may do anything.

// repeatable are functions that do the same each time they are called, and nothing that anybody could see but to what they
// are given: by package, all of them but those after a minus, or those that are listed. Methods count with the functions.
var repeatable = map[string][]string{
	"bytes": nil, "cmp": nil, "embed": nil, "encoding/base64": nil, "encoding/hex": nil, "errors": nil, "html": nil, "iter": nil, "maps": nil,
	"math": nil, "math/big": nil, "math/bits": nil, "math/cmplx": nil, "net/netip": nil, "net/url": nil, "path": nil, "slices": nil, "sort": nil,
	"strconv": nil, "strings": nil, "unicode": nil, "unicode/utf16": nil, "unicode/utf8": nil, "regexp": nil,
	"crypto/md5": {"Sum"}, "crypto/sha1": {"Sum"}, "crypto/sha256": {"Sum256", "Sum224"}, "crypto/sha512": {"Sum512"},
	"encoding/json": {"Marshal", "MarshalIndent", "Unmarshal", "Valid"},
	"fmt":           {"Sprint", "Sprintf", "Sprintln", "Errorf", "Append", "Appendf", "Appendln", "Sscan", "Sscanf", "Sscanln"},
	"hash/crc32":    {"ChecksumIEEE", "Checksum", "MakeTable", "Update"},
	"html/template": {"-", "ParseFiles", "ParseGlob", "Funcs"},
	"text/template": {"-", "ParseFiles", "ParseGlob", "Funcs"},
	"net/http":      {"StatusText", "CanonicalHeaderKey"},
	"path/filepath": {"Base", "Clean", "Dir", "Ext", "FromSlash", "Join", "Split", "ToSlash"},
	"time":          {"-", "After", "AfterFunc", "LoadLocation", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until", "Local", "In", "Reset", "Stop"},
}

// isRepeatable reports whether a function of a package that is not looked at is one of repeatable.
func isRepeatable(fn *types.Func) bool {
	if fn.Pkg() == nil {
		return fn.Name() == "Error" // of the predeclared type, which no call of a known function is
	}
	names, ok := repeatable[fn.Pkg().Path()]
	switch {
	case !ok || len(names) == 0:
		return ok
	case names[0] == "-":
		return !slices.Contains(names[1:], fn.Name())
	}
	return slices.Contains(names, fn.Name())
}

// constantVars are packages of which the variables are as good as constants.
var constantVars = map[string]bool{"encoding/base64": true, "unicode": true}

// callers are the packages among repeatable of which functions call methods of what they are given.
var callers = map[string]bool{"encoding/json": true, "errors": true, "fmt": true, "html/template": true, "math/big": true, "sort": true, "text/template": true}

// A reading says what a function that only reads does with an argument.
type reading uint8

const (
	readsNot   reading = iota // it may write to it or keep it
	readsFlat                 // it looks at elements, and may hand them out
	readsDeep                 // it looks at whatever it can reach, and may call methods
	readsAll                  // it looks at it, of whatever type
	readsLater                // what it returns looks at elements when it is called
)

// readers are functions that only read what they are given.
var readers = map[string]map[string]reading{
	"bytes":         of(readsFlat, "Compare", "Contains", "ContainsAny", "Count", "Equal", "EqualFold", "HasPrefix", "HasSuffix", "Index", "IndexByte", "LastIndex", "Runes"),
	"crypto/md5":    of(readsFlat, "Sum"),
	"crypto/sha1":   of(readsFlat, "Sum"),
	"crypto/sha256": of(readsFlat, "Sum256", "Sum224"),
	"encoding/hex":  of(readsFlat, "EncodeToString"),
	"encoding/json": of(readsDeep, "Marshal", "MarshalIndent", "Valid"),
	"fmt":           of(readsDeep, "Sprint", "Sprintf", "Sprintln", "Print", "Printf", "Println", "Fprint", "Fprintf", "Fprintln", "Errorf", "Append", "Appendf", "Appendln"),
	"hash/crc32":    of(readsFlat, "ChecksumIEEE"),
	"maps":          join(of(readsFlat, "Clone", "Equal", "Collect"), of(readsLater, "All", "Keys", "Values")),
	"slices":        join(of(readsFlat, "BinarySearch", "BinarySearchFunc", "Clone", "Collect", "Compare", "Concat", "Contains", "ContainsFunc", "Equal", "Index", "IndexFunc", "IsSorted", "IsSortedFunc", "Max", "MaxFunc", "Min", "MinFunc", "Repeat", "Sorted", "SortedFunc", "SortedStableFunc"), of(readsLater, "All", "Backward", "Values")),
	"sort":          of(readsFlat, "SearchFloat64s", "SearchInts", "SearchStrings", "IntsAreSorted", "StringsAreSorted", "Float64sAreSorted"),
	"strings":       of(readsFlat, "Join"),
	"unicode":       of(readsAll, "In", "Is", "IsOneOf"),
	"unicode/utf8":  of(readsFlat, "DecodeLastRune", "DecodeRune", "FullRune", "RuneCount", "Valid"),
}

func of(r reading, names ...string) map[string]reading {
	m := make(map[string]reading, len(names))
	for _, name := range names {
		m[name] = r
	}
	return m
}

func join(a, b map[string]reading) map[string]reading {
	for name, r := range b {
		a[name] = r
	}
	return a
}

// lasting methods of types leave the receiver as it is, and let nobody have what it is made of: by type, all but those after
// a minus, or those that are listed.
var readMethods = map[string][]string{
	"encoding/base64.Encoding": {"-"},
	"html/template.Template":   {"DefinedTemplates", "Execute", "ExecuteTemplate", "Name"},
	"regexp.Regexp":            {"-", "Longest", "UnmarshalText"},
	"strings.Replacer":         {"-"},
	"text/template.Template":   {"DefinedTemplates", "Execute", "ExecuteTemplate", "Name"},
}

// onlyReads reports whether a method is one of readMethods.
func onlyReads(fn *types.Func) bool {
	recv := fn.Signature().Recv()
	if recv == nil {
		return false
	}
	named, _ := baseType(recv.Type())
	if named == nil || named.Obj().Pkg() == nil {
		return false
	}
	names := readMethods[named.Obj().Pkg().Path()+"."+named.Obj().Name()]
	switch {
	case len(names) == 0:
		return false
	case names[0] == "-":
		return !slices.Contains(names[1:], fn.Name())
	}
	return slices.Contains(names, fn.Name())
}

// sealed are types with pointers in them that nobody can write through: a value of one is as good as its content.
var sealed = map[string]bool{"embed.FS": true, "net/netip.Addr": true, "net/netip.Prefix": true, "time.Time": true}

// opaque reports whether what is in a type is known by its methods.
func opaque(named *types.Named) bool {
	obj := named.Obj()
	if obj.Pkg() == nil {
		return false
	}
	name := obj.Pkg().Path() + "." + obj.Name()
	return sealed[name] || readMethods[name] != nil
}
