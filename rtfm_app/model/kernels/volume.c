/* The plane sweep's volume (D, rows, columns, 16): filters over candidates and rays. */

#include "reading.h"

#ifndef BF16
#define AT_ONCE (W / 2) /* neighbours whose sums fit into the registers; divides the columns */

/* y = x + ReLU of a filter of 3 x 3 x 3 places, weights (27, 16 of x, 16 of y), bias (16). oneDNN
 * takes four times as long for so few channels in float. */
void filter_volume(int planes, int rows, int columns, const float *x, const float *weights,
                   const float *bias, float *y) {
    EACH for (int row = 0; row < planes * rows; row++) {
        int plane = row / rows;
        float near[9][columns + 2][CHANNELS]; /* the rows around this one, with zeros around them */
        memset(near, 0, sizeof near);
        for (int i = 0; i < 9; i++) {
            int z = plane + i / 3 - 1, r = row % rows + i % 3 - 1;
            if (z < 0 || z >= planes || r < 0 || r >= rows) continue;
            const float *from = x + ((long)z * rows + r) * columns * CHANNELS;
            memcpy(near[i][1], from, sizeof(float) * columns * CHANNELS);
        }
        for (int column = 0; column < columns; column += AT_ONCE) {
            vec sums[AT_ONCE][PARTS];
            for (int i = 0; i < AT_ONCE; i++)
                for (int p = 0; p < PARTS; p++) sums[i][p] = ((const vec *)bias)[p];
            const vec *weight = (const vec *)weights;
            for (int tap = 0; tap < 27; tap++) {
                const float *from = near[tap / 3][column + tap % 3];
                for (int c = 0; c < CHANNELS; c++, weight += PARTS) {
                    vec one[PARTS]; /* volatile: read once, gcc would read it for each sum */
                    for (int p = 0; p < PARTS; p++) one[p] = ((const volatile vec *)weight)[p];
                    for (int i = 0; i < AT_ONCE; i++)
                        for (int p = 0; p < PARTS; p++)
                            sums[i][p] += from[i * CHANNELS + c] * one[p];
                }
            }
            const vec *before = (const vec *)near[4][column + 1];
            vec *to = (vec *)(y + ((long)row * columns + column) * CHANNELS);
            for (int i = 0; i < AT_ONCE; i++)
                for (int p = 0; p < PARTS; p++)
                    to[i * PARTS + p] = before[i * PARTS + p] + larger(sums[i][p], all(0));
        }
    }
}
#endif

/* x += ReLU(change), both `count` numbers. */
void add_rectified(int count, const real *change, real *x) {
    EACH for (int i = 0; i < count; i += W)
        keep(x + i, take(x + i) + larger(take(change + i), all(0)));
}

/* x (D, S, 16), plus ReLU(change) unless that is 0, through a filter of single places (2, 16) with
 * bias (2): its first output as logits (D, S) float, both as rows (S, 2 D). */
void volume_outputs(int planes, int rays, const real *x, const real *change, const float *filter,
                    const float *bias, float *logits, real *outputs) {
    const vec *weights = (const vec *)filter;
    EACH for (int s = 0; s < rays; s++)
        for (int d = 0; d < planes; d++) {
            long at = (long)d * rays + s;
            vec first = {0}, second = {0};
            for (int p = 0; p < PARTS; p++) {
                vec one = take(x + at * CHANNELS + p * W);
                if (change) one += larger(take(change + at * CHANNELS + p * W), all(0));
                first += one * weights[p];
                second += one * weights[PARTS + p];
            }
            logits[at] = sum_of(first) + bias[0];
            outputs[(long)s * 2 * planes + d] = put(logits[at]);
            outputs[((long)s * 2 + 1) * planes + d] = put(sum_of(second) + bias[1]);
        }
}
