package main_test

// knownToFail lists the cases that the engine does not pass yet, and why. Each is work that is left; an entry
// goes when its case passes.
var knownToFail = map[string]string{}
