package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/limeade-go/limeade/server/editor"
)

// A metamodel is the machine-readable form of the language server protocol. The one of LSP 3.18 is part of the module
// go.lsp.dev/protocol, and is read from there: it is what Microsoft publishes with the specification.
type metamodel struct {
	Requests      []metaMethod
	Notifications []metaMethod
	Structures    []metaStruct
	Enumerations  []struct {
		Name                 string
		Type                 metaType
		SupportsCustomValues bool
		Values               []struct{ Value any }
	}
	TypeAliases []struct {
		Name string
		Type metaType
	}
}

type metaMethod struct {
	Method           string
	MessageDirection string
	Params           *metaType
	Result           *metaType
}

type metaStruct struct {
	Name            string
	Extends, Mixins []metaType
	Properties      []metaProperty
}

type metaProperty struct {
	Name     string
	Type     metaType
	Optional bool
}

// A metaType is one of the ways to make types; which fields there are depends on the kind.
type metaType struct {
	Kind    string
	Name    string          // of base and reference
	Element *metaType       // of array
	Items   []metaType      // of or, and, tuple
	Key     *metaType       // of map
	Value   json.RawMessage // a type of map, the members of literal, the value of stringLiteral
}

var loadMetamodel = sync.OnceValues(func() (*metamodel, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "go.lsp.dev/protocol").Output()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "internal/genlsp/testdata/metaModel.json"))
	if err != nil {
		return nil, err
	}
	m := new(metamodel)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, err
	}
	// Its own version says 3.17 still.
	if !slices.ContainsFunc(m.Requests, func(d metaMethod) bool { return d.Method == "workspace/textDocumentContent" }) {
		return nil, errors.New("the metamodel is not that of LSP 3.18")
	}
	return m, nil
})

// conformance checks a message of the server; request is the method that a response is about.
func conformance(request string, msg *editor.Message) error {
	m, err := loadMetamodel()
	if err != nil {
		return err
	}
	if msg.Version != "2.0" {
		return fmt.Errorf("jsonrpc is %q", msg.Version)
	}
	if msg.Method == "" {
		return m.response(request, msg)
	}
	if strings.HasPrefix(msg.Method, "limeade/") {
		return nil // our own
	}
	methods := m.Notifications
	if len(msg.ID) > 0 {
		methods = m.Requests
	}
	i := slices.IndexFunc(methods, func(d metaMethod) bool { return d.Method == msg.Method })
	if i < 0 {
		return fmt.Errorf("%s is not in the protocol", msg.Method)
	}
	d := methods[i]
	if d.MessageDirection == "clientToServer" {
		return fmt.Errorf("%s is not for servers to send", msg.Method)
	}
	if d.Params == nil {
		if len(msg.Params) > 0 {
			return fmt.Errorf("%s has no parameters", msg.Method)
		}
		return nil
	}
	params, err := decode(msg.Params)
	if err == nil {
		err = m.check(msg.Method, *d.Params, params)
	}
	if err == nil && msg.Method == "$/progress" {
		value := params.(map[string]any)["value"]
		err = m.check("$/progress value", metaType{Kind: "or", Items: []metaType{
			{Kind: "reference", Name: "WorkDoneProgressBegin"},
			{Kind: "reference", Name: "WorkDoneProgressReport"},
			{Kind: "reference", Name: "WorkDoneProgressEnd"},
		}}, value)
	}
	return err
}

func (m *metamodel) response(request string, msg *editor.Message) error {
	if msg.Error != nil {
		if msg.Error.Message == "" || msg.Error.Code == 0 || len(msg.Result) > 0 {
			return fmt.Errorf("%s: error without message or code, or with a result", request)
		}
		return nil
	}
	i := slices.IndexFunc(m.Requests, func(d metaMethod) bool { return d.Method == request })
	if i < 0 {
		return fmt.Errorf("result of %q, which is not in the protocol", request)
	}
	result, err := decode(msg.Result)
	if err != nil {
		return fmt.Errorf("result of %s: %w", request, err)
	}
	return m.check("result of "+request, *m.Requests[i].Result, result)
}

func decode(data []byte) (any, error) {
	if len(data) == 0 {
		return nil, errors.New("missing")
	}
	var v any
	err := json.Unmarshal(data, &v)
	return v, err
}

// check returns in what a value is not of a type.
func (m *metamodel) check(at string, t metaType, v any) error {
	wrong := func(want string) error { return fmt.Errorf("%s: %v is no %s", at, v, want) }
	switch t.Kind {
	case "base":
		if !isBase(t.Name, v) {
			return wrong(t.Name)
		}
	case "reference":
		return m.reference(at, t.Name, v)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return wrong("array")
		}
		for i, e := range list {
			if err := m.check(fmt.Sprintf("%s[%d]", at, i), *t.Element, e); err != nil {
				return err
			}
		}
	case "tuple":
		list, ok := v.([]any)
		if !ok || len(list) != len(t.Items) {
			return wrong("tuple")
		}
		for i, e := range list {
			if err := m.check(fmt.Sprintf("%s[%d]", at, i), t.Items[i], e); err != nil {
				return err
			}
		}
	case "map":
		object, ok := v.(map[string]any)
		if !ok {
			return wrong("map")
		}
		var element metaType
		if err := json.Unmarshal(t.Value, &element); err != nil {
			return err
		}
		for name, e := range object {
			if err := m.check(at+"."+name, element, e); err != nil {
				return err
			}
		}
	case "or":
		var errs []error
		for _, item := range t.Items {
			err := m.check(at, item, v)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	case "and":
		for _, item := range t.Items {
			if err := m.check(at, item, v); err != nil {
				return err
			}
		}
	case "literal":
		var literal struct{ Properties []metaProperty }
		if err := json.Unmarshal(t.Value, &literal); err != nil {
			return err
		}
		return m.object(at, literal.Properties, v)
	case "stringLiteral":
		var want string
		if err := json.Unmarshal(t.Value, &want); err != nil {
			return err
		}
		if v != want {
			return wrong(want)
		}
	default:
		return fmt.Errorf("%s: kind of type %q", at, t.Kind)
	}
	return nil
}

func isBase(name string, v any) bool {
	switch name {
	case "string", "DocumentUri", "URI", "RegExp":
		s, ok := v.(string)
		return ok && (name != "DocumentUri" && name != "URI" || strings.Contains(s, ":"))
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "null":
		return v == nil
	case "integer", "uinteger", "decimal":
		n, ok := v.(float64)
		return ok && (name == "decimal" || n == math.Trunc(n) && math.Abs(n) < 1<<31 && (name == "integer" || n >= 0))
	}
	return false
}

func (m *metamodel) reference(at, name string, v any) error {
	switch name {
	case "LSPAny":
		return nil
	case "LSPObject":
		return m.check(at, metaType{Kind: "map", Value: json.RawMessage(`{"kind":"reference","name":"LSPAny"}`)}, v)
	}
	for _, a := range m.TypeAliases {
		if a.Name == name {
			return m.check(at, a.Type, v)
		}
	}
	for _, e := range m.Enumerations {
		if e.Name != name {
			continue
		}
		for _, value := range e.Values {
			if value.Value == v {
				return nil
			}
		}
		if e.SupportsCustomValues {
			return m.check(at, e.Type, v)
		}
		return fmt.Errorf("%s: %v is none of %s", at, v, name)
	}
	properties, ok := m.properties(name)
	if !ok {
		return fmt.Errorf("%s: type %s is not known", at, name)
	}
	return m.object(at+" ("+name+")", properties, v)
}

// properties are those of a structure, with those that it extends and mixes in.
func (m *metamodel) properties(name string) ([]metaProperty, bool) {
	i := slices.IndexFunc(m.Structures, func(s metaStruct) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	s := m.Structures[i]
	list := slices.Clone(s.Properties)
	for _, t := range slices.Concat(s.Extends, s.Mixins) {
		more, ok := m.properties(t.Name)
		if !ok {
			return nil, false
		}
		for _, p := range more {
			if !slices.ContainsFunc(list, func(q metaProperty) bool { return q.Name == p.Name }) {
				list = append(list, p)
			}
		}
	}
	return list, true
}

// object checks the members of an object; there must be no others.
func (m *metamodel) object(at string, properties []metaProperty, v any) error {
	object, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %v is no object", at, v)
	}
	for _, p := range properties {
		value, ok := object[p.Name]
		if !ok {
			if !p.Optional {
				return fmt.Errorf("%s: no %s", at, p.Name)
			}
			continue
		}
		if err := m.check(at+"."+p.Name, p.Type, value); err != nil {
			return err
		}
	}
	for name := range object {
		if !slices.ContainsFunc(properties, func(p metaProperty) bool { return p.Name == name }) {
			return fmt.Errorf("%s: %s is not in the protocol", at, name)
		}
	}
	return nil
}

// TestConformanceChecks makes sure that the check sees what is wrong.
func TestConformanceChecks(t *testing.T) {
	for _, c := range []struct {
		request, message string
		ok               bool
	}{
		{"", `{"jsonrpc":"2.0","method":"textDocument/publishDiagnostics","params":{"uri":"file:///a","diagnostics":[]}}`, true},
		{"", `{"jsonrpc":"2.0","method":"textDocument/publishDiagnostics","params":{"uri":"file:///a"}}`, false},
		{"", `{"jsonrpc":"2.0","method":"textDocument/publishDiagnostics","params":{"uri":"file:///a","diagnostics":[],"x":1}}`, false},
		{"", `{"jsonrpc":"2.0","method":"textDocument/publishDiagnostics","params":{"uri":"file:///a","diagnostics":[{"range":{"start":{"line":-1,"character":0},"end":{"line":0,"character":0}},"message":"m"}]}}`, false},
		{"", `{"jsonrpc":"2.0","method":"textDocument/publishDiagnostics","params":{"uri":"file:///a","diagnostics":[{"range":{"start":{"line":1,"character":0},"end":{"line":1,"character":0}},"message":"m","severity":5}]}}`, false},
		{"", `{"jsonrpc":"2.0","method":"textDocument/hover","params":{}}`, false},
		{"", `{"jsonrpc":"2.0","id":1,"method":"workspace/codeLens/refresh"}`, true},
		{"", `{"jsonrpc":"2.0","id":1,"method":"workspace/codeLens/refresh","params":{}}`, false},
		{"", `{"method":"workspace/codeLens/refresh","id":1}`, false},
		{"shutdown", `{"jsonrpc":"2.0","id":1,"result":null}`, true},
		{"shutdown", `{"jsonrpc":"2.0","id":1}`, false},
		{"textDocument/codeLens", `{"jsonrpc":"2.0","id":1,"result":[{"range":{"start":{"line":1,"character":0},"end":{"line":1,"character":0}}}]}`, true},
		{"textDocument/codeLens", `{"jsonrpc":"2.0","id":1,"result":{}}`, false},
		{"textDocument/codeLens", `{"jsonrpc":"2.0","id":1,"error":{"code":-32800,"message":"cancelled"}}`, true},
	} {
		var m editor.Message
		if err := json.Unmarshal([]byte(c.message), &m); err != nil {
			t.Fatal(err)
		}
		if err := conformance(c.request, &m); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.message, err)
		}
	}
}
