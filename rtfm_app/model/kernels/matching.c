/* Matching: how well what the memory frames show along the rays agrees. */

#include "reading.h"

#define OUTSIDE 40.0f /* pointer.OUTSIDE */
#define APART 4.0f /* matching.APART */

/* Of W rays. */
typedef struct {
    float mean[W][CHANNELS];
    float variance[W][CHANNELS], best[W][CHANNELS]; /* in groups */
    vec seen;                                       /* by how many frames */
    vec own[3];                                     /* own_distance.gathered */
} Agreement;

/* matching.agreement of ray i, seen by the frames whose bits are in `by`. */
INLINE void compare(int frames, const Read *read, int i, int by, float seen, Agreement *found) {
    Feature mean, variance, best;
    float over = 1 / fmaxf(seen, 1e-3f);
    for (int p = 0; p < PARTS; p++) {
        vec sum = {0};
        for (int m = 0; m < frames; m++)
            if (by >> m & 1) sum += read[m].features[i].parts[p];
        mean.parts[p] = sum * over;
        variance.parts[p] = all(0);
        best.parts[p] = all(APART);
        for (int m = 0; m < frames; m++) {
            if (!(by >> m & 1)) continue;
            vec one = read[m].features[i].parts[p], off = one - mean.parts[p];
            variance.parts[p] += off * off;
            int next = m + 1 == frames ? 0 : m + 1;
            if (next == m || (frames == 2 && m == 1) || !(by >> next & 1)) continue;
            vec apart = one - read[next].features[i].parts[p];
            best.parts[p] = smaller(best.parts[p], grouped(apart * apart));
        }
        *(vec *)(found->mean[i] + p * W) = mean.parts[p];
        *(vec *)(found->variance[i] + p * W) = grouped(variance.parts[p]) * over;
        *(vec *)(found->best[i] + p * W) = best.parts[p];
    }
}

INLINE void agree(const Memory *memory, int frames, int s, vec rho, Agreement *found) {
    Read read[frames];
    words by = {0};
    found->seen = found->own[0] = found->own[1] = found->own[2] = all(0);
    for (int m = 0; m < frames; m++) {
        Places at = places_of(memory, m, s, rho);
        if (!any(at.inside)) continue;
        vec fit, side;
        read_places(memory, m, &at, 0, &read[m]);
        fitting(rho, at.depth, read[m].own, &fit, &side);
        by |= (words)at.inside & (1u << m);
        fit = (vec)((ints)fit & at.inside);
        found->seen -= floats(at.inside);
        found->own[0] += fit;
        found->own[1] = larger(found->own[1], fit);
        found->own[2] += (vec)((ints)side & at.inside);
    }
    vec over = 1 / larger(found->seen, all(1e-3f));
    found->own[0] *= over;
    found->own[2] *= over;
    uint32_t seen_by[W], everyone = frames == 32 ? ~0u : (1u << frames) - 1;
    float seen[W];
    *(words *)seen_by = by;
    *(vec *)seen = found->seen;
    for (int i = 0; i < W; i++) {
        if (seen_by[i] == everyone) compare(frames, read, i, everyone, frames, found);
        else compare(frames, read, i, seen_by[i], seen[i], found);
    }
}

/* Four frames are the usual number: the compiler then knows it. */
INLINE void agreement_at(const Memory *memory, int s, vec rho, Agreement *found) {
    if (memory->frames == 4) agree(memory, 4, s, rho, found);
    else agree(memory, memory->frames, s, rho, found);
}

/* The plane sweep for rho (D): its agreement volume (variance, best pair, share that sees, whether
 * several do, own evidence) after a filter of single places (13 + 1, 16), the bias last, and ReLU,
 * (D, S, 16); mean features (D, S, 16) float and share of the frames that see a place (D, S)
 * float. */
void sweep(int frames, int rays, int height, int width, const float *origin, const float *step,
           const float *features, const float *own, int planes, const float *rho,
           const float *filter, real *volume, float *mean, float *seen) {
    Memory memory = {frames, rays, height, width, origin, step, features, own};
    int blocks = rays / W;
    EACH_UNEVEN for (int block = 0; block < planes * blocks; block++) {
        int d = block / blocks, s = block % blocks * W;
        Agreement found;
        agreement_at(&memory, s, all(rho[d]), &found);
        long at = (long)d * rays + s;
        vec several = chosen(found.seen > 1.5f, all(1), all(0));
        float rest[5][W];
        *(vec *)rest[0] = *(vec *)(seen + at) = found.seen / (float)frames;
        *(vec *)rest[1] = several;
        for (int c = 0; c < 3; c++) *(vec *)rest[2 + c] = found.own[c];
        memcpy(mean + at * CHANNELS, found.mean, sizeof found.mean);
        for (int i = 0; i < W; i++)
            for (int p = 0; p < PARTS; p++) {
                const vec *weights = (const vec *)(filter + p * W);
                vec sum = weights[13 * PARTS];
                for (int g = 0; g < 4; g++) {
                    sum += found.variance[i][4 * g] * weights[g * PARTS];
                    sum += found.best[i][4 * g] * weights[(4 + g) * PARTS];
                }
                for (int c = 0; c < 5; c++) sum += rest[c][i] * weights[(8 + c) * PARTS];
                keep(volume + (at + i) * CHANNELS + p * W, larger(sum, all(0)));
            }
    }
}

/* What the tokens get of a sweep: logits (D, S) float divided by sqrt(D), the expected features,
 * the features at infinity and the share that sees it, (D + 33, S). */
void sweep_cues(int planes, int rays, const float *logits, const float *mean, const float *seen,
                float *cues) {
    EACH for (int s = 0; s < rays; s += W) {
        vec most = *(const vec *)(logits + s), total = {0}, over = all(1 / sqrtf(planes));
        for (int d = 1; d < planes; d++)
            most = larger(most, *(const vec *)(logits + (long)d * rays + s));
        Feature expected[W];
        memset(expected, 0, sizeof expected);
        for (int d = 0; d < planes; d++) {
            long at = (long)d * rays + s;
            vec logit = *(const vec *)(logits + at), share = exp_of(logit - most);
            float shares[W];
            *(vec *)shares = share;
            total += share;
            *(vec *)(cues + at) = logit * over;
            for (int i = 0; i < W; i++)
                for (int p = 0; p < PARTS; p++)
                    expected[i].parts[p] +=
                        shares[i] * *(const vec *)(mean + (at + i) * CHANNELS + p * W);
        }
        float *to = cues + (long)planes * rays + s;
        for (int c = 0; c < CHANNELS; c++)
            for (int i = 0; i < W; i++) {
                to[(long)c * rays + i] = ((float *)&expected[i])[c] / total[i];
                to[(long)(CHANNELS + c) * rays + i] = mean[(long)(s + i) * CHANNELS + c];
            }
        *(vec *)(to + 32L * rays) = *(const vec *)(seen + s);
    }
}

/* What a refinement sees, (S, 9 D + 17 + context + hidden): evidence around rho (D, S), the context
 * (S, contexts), u (S) and the hidden features of the last one (S, hiddens). */
void refine_inputs(int frames, int rays, int height, int width, const float *origin,
                   const float *step, const float *features, const float *own, int offsets,
                   const float *rho, int contexts, const real *context, const float *u,
                   int hiddens, const real *hidden, real *x) {
    Memory memory = {frames, rays, height, width, origin, step, features, own};
    int evidence = 9 * offsets + CHANNELS, total = evidence + contexts + 1 + hiddens;
    EACH_UNEVEN for (int s = 0; s < rays; s += W) {
        float rows[W][evidence + W];
        for (int d = 0; d < offsets; d++) {
            Agreement found;
            agreement_at(&memory, s, *(const vec *)(rho + (long)d * rays + s), &found);
            for (int i = 0; i < W; i++) {
                float *to = rows[i] + d, best = 0;
                for (int g = 0; g < 4; g++) {
                    to[g * offsets] = found.variance[i][4 * g];
                    best += found.best[i][4 * g];
                }
                to[4 * offsets] = best / 4;
                to[5 * offsets] = found.seen[i] / frames;
                for (int c = 0; c < 3; c++)
                    to[(6 + c) * offsets + CHANNELS] = found.own[c][i];
                if (d == offsets / 2) memcpy(rows[i] + 6 * offsets, found.mean[i], CHANNELS * 4);
            }
        }
        for (int i = 0; i < W; i++) {
            real row[evidence + W], *to = x + (long)(s + i) * total;
            for (int c = 0; c < evidence; c += W) keep(row + c, *(const vec *)(rows[i] + c));
            memcpy(to, row, sizeof(real) * evidence);
            to += evidence;
            memcpy(to, context + (long)(s + i) * contexts, sizeof(real) * contexts);
            to[contexts] = put(u[s + i]);
            memcpy(to + contexts + 1, hidden + (long)(s + i) * hiddens, sizeof(real) * hiddens);
        }
    }
}

/* settling.meeting of the rays (S) with what the frames expect, each with a weight (M): where they
 * stand to it at coordinates rho (D), from near to far, until all have met it. */
void meet(int frames, int rays, int height, int width, const float *origin, const float *step,
          const float *features, const float *own, int planes, const float *rho,
          const float *weights, float *u) {
    Memory memory = {frames, rays, height, width, origin, step, features, own};
    EACH_UNEVEN for (int s = 0; s < rays; s += W) {
        vec met = {0}, nearer = {0};
        ints open = all(0) == 0;
        for (int d = planes - 1; d >= 0 && any(open); d--) {
            vec sum = {0}, total = {0};
            for (int m = 0; m < frames; m++) {
                Places at = places_of(&memory, m, s, all(rho[d]));
                at.inside &= open;
                if (!any(at.inside)) continue;
                vec expected, scale, seen;
                read_own(&memory, m, &at, &expected, &scale);
                vec off = own_coordinate(all(rho[d]), at.depth) - expected;
                seen = (vec)((ints)(weights[m] / (exp_of(scale) + OWN_STEP)) & at.inside);
                sum += between(off, -0.3f, 0.3f) * seen;
                total += seen;
            }
            vec off = sum / larger(total, all(1e-6f));
            ints here = open & (off <= 0) & (total > 1e-5f);
            vec share = between(off / smaller(off - nearer, all(-1e-9f)), 0, 1);
            met = chosen(here, smaller((share + (float)d) / (float)(planes - 1), all(1)), met);
            open &= ~here;
            nearer = off;
        }
        *(vec *)(u + s) = met;
    }
}

/* What the scorer sees of each memory frame (M, S, 38) at rho (S): colours (M, rows, columns, 4)
 * with validity, features, hints (S / 4, 8) of the grid of half the size, closeness (M, 2). Also
 * the log of the border's ramp, less OUTSIDE where not valid, and what the frame shows, 1 inside,
 * both (M, S). */
void score_inputs(int frames, int rays, int height, int width, const float *origin,
                  const float *step, const float *features, const float *own, const float *rho,
                  int rows, int columns, const float *colours, const real *hints,
                  const float *closeness, float border_ramp, float edge_ramp, real *x,
                  float *border, float *shown) {
    Memory memory = {frames, rays, height, width, origin, step, features, own};
    EACH for (int s = 0; s < rays; s += W) {
        Read read[frames];
        four colour[frames][W];
        float fits[frames][2][W], is[frames][W], total[W];
        vec near = *(const vec *)(rho + s), count = {0};
        for (int m = 0; m < frames; m++) {
            Places at = places_of(&memory, m, s, near);
            Corners corners;
            float valid[W];
            read_places(&memory, m, &at, 1, &read[m]);
            fitting(near, at.depth, read[m].own, (vec *)fits[m][0], (vec *)fits[m][1]);
            corners_of(&at, rows, columns, &corners);
            for (int i = 0; i < W; i++) {
                const float *map = colours + (long)m * rows * columns * 4;
                colour[m][i] = read_four(map, columns, &corners, i);
                valid[i] = colour[m][i][3];
            }
            vec known = *(vec *)valid, ok = chosen(at.inside & (known > 0.5f), all(1), all(0));
            vec margin = 1 - larger(absolute(at.x), absolute(at.y));
            long to = (long)m * rays + s;
            vec ramp = log_of(between(margin / border_ramp, 0.02f, 1));
            *(vec *)(border + to) = ramp - (1 - ok) * OUTSIDE;
            *(vec *)(shown + to) = between(margin / edge_ramp, 0, 1) * between(2 * known - 1, 0, 1);
            *(vec *)is[m] = ok;
            count += ok;
        }
        *(vec *)total = 1 / larger(count, all(1e-3f));
        for (int i = 0; i < W; i++) {
            Feature mean;
            four mean_colour = {0};
            memset(&mean, 0, sizeof mean);
            for (int m = 0; m < frames; m++) {
                float share = is[m][i] * total[i];
                mean_colour += share * colour[m][i];
                for (int p = 0; p < PARTS; p++) mean.parts[p] += share * read[m].features[i].parts[p];
            }
            int at = s + i;
            long hint = (long)(at / columns / 2) * (columns / 2) + at % columns / 2;
            for (int m = 0; m < frames; m++) {
                float row[28 + W], off[CHANNELS];
                memcpy(row, &colour[m][i], 12);
                memcpy(row + 3, &read[m].features[i], CHANNELS * 4);
                for (int p = 0; p < PARTS; p++) {
                    vec apart = read[m].features[i].parts[p] - mean.parts[p];
                    *(vec *)(off + p * W) = grouped(apart * apart);
                }
                for (int g = 0; g < 4; g++) row[19 + g] = off[4 * g];
                row[23] = closeness[2 * m];
                row[24] = closeness[2 * m + 1];
                for (int c = 0; c < 3; c++) row[25 + c] = fabsf(colour[m][i][c] - mean_colour[c]);
                real *to = x + ((long)m * rays + at) * 38;
                for (int c = 0; c < 28; c += W) keep(to + c, *(const vec *)(row + c));
                memcpy(to + 28, hints + hint * 8, sizeof(real) * 8);
                to[36] = put(fits[m][0][i]);
                to[37] = put(fits[m][1][i]);
            }
        }
    }
}

/* scores (M, S, 2), border (M, S), bias (M) -> view logits (M, S) and gate (S). */
void score_finish(int frames, int rays, const real *scores, const float *border, const float *bias,
                  float *logits, float *gate) {
    EACH for (int s = 0; s < rays; s += W) {
        vec most = all(-INFINITY), total = {0}, sum = {0}, said[frames];
        for (int m = 0; m < frames; m++) {
            long at = (long)m * rays + s;
            vec score;
            for (int i = 0; i < W; i++) {
                score[i] = get(scores[2 * (at + i)]);
                said[m][i] = get(scores[2 * (at + i) + 1]);
            }
            score += *(const vec *)(border + at) + bias[m];
            *(vec *)(logits + at) = score;
            most = larger(most, score);
        }
        for (int m = 0; m < frames; m++) {
            vec share = exp_of(*(const vec *)(logits + (long)m * rays + s) - most);
            total += share;
            sum += share * said[m];
        }
        *(vec *)(gate + s) = sum / total;
    }
}
