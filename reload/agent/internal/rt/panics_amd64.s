//go:build linux && go1.25

#include "textflag.h"
#include "go_asm.h"

// func atRecoveryEntry() uintptr
TEXT ·atRecoveryEntry(SB), NOSPLIT, $0-8
	LEAQ ·atRecovery(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// atRecovery is called in place of runtime.mcall, and goes on there: AX is mcall's argument, R14 is g, the return address is
// on top of the stack. The caller expects nothing of other registers. See panics.go.
//
// func atRecovery()
TEXT ·atRecovery(SB), NOSPLIT|NOFRAME, $0-0
	CMPL ·panicState(SB), $const_panicsWatched
	JNE  done
	MOVQ ·gPanicOffset(SB), CX
	MOVQ (R14)(CX*1), R8          // the panic
	MOVQ ·panicSPOffset(SB), CX
	MOVQ (R8)(CX*1), R9           // the stack pointer of the frame that recovers

	// R10 goes from one frame record to the next: the caller's R10, and the return address. R11 is the one before.
	MOVQ BP, R10
	MOVQ SP, R11
	XORL R13, R13                 // whether a faulting instruction was made to call what is at hand
look:
	CMPQ R10, R11
	JLS  done
	LEAQ 16(R10), SI
	CMPQ SI, R9
	JCC  done
	MOVQ 8(R10), BX
	CMPQ BX, ·newLo(SB)
	JCS  old
	MOVL $1, DI                   // sure
	CMPQ BX, ·newHi(SB)
	JLS  found
old:
	TESTL R13, R13
	JEQ  called
	MOVQ (SI), DX
	CMPQ DX, ·newLo(SB)
	JCS  called
	XORL DI, DI                   // may be anything, if what faulted has a frame
	CMPQ DX, ·newHi(SB)
	JLS  found
called:
	XORL R13, R13
	CMPQ BX, ·sigpanicLo(SB)
	JLS  next
	CMPQ BX, ·sigpanicHi(SB)
	JHI  next
	MOVL $1, R13
next:
	MOVQ R10, R11
	MOVQ (R10), R10
	JMP  look

found:
	MOVQ AX, R12
	MOVL $const_panicsWatched, AX
	MOVL $const_panicClaimed, CX
	LOCK
	CMPXCHGL CX, ·panicState(SB)
	MOVQ R12, AX
	JNE  done
	MOVQ DI, ·panicSure(SB)
	MOVQ R9, ·panicSP(SB)
	MOVQ BP, R10
	MOVQ SP, R11
	XORL CX, CX
	LEAQ ·panicFrames(SB), DI
copy:
	CMPQ CX, $const_maxPanicFrames
	JCC  value
	CMPQ R10, R11
	JLS  value
	LEAQ 16(R10), SI
	CMPQ SI, R9
	JHI  value
	MOVQ 8(R10), BX
	MOVQ BX, (DI)
	MOVQ (SI), BX
	MOVQ BX, 8(DI)
	MOVQ SI, 16(DI)
	ADDQ $24, DI
	INCQ CX
	MOVQ R10, R11
	MOVQ (R10), R10
	JMP  copy
value:
	MOVQ CX, ·panicDepth(SB)
	ADDQ ·panicArgOffset(SB), R8
	MOVQ (R8), DX
	MOVQ DX, ·panicType(SB)
	MOVQ $(const_maxPanicText + 1), ·panicTextSize(SB)
	ADDQ ·typeKindOffset(SB), DX
	MOVBLZX (DX), DX
	ANDL $31, DX
	CMPQ DX, ·kindString(SB)
	JNE  noted
	MOVQ 8(R8), SI
	MOVQ 8(SI), CX
	MOVQ (SI), SI
	CMPQ CX, $const_maxPanicText
	JLS  text
	MOVL $const_maxPanicText, CX
text:
	MOVQ CX, ·panicTextSize(SB)
	LEAQ ·panicText(SB), DI
	CLD
	REP
	MOVSB
noted:
	MOVL $const_panicNoted, ·panicState(SB)
done:
	MOVQ ·mcallEntry(SB), R12
	JMP  R12
