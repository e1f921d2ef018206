/* Matching: where rays lie in the memory frames, what is read there, how well it agrees. */

#include "numbers.h"

typedef struct {
    int frames, rays, height, width;
    const float *origin, *step;  /* (M, 3, S), (M, 3): cameras.EpipolarLines */
    const float *features;       /* (M, height, width, 18): features, own distance */
} Memory;

typedef struct {
    float x, y, inside, depth; /* depth: the target's rho over the frame's */
} Place;

INLINE Place place_of(const Memory *memory, int m, int s, float rho) {
    const float *origin = memory->origin + (long)m * 3 * memory->rays + s;
    const float *step = memory->step + m * 3;
    float depth = -(origin[2 * memory->rays] + rho * step[2]);
    float inverse = 1 / (depth > 0.02f ? depth : 0.02f);
    Place place = {(origin[0] + rho * step[0]) * inverse,
                   (origin[memory->rays] + rho * step[1]) * inverse, 0, 1 / inverse};
    place.inside = depth > 0.02f && fabsf(place.x) < 1 && fabsf(place.y) < 1;
    return place;
}

typedef struct {
    long corners[4];
    float shares[4];
} Corners;

/* Bilinear reading with repeated borders. */
INLINE Corners corners_of(Place place, int height, int width) {
    float x = within((place.x + 1) * 0.5f * width - 0.5f, 0, width - 1);
    float y = within((1 - place.y) * 0.5f * height - 0.5f, 0, height - 1);
    int left = (int)x, top = (int)y;
    int right = left + 1 < width ? left + 1 : left, bottom = top + 1 < height ? top + 1 : top;
    float across = x - left, down = y - top;
    return (Corners){{(long)top * width + left, (long)top * width + right,
                      (long)bottom * width + left, (long)bottom * width + right},
                     {(1 - across) * (1 - down), across * (1 - down), (1 - across) * down,
                      across * down}};
}

#define RHO_SCALE 0.02f /* cameras */
#define RHO_RATE 6.0f
#define OWN_STEP 0.02f /* own_distance.STEP */

typedef struct {
    v16 features;
    float fit, side; /* own_distance.fitting */
} Read;

INLINE Read read_at(const Memory *memory, int m, Place place, float rho) {
    Corners at = corners_of(place, memory->height, memory->width);
    const float *map = memory->features + (long)m * memory->height * memory->width * 18;
    Read read = {{0}};
    float own = 0, scale = 0;
    for (int i = 0; i < 4; i++) {
        const float *corner = map + at.corners[i] * 18;
        read.features += at.shares[i] * *(const v16 *)corner;
        own += at.shares[i] * corner[16];
        scale += at.shares[i] * corner[17];
    }
    float expected = log1pf(fmaxf(rho, 0) / place.depth / RHO_SCALE) / RHO_RATE;
    float off = (fminf(expected, 1.5f) - own) / (expf(scale) + OWN_STEP);
    read.fit = expf(-fabsf(off));
    read.side = copysignf((1 - read.fit) / (1 + read.fit), off); /* tanh(off / 2) */
    return read;
}

#define OUTSIDE 40.0f /* pointer.OUTSIDE */
#define APART 4.0f /* matching.APART */

typedef struct {
    v16 mean, variance, best; /* the latter two in groups */
    float seen;               /* by how many frames */
    float own[3];             /* own_distance.gathered */
} Agreement;

/* matching.agreement at one place. */
INLINE Agreement agreement_at(const Memory *memory, int s, float rho) {
    int frames = memory->frames;
    v16 read[MOST_FRAMES];
    float inside[MOST_FRAMES];
    Agreement found = {{0}, {0}, all(APART), 0, {0}};
    for (int m = 0; m < frames; m++) {
        Place place = place_of(memory, m, s, rho);
        inside[m] = place.inside;
        if (!place.inside) continue;
        Read one = read_at(memory, m, place, rho);
        read[m] = one.features;
        found.mean += one.features;
        found.seen += 1;
        found.own[0] += one.fit;
        found.own[1] = fmaxf(found.own[1], one.fit);
        found.own[2] += one.side;
    }
    float over = 1 / (found.seen > 1e-3f ? found.seen : 1e-3f);
    found.mean *= over;
    found.own[0] *= over;
    found.own[2] *= over;
    for (int m = 0; m < frames; m++) {
        if (!inside[m]) continue;
        v16 off = read[m] - found.mean;
        found.variance += off * off;
        int next = (m + 1) % frames;
        if (next == m || (frames == 2 && m == 1) || !inside[next]) continue;
        v16 apart = read[m] - read[next];
        found.best = smaller(found.best, grouped(apart * apart));
    }
    found.variance = grouped(found.variance) * over;
    return found;
}

/* The plane sweep's agreement volume (D, S, 13), mean features (D, S, 16) float and share of the
 * frames that see a place (D, S) float, for rho (D). */
void sweep(int frames, int rays, int height, int width, const float *origin, const float *step,
           const float *features, int planes, const float *rho, real *volume, float *mean,
           float *seen) {
    Memory memory = {frames, rays, height, width, origin, step, features};
    EACH for (int part = 0; part < planes * 8; part++) {
        int d = part / 8;
        for (int s = rays * (part % 8) / 8; s < rays * (part % 8 + 1) / 8; s++) {
            Agreement found = agreement_at(&memory, s, rho[d]);
            long at = (long)d * rays + s;
            real *to = volume + at * 13;
            for (int g = 0; g < 4; g++) {
                to[g] = put(found.variance[4 * g]);
                to[4 + g] = put(found.best[4 * g]);
            }
            to[8] = put(seen[at] = found.seen / frames);
            to[9] = put(found.seen > 1.5f);
            for (int c = 0; c < 3; c++) to[10 + c] = put(found.own[c]);
            *(v16 *)(mean + at * 16) = found.mean;
        }
    }
}

/* What the tokens get of a sweep: logits (D, S) float divided by sqrt(D), the expected features,
 * the features at infinity and the share that sees it, (D + 33, S). */
void sweep_cues(int planes, int rays, const float *logits, const float *mean, const float *seen,
                float *cues) {
    EACH for (int s = 0; s < rays; s++) {
        float most = logits[s], total = 0, over = 1 / sqrtf(planes);
        for (int d = 1; d < planes; d++) most = fmaxf(most, logits[(long)d * rays + s]);
        v16 expected = {0};
        for (int d = 0; d < planes; d++) {
            long at = (long)d * rays + s;
            float share = expf(logits[at] - most);
            total += share;
            expected += share * *(const v16 *)(mean + at * 16);
            cues[at] = logits[at] * over;
        }
        float *to = cues + (long)planes * rays + s;
        for (int c = 0; c < 16; c++) {
            to[(long)c * rays] = expected[c] / total;
            to[(long)(16 + c) * rays] = mean[(long)s * 16 + c];
        }
        to[32L * rays] = seen[s];
    }
}

/* What a refinement sees, (S, 9 D + 17 + context + hidden): evidence around rho (D, S), the context
 * (S, contexts), u (S) and the hidden features of the last one (S, hiddens). */
void refine_inputs(int frames, int rays, int height, int width, const float *origin,
                   const float *step, const float *features, int offsets, const float *rho,
                   int contexts, const real *context, const float *u, int hiddens,
                   const real *hidden, real *x) {
    Memory memory = {frames, rays, height, width, origin, step, features};
    int total = 9 * offsets + 17 + contexts + hiddens;
    EACH for (int s = 0; s < rays; s++) {
        real *to = x + (long)s * total;
        for (int d = 0; d < offsets; d++) {
            Agreement found = agreement_at(&memory, s, rho[(long)d * rays + s]);
            float best = 0;
            for (int g = 0; g < 4; g++) {
                to[g * offsets + d] = put(found.variance[4 * g]);
                best += found.best[4 * g];
            }
            to[4 * offsets + d] = put(best / 4);
            to[5 * offsets + d] = put(found.seen / frames);
            if (d == offsets / 2) put16(to + 6 * offsets, found.mean);
            for (int c = 0; c < 3; c++) to[(6 + c) * offsets + 16 + d] = put(found.own[c]);
        }
        to += 9 * offsets + 16;
        memcpy(to, context + (long)s * contexts, sizeof(real) * contexts);
        to[contexts] = put(u[s]);
        memcpy(to + contexts + 1, hidden + (long)s * hiddens, sizeof(real) * hiddens);
    }
}

/* What the scorer sees of each memory frame (M, S, 38) at rho (S): colours (M, rows, columns, 4)
 * with validity, features, hints (S / 4, 8) of the grid of half the size, closeness (M, 2). Also
 * the log of the border's ramp, less 12 where not valid, and what the frame shows, 1 inside, both
 * (M, S). */
void score_inputs(int frames, int rays, int height, int width, const float *origin,
                  const float *step, const float *features, const float *rho, int rows,
                  int columns, const float *colours, const real *hints, const float *closeness,
                  float border_ramp, float edge_ramp, real *x, float *border, float *shown) {
    Memory memory = {frames, rays, height, width, origin, step, features};
    EACH for (int s = 0; s < rays; s++) {
        Read read[MOST_FRAMES];
        v16 mean = {0};
        float colour[MOST_FRAMES][4], mean_colour[3] = {0}, total = 0;
        for (int m = 0; m < frames; m++) {
            Place place = place_of(&memory, m, s, rho[s]);
            read[m] = read_at(&memory, m, place, rho[s]);
            Corners at = corners_of(place, rows, columns);
            const float *map = colours + (long)m * rows * columns * 4;
            for (int c = 0; c < 4; c++) {
                float sum = 0;
                for (int i = 0; i < 4; i++) sum += at.shares[i] * map[at.corners[i] * 4 + c];
                colour[m][c] = sum;
            }
            int ok = place.inside && colour[m][3] > 0.5f;
            float margin = 1 - fmaxf(fabsf(place.x), fabsf(place.y));
            long to = (long)m * rays + s;
            border[to] = logf(within(margin / border_ramp, 0.02f, 1)) - (ok ? 0 : OUTSIDE);
            shown[to] = within(margin / edge_ramp, 0, 1) * within(2 * colour[m][3] - 1, 0, 1);
            if (!ok) continue;
            total += 1;
            mean += read[m].features;
            for (int c = 0; c < 3; c++) mean_colour[c] += colour[m][c];
        }
        float over = 1 / fmaxf(total, 1e-3f);
        mean *= over;
        const real *hint = hints + ((long)(s / columns / 2) * (columns / 2) + s % columns / 2) * 8;
        for (int m = 0; m < frames; m++) {
            real *to = x + ((long)m * rays + s) * 38;
            v16 off = read[m].features - mean;
            off = grouped(off * off);
            put16(to + 3, read[m].features);
            for (int g = 0; g < 4; g++) to[19 + g] = put(off[4 * g]);
            to[23] = put(closeness[2 * m]);
            to[24] = put(closeness[2 * m + 1]);
            for (int c = 0; c < 3; c++) {
                to[c] = put(colour[m][c]);
                to[25 + c] = put(fabsf(colour[m][c] - mean_colour[c] * over));
            }
            memcpy(to + 28, hint, sizeof(real) * 8);
            to[36] = put(read[m].fit);
            to[37] = put(read[m].side);
        }
    }
}

/* scores (M, S, 2), border (M, S), bias (M) -> view logits (M, S) and gate (S). */
void score_finish(int frames, int rays, const real *scores, const float *border, const float *bias,
                  float *logits, float *gate) {
    EACH for (int s = 0; s < rays; s++) {
        float most = -INFINITY, total = 0, sum = 0;
        for (int m = 0; m < frames; m++) {
            long at = (long)m * rays + s;
            logits[at] = get(scores[2 * at]) + border[at] + bias[m];
            most = fmaxf(most, logits[at]);
        }
        for (int m = 0; m < frames; m++) {
            long at = (long)m * rays + s;
            float share = expf(logits[at] - most);
            total += share;
            sum += share * get(scores[2 * at + 1]);
        }
        gate[s] = sum / total;
    }
}
