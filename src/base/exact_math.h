/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exp, log, sin and cos that give the same bits on every machine: libm's differ
 * between versions, and everything that reaches a logit or a sampling decision
 * must not. Only +, -, *, /, sqrt, fma and integer operations of IEEE 754 are
 * used, in one fixed order (compile with -ffp-contract=off, no fast-math).
 */
#ifndef ELLM_BASE_EXACT_MATH_H
#define ELLM_BASE_EXACT_MATH_H

double exact_exp(double x);           /* < 2 ulp; 0 below -745, inf above 709.78 */
double exact_log(double x);           /* x > 0; < 2 ulp */
/* x > 0: exp(y log x) with the product in double-double, < 4 ulp for results of moderate size */
double exact_pow(double x, double y);
double exact_sin(double x);           /* |x| < 2^30, else NaN; < 2 ulp */
double exact_cos(double x);           /* the same */

#endif
