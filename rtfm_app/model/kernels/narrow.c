/* Matrix products of whole numbers: x rounded to 8 bits with a scale for each token, weights with a
 * scale for each output. */

#include "numbers.h"

#if defined __AVX512VNNI__ && W == 16
#define MOST_WEIGHT 127
#define ROWS 12 /* tokens whose sums fit into the registers */
#define DOT(sum, weights, x)                                                                        \
    (ints)_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(weights), _mm512_set1_epi32(x))
#elif defined __AVXVNNI__ && W == 8 && !defined NO_VNNI
#define MOST_WEIGHT 127
#define ROWS 6
#define DOT(sum, weights, x)                                                                        \
    (ints)_mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(weights), _mm256_set1_epi32(x))
#elif defined __AVX2__ && W == 8
/* Sums of two products must fit into 16 bits: 7 bits for a weight. */
#define MOST_WEIGHT 63
#define ROWS 4
#define DOT(sum, weights, x)                                                                        \
    ((sum) + (ints)_mm256_madd_epi16(                                                               \
                 _mm256_maddubs_epi16((__m256i)(weights), _mm256_set1_epi32(x)),                    \
                 _mm256_set1_epi16(1)))
#else
#define MOST_WEIGHT 0 /* these products would not be faster */
#define ROWS 1
#endif

int lanes(void) { return W; }
int most_weight(void) { return MOST_WEIGHT; }
int rows_at_once(void) { return ROWS; }

/* x (T, K) to packed (T / ROWS, K / 4, ROWS, 4) bytes, the scale of each token and the sum of its
 * bytes; T is rounded up. K divides by 16. */
void narrow(int tokens, int width, const real *x, int8_t *packed, float *scales, int32_t *sums) {
    EACH for (int t = 0; t < tokens; t++) {
        const real *row = x + (long)t * width;
        int8_t *to = packed + (long)(t / ROWS) * ROWS * width + t % ROWS * 4;
        vec most = {0};
        ints sum = {0};
        float highest = 0;
        for (int k = 0; k < width; k += W) most = larger(most, absolute(take(row + k)));
        for (int i = 0; i < W; i++) highest = fmaxf(highest, most[i]);
        float times = highest > 0 ? 127 / highest : 0;
        for (int k = 0; k < width; k += W) {
            const float magic = 12582912.0f; /* adding it rounds to whole numbers */
            ints rounded = (ints)(take(row + k) * times + magic) - 0x4b400000;
            int8_t bytes[W];
            sum += rounded;
#if W == 8 && defined __AVX2__
            __m128i low = _mm256_castsi256_si128((__m256i)rounded), narrower;
            narrower = _mm_packs_epi32(low, _mm256_extracti128_si256((__m256i)rounded, 1));
            _mm_storel_epi64((__m128i *)bytes, _mm_packs_epi16(narrower, narrower));
#else
            for (int i = 0; i < W; i++) bytes[i] = rounded[i];
#endif
            for (int i = 0; i < W; i += 4) memcpy(to + (long)(k + i) * ROWS, bytes + i, 4);
        }
        scales[t] = highest / 127;
        sums[t] = 0;
        for (int i = 0; i < W; i++) sums[t] += sum[i];
    }
}

#if MOST_WEIGHT
/* What `narrow` made of x times weights (N / 2 W, K / 4, 2 W, 4), bytes with MOST_WEIGHT + 1 added,
 * their scales (N), plus bias (N); then GELU if `activated` -> y (T, N). */
void narrow_product(int tokens, int width, int outputs, const int8_t *packed, const float *scales,
                    const int32_t *sums, const uint8_t *weights, const float *weight_scales,
                    const float *bias, int activated, real *y) {
    EACH for (int n = 0; n < outputs; n += 2 * W)
        for (int t = 0; t < tokens; t += ROWS) {
            const uint8_t *weight = weights + (long)n * width;
            const int8_t *x = packed + (long)t * width;
            ints sum[ROWS][2];
            memset(sum, 0, sizeof sum);
            for (int k = 0; k < width; k += 4, weight += 8 * W, x += 4 * ROWS) {
                ints one = ((const volatile ints *)weight)[0];
                ints two = ((const volatile ints *)weight)[1];
                for (int r = 0; r < ROWS; r++) {
                    int32_t bytes;
                    memcpy(&bytes, x + 4 * r, 4);
                    sum[r][0] = DOT(sum[r][0], one, bytes);
                    sum[r][1] = DOT(sum[r][1], two, bytes);
                }
            }
            for (int r = 0; r < ROWS && t + r < tokens; r++)
                for (int p = 0; p < 2; p++) {
                    int at = n + p * W;
                    vec value = floats(sum[r][p] - (MOST_WEIGHT + 1) * sums[t + r]);
                    value *= scales[t + r] * *(const vec *)(weight_scales + at);
                    value += *(const vec *)(bias + at);
                    keep(y + (long)(t + r) * outputs + at, activated ? gelu_of(value) : value);
                }
        }
}
#endif
