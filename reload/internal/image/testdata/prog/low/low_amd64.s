#include "textflag.h"

// A static function, and a variable of Go with its content here.
TEXT bump<>(SB), NOSPLIT, $0-0
	ADDQ step<>(SB), AX
	RET

DATA step<>+0(SB)/8, $1
GLOBL step<>(SB), RODATA|NOPTR, $8

DATA ·Table+0(SB)/8, $10
DATA ·Table+8(SB)/8, $20
DATA ·Table+16(SB)/8, $30
DATA ·Table+24(SB)/8, $40
GLOBL ·Table(SB), NOPTR, $32

TEXT ·Add(SB), NOSPLIT, $8-24
	MOVQ a+0(FP), AX
	ADDQ b+8(FP), AX
	CALL bump<>(SB)
	SUBQ step<>(SB), AX
	MOVQ AX, ret+16(FP)
	RET
