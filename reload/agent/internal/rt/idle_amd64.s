//go:build linux && go1.25

#include "textflag.h"

// The two functions call runtime.incidlelocked(±1), whose entry is in ·incidlelockedEntry, on the scheduler's stack.
// They are in assembly because nothing there may be instrumented (-race, -cover). incidlelocked is ABIInternal: its
// argument is in AX and may be spilled to our frame, g is in R14, X15 is zero.

// func markIdle()
TEXT ·markIdle(SB), NOSPLIT, $16-0
	MOVQ (TLS), R14
	XORPS X15, X15
	MOVQ $1, AX
	MOVQ ·incidlelockedEntry(SB), CX
	CALL CX
	RET

// func markBusy()
TEXT ·markBusy(SB), NOSPLIT, $16-0
	MOVQ (TLS), R14
	XORPS X15, X15
	MOVQ $-1, AX
	MOVQ ·incidlelockedEntry(SB), CX
	CALL CX
	RET
