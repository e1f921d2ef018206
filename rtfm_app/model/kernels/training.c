/* Matching with a backward pass, for many targets at once: features are read at given places and
 * compared in one pass, so that what each frame shows at each place is never stored. */

#include "numbers.h"

#define APART 4.0f /* matching.APART */

/* All channels of a feature. */
typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t i16 __attribute__((vector_size(64), aligned(4), may_alias));

INLINE v16 every(float x) { return x - (v16){0}; }
INLINE v16 picked(i16 where, v16 a, v16 b) { return (v16)(((i16)a & where) | ((i16)b & ~where)); }
INLINE v16 in_fours(v16 x) {
#if W == 16
    return (v16)grouped((vec)x);
#else
    for (int part = 0; part < 16 / W; part++) ((vec *)&x)[part] = grouped(((vec *)&x)[part]);
    return x;
#endif
}

typedef struct {
    long corner;         /* left upper of four neighbours, in features */
    float shares[4];
} Reading;

/* Where grid_sample reads for `at` (x right, y down), with repeated borders. */
INLINE Reading reading_of(const float *at, int height, int width) {
    float x = within((at[0] + 1) * 0.5f * width - 0.5f, 0, width - 1);
    float y = within((at[1] + 1) * 0.5f * height - 0.5f, 0, height - 1);
    int left = (int)x, top = (int)y;
    left = left > width - 2 ? width - 2 : left;
    top = top > height - 2 ? height - 2 : top;
    float across = x - left, down = y - top;
    return (Reading){(long)(top * width + left) * 16,
                     {(1 - across) * (1 - down), across * (1 - down), (1 - across) * down,
                      across * down}};
}

typedef struct {
    int frames, pairs;
    float total; /* frames that see the place, at least 1e-3 */
    Reading where[MOST_FRAMES];
    v16 read[MOST_FRAMES], mean, variance, best;
    int seen[MOST_FRAMES], nearest[16]; /* by channel: the pair that agrees best, -1 for none */
} Seen;

INLINE int after(int m, int frames) { return m + 1 == frames ? 0 : m + 1; }

/* matching.agreement of the place p of one target. */
INLINE void look(Seen *found, const float *rows, const float *grid, const float *inside, long p,
                 long places, int height, int width) {
    int frames = found->frames;
    long size = (long)height * width * 16;
    float count = 0;
    v16 sum = {0}, spread = {0}, best = every(APART);
    i16 nearest = {0};
    nearest -= 1;
    for (int m = 0; m < frames; m++) {
        found->seen[m] = inside[m * places + p] != 0;
        if (!found->seen[m]) continue;
        Reading at = reading_of(grid + (m * places + p) * 2, height, width);
        const float *from = rows + m * size + at.corner;
        v16 x = at.shares[0] * *(const v16 *)from + at.shares[1] * *(const v16 *)(from + 16);
        from += width * 16;
        x += at.shares[2] * *(const v16 *)from + at.shares[3] * *(const v16 *)(from + 16);
        found->where[m] = at;
        found->read[m] = x;
        sum += x;
        count += 1;
    }
    found->total = count > 1e-3f ? count : 1e-3f;
    found->mean = sum / found->total;
    for (int m = 0; m < frames; m++) {
        if (!found->seen[m]) continue;
        v16 off = found->read[m] - found->mean;
        spread += off * off;
        int next = after(m, frames);
        if (m >= found->pairs || !found->seen[next]) continue;
        v16 apart = found->read[m] - found->read[next];
        apart = in_fours(apart * apart);
        i16 closer = apart < best;
        best = picked(closer, apart, best);
        nearest = (nearest & ~closer) | (m & closer);
    }
    found->variance = in_fours(spread) / found->total;
    found->best = best;
    *(i16 *)found->nearest = nearest;
}

INLINE int pairs_of(int frames) { return frames < 3 ? frames - 1 : frames; }

/* rows (N, M, h, w, 16), grid (N, M, P, 2), inside (N, M, P) -> mean (N, P, 16), compared (N, P, 8):
 * grouped variance and distance of the best pair. */
void evidence(int targets, int frames, int places, int height, int width, const float *rows,
              const float *grid, const float *inside, float *mean, float *compared) {
    long size = (long)height * width * 16 * frames;
    EACH for (int n = 0; n < targets; n++) {
        Seen found = {frames, pairs_of(frames)};
        for (long p = 0; p < places; p++) {
            look(&found, rows + n * size, grid + (long)n * frames * places * 2,
                 inside + (long)n * frames * places, p, places, height, width);
            *(v16 *)(mean + ((long)n * places + p) * 16) = found.mean;
            float *to = compared + ((long)n * places + p) * 8;
            for (int g = 0; g < 4; g++) {
                to[g] = found.variance[g * 4];
                to[g + 4] = found.best[g * 4];
            }
        }
    }
}

INLINE v16 in_groups(const float *from) {
    v16 x;
    for (int i = 0; i < 16; i++) x[i] = from[i / 4];
    return x;
}

/* Gradients of what `evidence` gives to that of its rows, which starts at zero. */
void evidence_backward(int targets, int frames, int places, int height, int width,
                       const float *rows, const float *grid, const float *inside,
                       const float *to_mean, const float *to_compared, float *to_rows) {
    long size = (long)height * width * 16 * frames;
    EACH for (int n = 0; n < targets; n++) {
        Seen found = {frames, pairs_of(frames)};
        for (long p = 0; p < places; p++) {
            look(&found, rows + n * size, grid + (long)n * frames * places * 2,
                 inside + (long)n * frames * places, p, places, height, width);
            const float *compared = to_compared + ((long)n * places + p) * 8;
            v16 gradient[MOST_FRAMES];
            v16 shared = *(const v16 *)(to_mean + ((long)n * places + p) * 16) / found.total;
            v16 variance = in_groups(compared) * (0.5f / found.total);
            v16 best = in_groups(compared + 4) * 0.5f;
            for (int m = 0; m < frames; m++)
                if (found.seen[m]) gradient[m] = shared + variance * (found.read[m] - found.mean);
            i16 nearest = *(const i16 *)found.nearest;
            for (int m = 0; m < found.pairs; m++) {
                int next = after(m, frames);
                if (!found.seen[m] || !found.seen[next]) continue;
                v16 apart = found.read[m] - found.read[next];
                v16 pull = picked(nearest == m, best * apart, every(0));
                gradient[m] += pull;
                gradient[next] -= pull;
            }
            for (int m = 0; m < frames; m++) {
                if (!found.seen[m]) continue;
                const Reading *at = &found.where[m];
                float *to = to_rows + n * size + m * (size / frames) + at->corner;
                *(v16 *)to += at->shares[0] * gradient[m];
                *(v16 *)(to + 16) += at->shares[1] * gradient[m];
                to += width * 16;
                *(v16 *)to += at->shares[2] * gradient[m];
                *(v16 *)(to + 16) += at->shares[3] * gradient[m];
            }
        }
    }
}

/* rows (N, h, w, 16) read at grid (N, P, 2) -> (N, P, 16), and its backward pass. */
void read_rows(int maps, int places, int height, int width, const float *rows, const float *grid,
               float *read) {
    EACH for (int n = 0; n < maps; n++)
        for (long p = 0; p < places; p++) {
            Reading at = reading_of(grid + ((long)n * places + p) * 2, height, width);
            const float *from = rows + (long)n * height * width * 16 + at.corner;
            v16 x = at.shares[0] * *(const v16 *)from + at.shares[1] * *(const v16 *)(from + 16);
            from += width * 16;
            x += at.shares[2] * *(const v16 *)from + at.shares[3] * *(const v16 *)(from + 16);
            *(v16 *)(read + ((long)n * places + p) * 16) = x;
        }
}

void read_rows_backward(int maps, int places, int height, int width, const float *grid,
                        const float *gradient, float *to_rows) {
    EACH for (int n = 0; n < maps; n++)
        for (long p = 0; p < places; p++) {
            Reading at = reading_of(grid + ((long)n * places + p) * 2, height, width);
            v16 x = *(const v16 *)(gradient + ((long)n * places + p) * 16);
            float *to = to_rows + (long)n * height * width * 16 + at.corner;
            *(v16 *)to += at.shares[0] * x;
            *(v16 *)(to + 16) += at.shares[1] * x;
            to += width * 16;
            *(v16 *)to += at.shares[2] * x;
            *(v16 *)(to + 16) += at.shares[3] * x;
        }
}
