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
#if defined __SSE2__
#include <immintrin.h>
#endif

/* `vec`: as many numbers as the processor adds at once. Wider ones would be split by the compiler,
 * which gcc does ten times too slowly. */
#if defined __AVX512F__
#define W 16
#elif defined __AVX__
#define W 8
#else
#define W 4
#endif
typedef float vec __attribute__((vector_size(W * 4), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(W * 4), aligned(4), may_alias));
typedef uint32_t words __attribute__((vector_size(W * 4), aligned(4), may_alias));
typedef uint16_t halves __attribute__((vector_size(W * 2), aligned(2), may_alias));
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

#define MOST_FRAMES 32 /* that the kernels have room for */
#define EACH _Pragma("omp parallel for schedule(static)")
#define EACH_UNEVEN _Pragma("omp parallel for schedule(dynamic, 8)")
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
INLINE vec take(const real *from) {
    return (vec)(__builtin_convertvector(*(const halves *)from, words) << 16);
}
INLINE void keep(real *to, vec x) {
#ifdef __AVX512BF16__
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh((__m512)x));
#else
    words bits = (words)x;
    *(halves *)to = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, halves);
#endif
}
#else
typedef float real;
INLINE float get(real x) { return x; }
INLINE real put(float x) { return x; }
INLINE vec take(const real *from) { return *(const vec *)from; }
INLINE void keep(real *to, vec x) { *(vec *)to = x; }
#endif

INLINE vec all(float x) { return x - (vec){0}; }
INLINE vec chosen(ints where, vec a, vec b) { return (vec)(((ints)a & where) | ((ints)b & ~where)); }
INLINE vec absolute(vec x) { return (vec)((ints)x & 0x7fffffff); }
#if W == 16
INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec smaller(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vec root(vec x) { return (vec)_mm512_sqrt_ps((__m512)x); }
#elif W == 8
INLINE vec larger(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vec smaller(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vec root(vec x) { return (vec)_mm256_sqrt_ps((__m256)x); }
#else
INLINE vec larger(vec a, vec b) { return chosen(a > b, a, b); }
INLINE vec smaller(vec a, vec b) { return chosen(a < b, a, b); }
INLINE vec root(vec x) {
    for (int i = 0; i < W; i++) x[i] = sqrtf(x[i]);
    return x;
}
#endif
INLINE vec between(vec x, float low, float high) { return smaller(larger(x, all(low)), all(high)); }
INLINE vec floats(ints x) { return __builtin_convertvector(x, vec); }
INLINE ints whole(vec x) { return __builtin_convertvector(x, ints); }
INLINE float within(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

INLINE float sum_of(vec x) {
#if W == 16
    return _mm512_reduce_add_ps((__m512)x);
#else
    float sum = 0;
    for (int i = 0; i < W; i++) sum += x[i];
    return sum;
#endif
}

/* The mean of each group of four, in all of its places. */
INLINE vec grouped(vec x) {
#if defined __AVX512F__
#define SWAPPED(x, how) (vec)_mm512_permute_ps((__m512)(x), how)
#elif defined __AVX__
#define SWAPPED(x, how) (vec)_mm256_permute_ps((__m256)(x), how)
#elif defined __SSE2__
#define SWAPPED(x, how) (vec)_mm_shuffle_ps((__m128)(x), (__m128)(x), how)
#endif
#ifdef SWAPPED
    x += SWAPPED(x, 0xb1);
    x += SWAPPED(x, 0x4e);
    return x * 0.25f;
#else
    return all((x[0] + x[1] + x[2] + x[3]) * 0.25f);
#endif
}

/* To one part in 10^7, for x <= 88; 0 far below. */
INLINE vec exp_of(vec x) {
    const float magic = 12582912.0f; /* adding it rounds to whole numbers */
    x = larger(x, all(-87.0f));
    vec shifted = x * 1.44269504f + magic;
    vec turns = shifted - magic;
    vec rest = x - turns * 0.693145752f - turns * 1.42860677e-6f;
    vec y = rest * 1.98756915e-4f + 1.39819995e-3f;
    y = y * rest + 8.33345191e-3f;
    y = y * rest + 4.16657959e-2f;
    y = y * rest + 1.66666655e-1f;
    y = y * rest + 0.5f;
    y = y * rest * rest + rest + 1.0f;
    ints power = ((ints)shifted - 0x4b400000 + 127) << 23;
    return y * (vec)power;
}

/* `exp_of`, only as exact as `real` can hold. */
INLINE vec rough_exp_of(vec x) {
#ifdef BF16
    const float magic = 12582912.0f;
    x = larger(x, all(-87.0f)) * 1.44269504f;
    vec shifted = x + magic, rest = x - (shifted - magic);
    vec y = rest * 0.05517166f + 0.24261112f;
    y = y * rest + 0.69326099f;
    y = y * rest + 0.99992807f;
    return (vec)((ints)y + ((ints)shifted << 23));
#else
    return exp_of(x);
#endif
}

/* Of positive numbers, to one part in 10^7 (Cephes logf). */
INLINE vec log_of(vec x) {
    ints power = ((ints)x >> 23) - 126;
    vec rest = (vec)(((ints)x & 0x7fffff) | 0x3f000000);
    ints low = rest < 0.707106781f;
    power += low;
    rest = rest - 1 + (vec)((ints)rest & low);
    vec y = rest * 7.0376836292e-2f - 1.1514610310e-1f;
    y = y * rest + 1.1676998740e-1f;
    y = y * rest - 1.2420140846e-1f;
    y = y * rest + 1.4249322787e-1f;
    y = y * rest - 1.6668057665e-1f;
    y = y * rest + 2.0000714765e-1f;
    y = y * rest - 2.4999993993e-1f;
    y = y * rest + 3.3333331174e-1f;
    vec square = rest * rest;
    y = y * rest * square - floats(power) * 2.12194440e-4f - 0.5f * square;
    return rest + y + floats(power) * 0.693359375f;
}

/* GELU by tanh. */
INLINE vec gelu_of(vec x) {
    return x / (1 + exp_of(smaller(-x * (x * x * 0.0713548163f + 1.59576912f), all(87.0f))));
}
