package session

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/limeade-go/limeade/reload/limeade"
)

// TestOutcome: what a program gets of its own refresh is all that the command says.
func TestOutcome(t *testing.T) {
	var a Answer
	fill(reflect.ValueOf(&a).Elem())
	a.Others = nil   // of other processes
	a.Restarted = "" // whoever asked for its own refresh is not restarted for it
	want, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var o limeade.Outcome
	dec := json.NewDecoder(bytes.NewReader(want))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		t.Fatal(err)
	}
	var x, y any
	got, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(got, &x) != nil || json.Unmarshal(want, &y) != nil || !reflect.DeepEqual(x, y) {
		t.Errorf("package limeade has\n%s\nof\n%s", got, want)
	}
}

// fill puts something into every field.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		if v.Type() != reflect.TypeFor[*Answer]() {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Uint32:
		v.SetUint(8)
	case reflect.Float64:
		v.SetFloat(9.5)
	default:
		panic("no value for a " + v.Kind().String())
	}
}
