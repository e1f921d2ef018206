/* What a frame needs beside matrix products, each in one pass; see fast_kernels.py.
 *
 * Plain C with the vector extensions of gcc and clang. `real` is the model's precision: bf16 with
 * -DBF16, else float. Arrays are dense and in C order unless a stride says otherwise; M memory
 * frames, D candidates, S rays, T tokens, H heads, 16 channels of a feature in 4 groups, behind them
 * a frame's own distance (own_distance.py).
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t i16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t u16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t h16 __attribute__((vector_size(32), aligned(2), may_alias));

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
    u16 bits = (u16)x;
    *(h16 *)to = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, h16);
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
INLINE v16 larger(v16 a, v16 b) { return chosen(a > b, a, b); }
INLINE v16 smaller(v16 a, v16 b) { return chosen(a < b, a, b); }
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

/* Transformer: x (T, D) float, everything else in the model's precision. */

/* x += gain * change (unless change is 0), then y = layer norm of x, times scale, plus shift (unless
 * y is 0). gain, scale, shift (D); D divides by 16. */
void residual_norm(int tokens, int dim, float *x, const real *change, const float *gain,
                   const float *scale, const float *shift, real *y) {
    EACH for (int t = 0; t < tokens; t++) {
        float *row = x + (long)t * dim;
        v16 sum = {0}, squares = {0};
        for (int d = 0; d < dim; d += 16) {
            v16 value = *(v16 *)(row + d);
            if (change) {
                value += *(const v16 *)(gain + d) * get16(change + (long)t * dim + d);
                *(v16 *)(row + d) = value;
            }
            sum += value;
        }
        if (!y) continue;
        float mean = sum16(sum) / dim;
        for (int d = 0; d < dim; d += 16) {
            v16 off = *(v16 *)(row + d) - mean;
            squares += off * off;
        }
        float inverse = 1 / sqrtf(sum16(squares) / dim + 1e-5f);
        for (int d = 0; d < dim; d += 16) {
            v16 value = (*(v16 *)(row + d) - mean) * inverse;
            value = value * *(const v16 *)(scale + d) + *(const v16 *)(shift + d);
            put16(y + (long)t * dim + d, value);
        }
    }
}

/* The last half of n numbers turned by angles with n / 4 cosines and sines. */
INLINE void turn(float *x, int n, const float *cosine, const float *sine, float sign) {
    float *a = x + n / 2, *b = a + n / 4;
    for (int i = 0; i < n / 4; i++) {
        float from_a = a[i], from_b = b[i], s = sign * sine[i];
        a[i] = from_a * cosine[i] - from_b * s;
        b[i] = from_b * cosine[i] + from_a * s;
    }
}

INLINE void split_one(const real *from, const float *scale, const float *cosine,
                      const float *sine, int n, real *to) {
    float x[n], squares = 0;
    for (int i = 0; i < n; i++) x[i] = get(from[i]);
    if (scale) {
        for (int i = 0; i < n; i++) squares += x[i] * x[i];
        float inverse = 1 / sqrtf(squares / n + 1.1920929e-7f);
        for (int i = 0; i < n; i++) x[i] *= inverse * scale[i];
    }
    turn(x, n, cosine, sine, 1);
    for (int i = 0; i < n; i++) to[i] = put(x[i]);
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
        else for (int t = 0; t < tokens; t++) {
            if (n == 64) remember_one(from + (long)t * 64, transforms + 16 * m, 64, to + (long)t * 64);
            else remember_one(from + (long)t * n, transforms + 16 * m, n, to + (long)t * n);
        }
    }
}

/* scores (rows, columns) -> exp(score - the row's largest), in place; their sums (rows). Columns
 * divide by 16. */
void exp_rows(int rows, int columns, real *scores, float *sums) {
    EACH for (int r = 0; r < rows; r++) {
        real *row = scores + (long)r * columns;
        v16 most = get16(row), sum = {0};
        for (int c = 16; c < columns; c += 16) most = larger(most, get16(row + c));
        float highest = most[0];
        for (int i = 1; i < 16; i++) highest = most[i] > highest ? most[i] : highest;
        for (int c = 0; c < columns; c += 16) {
            v16 x = exp16(get16(row + c) - highest);
            sum += x;
            put16(row + c, x);
        }
        sums[r] = sum16(sum);
    }
}

INLINE void join_one(const real *from, float over, const float *cosine, const float *sine, int n,
                     real *to) {
    float x[n];
    for (int i = 0; i < n; i++) x[i] = get(from[i]) * over;
    turn(x, n, cosine, sine, -1);
    for (int i = 0; i < n; i++) to[i] = put(x[i]);
}

/* attended (H, T, n), sums (H, T) -> joined (T, H, n): divided by the sums, turned back. */
void join_heads(int tokens, int heads, int n, const real *attended, const float *sums,
                const float *cosines, const float *sines, real *joined) {
    EACH for (int t = 0; t < tokens; t++) {
        const float *cosine = cosines + (long)t * n / 4, *sine = sines + (long)t * n / 4;
        for (int h = 0; h < heads; h++) {
            long from = (long)h * tokens + t, to = ((long)t * heads + h) * n;
            float over = 1 / sums[from];
            if (n == 64) join_one(attended + from * 64, over, cosine, sine, 64, joined + to);
            else join_one(attended + from * n, over, cosine, sine, n, joined + to);
        }
    }
}

/* Matching: where rays lie in the memory frames, what is read there, how well it agrees. */

typedef struct {
    int frames, rays, height, width;
    const float *origin, *step;  /* (M, 3, S), (M, 3): cameras.EpipolarLines */
    const float *features;       /* (M, height, width, 18) */
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
    float fit, side; /* own_distance.evidence */
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

#define MOST_FRAMES 32
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

/* What the tokens get of a sweep: logits (D, S) float divided by sqrt(D), the expected features, the
 * features at infinity and the share that sees it, (D + 33, S). */
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

/* What the scorer sees of each memory frame (M, S, 38) at rho (S): colours (M, rows, columns, 4) with
 * validity, features, hints (S / 4, 8) of the grid of half the size, closeness (M, 2). Also the log of
 * the border's ramp where valid, -12 elsewhere, (M, S); and what the frame shows, 1 inside, (M, S). */
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
                colour[m][c] = 0;
                for (int i = 0; i < 4; i++) colour[m][c] += at.shares[i] * map[at.corners[i] * 4 + c];
            }
            int ok = place.inside && colour[m][3] > 0.5f;
            float margin = 1 - fmaxf(fabsf(place.x), fabsf(place.y));
            long to = (long)m * rays + s;
            border[to] = logf(within(margin / border_ramp, 0.02f, 1)) - (ok ? 0 : 12);
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
