//go:build withc

package main

import "example.com/prog/cside"

func extra() int { return cside.Half(42) }
