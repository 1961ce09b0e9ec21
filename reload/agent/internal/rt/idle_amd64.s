//go:build linux && go1.25

#include "textflag.h"

// The functions here are in assembly because nothing between entersyscallblock and exitsyscall may be instrumented (-race,
// -cover), and because runtime.systemstack is one itself: ABI0, its argument on the stack.

// func onSystemStack(fn func())
TEXT ·onSystemStack(SB), NOSPLIT, $8-8
	MOVQ fn+0(FP), AX
	MOVQ AX, 0(SP)
	MOVQ ·systemstackEntry(SB), CX
	CALL CX
	RET

// The two below call runtime.incidlelocked(±1). It is ABIInternal: its argument is in AX and may be spilled to our frame,
// g is in R14, X15 is zero.

// func markIdle()
TEXT ·markIdle(SB), NOSPLIT, $16-0
	MOVQ (TLS), R14
	XORPS X15, X15
	MOVQ $1, AX
	MOVQ ·incidlelockedEntry(SB), CX
	CALL CX
	MOVL $1, ·waited(SB)
	RET

// func markBusy()
TEXT ·markBusy(SB), NOSPLIT, $16-0
	MOVQ (TLS), R14
	XORPS X15, X15
	MOVQ $-1, AX
	MOVQ ·incidlelockedEntry(SB), CX
	CALL CX
	RET
