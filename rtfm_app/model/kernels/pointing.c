/* From what is said of the candidates to coordinates. */

#include "numbers.h"

#define WINDOW 4 /* candidates on each side: pointer.local_expectation, settling.certainty */

/* logits (D, S) -> the expected candidate within the heaviest window, 0 to 1, and that window's
 * share, both (S). S divides by 16. */
void expect(int planes, int rays, const float *logits, float *u, float *certain) {
    EACH for (int s = 0; s < rays; s += W) {
        vec share[planes], most = *(const vec *)(logits + s), total = {0};
        for (int d = 1; d < planes; d++)
            most = larger(most, *(const vec *)(logits + (long)d * rays + s));
        for (int d = 0; d < planes; d++)
            total += share[d] = exp_of(*(const vec *)(logits + (long)d * rays + s) - most);
        vec heaviest = {0}, moment = {0};
        for (int middle = 0; middle < planes; middle++) {
            vec weight = {0}, sum = {0};
            int last = middle + WINDOW < planes ? middle + WINDOW : planes - 1;
            for (int d = middle < WINDOW ? 0 : middle - WINDOW; d <= last; d++) {
                weight += share[d];
                sum += share[d] * (float)d;
            }
            ints heavier = weight > heaviest;
            heaviest = chosen(heavier, weight, heaviest);
            moment = chosen(heavier, sum, moment);
        }
        *(vec *)(u + s) = moment / (heaviest * (float)(planes - 1));
        *(vec *)(certain + s) = smaller(heaviest / total, all(1));
    }
}

/* u (h, w) -> fine (2 h, 2 w): every fine cell is a convex combination of the 3 x 3 coarse ones
 * around it; `outputs` numbers for each coarse cell in rows, from `first` on logits (9, 4). */
void upsample(int h, int w, const float *u, int outputs, int first, const float *rows,
              float *fine) {
    EACH for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float shares[48] = {0};
            four *share = (four *)shares, total = {0}, sum = {0};
            const four *from = (const four *)(rows + ((long)y * w + x) * outputs + first);
            four most = from[0];
            for (int i = 1; i < 9; i++)
                for (int k = 0; k < 4; k++) most[k] = fmaxf(most[k], from[i][k]);
            for (int i = 0; i < 9; i++) share[i] = from[i] - most;
            for (int i = 0; i < 48; i += W) *(vec *)(shares + i) = exp_of(*(vec *)(shares + i));
            for (int i = 0; i < 9; i++) {
                int r = y + i / 3 - 1, c = x + i % 3 - 1;
                r = r < 0 ? 0 : r < h ? r : h - 1;
                c = c < 0 ? 0 : c < w ? c : w - 1;
                total += share[i];
                sum += share[i] * u[(long)r * w + c];
            }
            sum /= total;
            float *to = fine + ((long)y * 2 * w + x) * 2;
            to[0] = sum[0], to[1] = sum[1], to[2 * w] = sum[2], to[2 * w + 1] = sum[3];
        }
}
