#include "textflag.h"

// Offsets of the fields of lanes2.
#define OFFSET 0
#define RIGHT 64
#define LEFT 192
#define MASK 320
#define LIMIT 352
#define SHIFT 384
#define HIGH 448
#define TOP 456

// Two coefficients, from SI plus the registers a and b, into the words at acc(DI). Y0
// becomes their words: each loaded word goes down by the bit offset, the upper word's
// lowest bits fill the lower one. The lower sum is below what was added, unsigned,
// where it carries: that is a compare of signed words after both change sign.
#define PAIR(a, b, right, left, acc) \
	VMOVDQU     (SI)(a*1), X0            \
	VINSERTI128 $1, (SI)(b*1), Y0, Y0    \
	VPSRLDQ     $8, Y0, Y1               \
	VPSRLVQ     right, Y0, Y0            \
	VPSLLVQ     left, Y1, Y1             \
	VPOR        Y0, Y1, Y0               \
	VPAND       Y12, Y0, Y0              \
	VPSUBQ      Y0, Y13, Y1              \
	VPOR        Y1, Y15, Y15             \
	VPADDQ      acc(DI), Y0, Y2          \
	VPXOR       Y14, Y0, Y0              \
	VPXOR       Y14, Y2, Y1              \
	VPCMPGTQ    Y1, Y0, Y1               \
	VPSLLDQ     $8, Y1, Y1               \
	VPSUBQ      Y1, Y2, Y2               \
	VMOVDQU     Y2, acc(DI)

#define OFFSETS \
	MOVQ (OFFSET+8)(DX), AX   \
	MOVQ (OFFSET+16)(DX), BX  \
	MOVQ (OFFSET+24)(DX), R8  \
	MOVQ (OFFSET+32)(DX), R9  \
	MOVQ (OFFSET+40)(DX), R10 \
	MOVQ (OFFSET+48)(DX), R11 \
	MOVQ (OFFSET+56)(DX), R12

// func addLanes2(acc *uint64, src *byte, groups int, k *lanes2) (doubt uint64)
TEXT ·addLanes2(SB), NOSPLIT, $0-40
	MOVQ acc+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ k+24(FP), DX
	OFFSETS
	VMOVDQU  (RIGHT+0)(DX), Y4
	VMOVDQU  (RIGHT+32)(DX), Y5
	VMOVDQU  (RIGHT+64)(DX), Y6
	VMOVDQU  (RIGHT+96)(DX), Y7
	VMOVDQU  (LEFT+0)(DX), Y8
	VMOVDQU  (LEFT+32)(DX), Y9
	VMOVDQU  (LEFT+64)(DX), Y10
	VMOVDQU  (LEFT+96)(DX), Y11
	VMOVDQU  MASK(DX), Y12
	VMOVDQU  LIMIT(DX), Y13
	VPCMPEQD Y14, Y14, Y14
	VPSLLQ   $63, Y14, Y14
	VPXOR    Y15, Y15, Y15
	XORQ     R13, R13

	// Eight coefficients have Bits bytes, eight times the second one's bit position.
	MOVQ SHIFT+8(DX), DX
	LEAQ (DX)(AX*8), DX

add:
	TESTQ CX, CX
	JE    added
	PAIR(R13, AX, Y4, Y8, 0)
	PAIR(BX, R8, Y5, Y9, 32)
	PAIR(R9, R10, Y6, Y10, 64)
	PAIR(R11, R12, Y7, Y11, 96)
	ADDQ  DX, SI
	ADDQ  $128, DI
	DECQ  CX
	JMP   add

added:
	// Bit 63 of the upper words counts.
	VEXTRACTI128 $1, Y15, X0
	VPOR         X0, X15, X0
	VPEXTRQ      $1, X0, AX
	MOVQ         AX, doubt+32(FP)
	VZEROUPPER
	RET

// func doubtLanes2(src *byte, groups int, k *lanes2) (doubt uint64)
TEXT ·doubtLanes2(SB), NOSPLIT, $0-32
	MOVQ src+0(FP), SI
	MOVQ groups+8(FP), CX
	MOVQ k+16(FP), DX
	OFFSETS
	VMOVDQU      (SHIFT+0)(DX), Y4
	VMOVDQU      (SHIFT+32)(DX), Y5
	VPBROADCASTQ HIGH(DX), Y6
	VPBROADCASTQ TOP(DX), Y7
	VPXOR        Y8, Y8, Y8
	VPXOR        Y9, Y9, Y9
	MOVQ         SHIFT+8(DX), DX
	LEAQ         (DX)(AX*8), DX

look:
	TESTQ       CX, CX
	JE          looked
	VMOVQ       7(SI), X0
	VPINSRQ     $1, 7(SI)(AX*1), X0, X0
	VMOVQ       7(SI)(BX*1), X1
	VPINSRQ     $1, 7(SI)(R8*1), X1, X1
	VMOVQ       7(SI)(R9*1), X2
	VPINSRQ     $1, 7(SI)(R10*1), X2, X2
	VMOVQ       7(SI)(R11*1), X3
	VPINSRQ     $1, 7(SI)(R12*1), X3, X3
	VINSERTI128 $1, X1, Y0, Y0
	VINSERTI128 $1, X3, Y2, Y2
	VPSRLVQ     Y4, Y0, Y0
	VPSRLVQ     Y5, Y2, Y2
	VPAND       Y6, Y0, Y0
	VPAND       Y6, Y2, Y2
	VPSUBQ      Y0, Y7, Y0
	VPSUBQ      Y2, Y7, Y2
	VPOR        Y0, Y8, Y8
	VPOR        Y2, Y9, Y9
	ADDQ        DX, SI
	DECQ        CX
	JMP         look

looked:
	VPOR         Y9, Y8, Y8
	VEXTRACTI128 $1, Y8, X0
	VPOR         X0, X8, X0
	VPSRLDQ      $8, X0, X1
	VPOR         X0, X1, X0
	VMOVQ        X0, AX
	MOVQ         AX, doubt+24(FP)
	VZEROUPPER
	RET
