/* Between the transformer's products: x (T, D) float, everything else in the model's precision. */

#include "numbers.h"

/* x += gain * change (unless change is 0), then y = layer norm of x, times scale, plus shift
 * (unless y is 0). gain, scale, shift (D); D divides by 16. */
void residual_norm(int tokens, int dim, float *x, const real *change, const float *gain,
                   const float *scale, const float *shift, real *y) {
    EACH for (int t = 0; t < tokens; t++) {
        float *row = x + (long)t * dim;
        vec sum = {0}, squares = {0};
        for (int d = 0; d < dim; d += W) {
            vec value = *(vec *)(row + d);
            if (change) {
                value += *(const vec *)(gain + d) * take(change + (long)t * dim + d);
                *(vec *)(row + d) = value;
            }
            sum += value;
        }
        if (!y) continue;
        float mean = sum_of(sum) / dim;
        for (int d = 0; d < dim; d += W) {
            vec off = *(vec *)(row + d) - mean;
            squares += off * off;
        }
        float inverse = 1 / sqrtf(sum_of(squares) / dim + 1e-5f);
        for (int d = 0; d < dim; d += W) {
            vec value = (*(vec *)(row + d) - mean) * inverse;
            value = value * *(const vec *)(scale + d) + *(const vec *)(shift + d);
            keep(y + (long)t * dim + d, value);
        }
    }
}

/* n numbers times a number and, unless it is 0, a scale (n); the last half turned by angles with
 * n / 4 cosines and sines, backwards if `sign` is -1. */
INLINE void turn(const real *from, float times, const float *scale, const float *cosine,
                 const float *sine, float sign, int n, real *to) {
    float x[n];
    if (n % (4 * W)) {
        for (int i = 0; i < n; i++) x[i] = get(from[i]) * times * (scale ? scale[i] : 1);
        for (int i = 0; i < n / 2; i++) to[i] = put(x[i]);
        for (int i = 0; i < n / 4; i++) {
            float a = x[n / 2 + i], b = x[3 * n / 4 + i], s = sign * sine[i];
            to[n / 2 + i] = put(a * cosine[i] - b * s);
            to[3 * n / 4 + i] = put(b * cosine[i] + a * s);
        }
        return;
    }
    for (int i = 0; i < n; i += W) {
        vec one = take(from + i) * times;
        if (scale) one *= *(const vec *)(scale + i);
        *(vec *)(x + i) = one;
    }
    for (int i = 0; i < n / 2; i += W) keep(to + i, *(vec *)(x + i));
    for (int i = 0; i < n / 4; i += W) {
        vec a = *(vec *)(x + n / 2 + i), b = *(vec *)(x + 3 * n / 4 + i);
        vec c = *(const vec *)(cosine + i), s = *(const vec *)(sine + i) * sign;
        keep(to + n / 2 + i, a * c - b * s);
        keep(to + 3 * n / 4 + i, b * c + a * s);
    }
}

INLINE void split_one(const real *from, const float *scale, const float *cosine,
                      const float *sine, int n, real *to) {
    float times = 1;
    if (scale) {
        vec squares = {0};
        int i = 0;
        for (; i + W <= n; i += W) squares += take(from + i) * take(from + i);
        float sum = sum_of(squares);
        for (; i < n; i++) sum += get(from[i]) * get(from[i]);
        times = 1 / sqrtf(sum / n + 1.1920929e-7f);
    }
    turn(from, times, scale, cosine, sine, 1, n, to);
}

/* qkv (T, 3, H, n) -> q (H, T, n), k and v (H, stride, n): RMS norm of q and k, RoPE. cosines and
 * sines (T, n / 4). */
void split_heads(int tokens, int heads, int n, const real *qkv, const float *q_scale,
                 const float *k_scale, const float *cosines, const float *sines, real *q, real *k,
                 real *v, int stride) {
    EACH for (int t = 0; t < tokens; t++) {
        const float *cosine = cosines + (long)t * n / 4, *sine = sines + (long)t * n / 4;
        for (int part = 0; part < 3; part++)
            for (int h = 0; h < heads; h++) {
                const real *from = qkv + (((long)t * 3 + part) * heads + h) * n;
                const float *scale = part == 0 ? q_scale : part == 1 ? k_scale : 0;
                real *to = part == 0 ? q + ((long)h * tokens + t) * n
                                     : (part == 1 ? k : v) + ((long)h * stride + t) * n;
                if (n == 64) split_one(from, scale, cosine, sine, 64, to);
                else split_one(from, scale, cosine, sine, n, to);
            }
    }
}

/* page (M, 2, H, T, n) -> behind the target's own in both (2, H, (M + 1) T, n), brought into the
 * target's camera by transforms (M, 4, 4): the first half of the n numbers are 4 vectors. */
INLINE void remember_one(const real *from, const float *transform, int n, real *to) {
    int each = n / 8;
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < each; c++) {
            float sum = 0;
            for (int j = 0; j < 4; j++) sum += transform[4 * i + j] * get(from[j * each + c]);
            to[i * each + c] = put(sum);
        }
    for (int c = n / 2; c < n; c++) to[c] = from[c];
}

void remember(int frames, int heads, int tokens, int n, const real *page, const float *transforms,
              real *both) {
    EACH for (int part = 0; part < frames * 2 * heads; part++) {
        int m = part / (2 * heads), of = part % (2 * heads);
        const real *from = page + (long)part * tokens * n;
        real *to = both + ((long)of * (frames + 1) + m + 1) * tokens * n;
        if (!transforms) memcpy(to, from, sizeof(real) * tokens * n);
        else for (long t = 0; t < tokens; t++) {
            if (n == 64) remember_one(from + t * 64, transforms + 16 * m, 64, to + t * 64);
            else remember_one(from + t * n, transforms + 16 * m, n, to + t * n);
        }
    }
}

/* scores (rows, columns) -> exp(score - the row's largest), in place; their sums (rows). Columns
 * divide by 16. */
void exp_rows(int rows, int columns, real *scores, float *sums) {
    EACH for (int r = 0; r < rows; r++) {
        real *row = scores + (long)r * columns;
        vec most = take(row), sum = {0};
        for (int c = W; c < columns; c += W) most = larger(most, take(row + c));
        float highest = most[0];
        for (int i = 1; i < W; i++) highest = most[i] > highest ? most[i] : highest;
        for (int c = 0; c < columns; c += W) {
            vec x = rough_exp_of(take(row + c) - highest);
            sum += x;
            keep(row + c, x);
        }
        sums[r] = sum_of(sum);
    }
}

/* x = GELU(x) (by tanh) + added, unless that is 0; `count` numbers, which divides by 16. */
void gelu(int count, const real *added, real *x) {
    EACH for (int i = 0; i < count; i += W) {
        vec one = gelu_of(take(x + i));
        if (added) one += take(added + i);
        keep(x + i, one);
    }
}

/* attended (H, T, n), sums (H, T) -> joined (T, H, n): divided by the sums, turned back. */
void join_heads(int tokens, int heads, int n, const real *attended, const float *sums,
                const float *cosines, const float *sines, real *joined) {
    EACH for (int t = 0; t < tokens; t++) {
        const float *cosine = cosines + (long)t * n / 4, *sine = sines + (long)t * n / 4;
        for (int h = 0; h < heads; h++) {
            long from = (long)h * tokens + t, to = ((long)t * heads + h) * n;
            float over = 1 / sums[from];
            if (n == 64) turn(attended + from * 64, over, 0, cosine, sine, -1, 64, joined + to);
            else turn(attended + from * n, over, 0, cosine, sine, -1, n, joined + to);
        }
    }
}
