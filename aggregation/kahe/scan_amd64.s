#include "textflag.h"

// One threshold against eight outcomes: the mask of those above it is -1.
#define COMPARE(outcomes, count, mask) \
	VPCMPGTD Y12, outcomes, mask \
	VPSUBD   mask, count, count

// func scanVector(out *[512]uint64, bytes *byte, limits *[40]int32)
//
// All thresholds are compared for all samples, in 32 rounds of 32 samples.
TEXT ·scanVector(SB), NOSPLIT, $0-24
	MOVQ     out+0(FP), DI
	MOVQ     bytes+8(FP), SI
	MOVQ     limits+16(FP), DX
	MOVQ     $32, CX
	VPCMPEQD Y13, Y13, Y13
	VPSRLD   $1, Y13, Y13      // all bits of an outcome but the sign

samples:
	VPAND (SI), Y13, Y0
	VPAND 32(SI), Y13, Y1
	VPAND 64(SI), Y13, Y2
	VPAND 96(SI), Y13, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	XORQ  AX, AX

threshold:
	VPBROADCASTD (DX)(AX*4), Y12
	COMPARE(Y0, Y4, Y8)
	COMPARE(Y1, Y5, Y9)
	COMPARE(Y2, Y6, Y10)
	COMPARE(Y3, Y7, Y11)
	INCQ         AX
	CMPQ         AX, $40
	JNE          threshold

	VMOVDQU Y4, (DI)
	VMOVDQU Y5, 32(DI)
	VMOVDQU Y6, 64(DI)
	VMOVDQU Y7, 96(DI)
	ADDQ    $128, SI
	ADDQ    $128, DI
	DECQ    CX
	JNE     samples

	// The outcomes are secret.
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VZEROUPPER
	RET
