/* What the kernels share; see fast_kernels.py.
 *
 * Plain C with the vector extensions of gcc and clang. `real` is the model's precision: bf16 with
 * -DBF16, else float. Arrays are dense and in C order unless a stride says otherwise; M memory
 * frames, D candidates, S rays, T tokens, H heads, 16 channels of a feature in 4 groups.
 */

#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t i16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t u16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t h16 __attribute__((vector_size(32), aligned(2), may_alias));

#define MOST_FRAMES 32 /* that the kernels have room for */
#define EACH _Pragma("omp parallel for schedule(static)")
#define INLINE static inline __attribute__((always_inline))

/* Numbers in the model's precision. */

#ifdef BF16
typedef uint16_t real;
INLINE float get(real x) {
    union { uint32_t bits; float value; } both = {(uint32_t)x << 16};
    return both.value;
}
INLINE real put(float x) {
    union { float value; uint32_t bits; } both = {x};
    return (both.bits + 0x7fff + ((both.bits >> 16) & 1)) >> 16;
}
INLINE v16 get16(const real *from) {
    return (v16)(__builtin_convertvector(*(const h16 *)from, u16) << 16);
}
INLINE void put16(real *to, v16 x) {
#ifdef __AVX512BF16__
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh((__m512)x));
#else
    u16 bits = (u16)x;
    *(h16 *)to = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, h16);
#endif
}
#else
typedef float real;
INLINE float get(real x) { return x; }
INLINE real put(float x) { return x; }
INLINE v16 get16(const real *from) { return *(const v16 *)from; }
INLINE void put16(real *to, v16 x) { *(v16 *)to = x; }
#endif

INLINE v16 all(float x) { return x - (v16){0}; }
INLINE v16 chosen(i16 where, v16 a, v16 b) { return (v16)(((i16)a & where) | ((i16)b & ~where)); }
#ifdef __AVX512F__
INLINE v16 larger(v16 a, v16 b) { return (v16)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE v16 smaller(v16 a, v16 b) { return (v16)_mm512_min_ps((__m512)a, (__m512)b); }
#else
INLINE v16 larger(v16 a, v16 b) { return chosen(a > b, a, b); }
INLINE v16 smaller(v16 a, v16 b) { return chosen(a < b, a, b); }
#endif
INLINE float within(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

INLINE float sum16(v16 x) {
    float sum = 0;
    for (int i = 0; i < 16; i++) sum += x[i];
    return sum;
}

/* The mean of each group of four, in all of its places. */
INLINE v16 grouped(v16 x) {
    x += __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    x += __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    return x * 0.25f;
}

/* To one part in 10^7, for x <= 88; 0 far below. */
INLINE v16 exp16(v16 x) {
    const float magic = 12582912.0f; /* adding it rounds to whole numbers */
    x = larger(x, all(-87.0f));
    v16 shifted = x * 1.44269504f + magic;
    v16 whole = shifted - magic;
    v16 rest = x - whole * 0.693145752f - whole * 1.42860677e-6f;
    v16 y = rest * 1.98756915e-4f + 1.39819995e-3f;
    y = y * rest + 8.33345191e-3f;
    y = y * rest + 4.16657959e-2f;
    y = y * rest + 1.66666655e-1f;
    y = y * rest + 0.5f;
    y = y * rest * rest + rest + 1.0f;
    i16 power = ((i16)shifted - 0x4b400000 + 127) << 23;
    return y * (v16)power;
}

/* `exp16`, only as exact as `real` can hold. */
INLINE v16 rough_exp16(v16 x) {
#ifdef BF16
    const float magic = 12582912.0f;
    x = larger(x, all(-87.0f)) * 1.44269504f;
    v16 shifted = x + magic, rest = x - (shifted - magic);
    v16 y = rest * 0.05517166f + 0.24261112f;
    y = y * rest + 0.69326099f;
    y = y * rest + 0.99992807f;
    return (v16)((i16)y + ((i16)shifted << 23));
#else
    return exp16(x);
#endif
}
