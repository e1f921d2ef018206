/* The picture: H x W pixels, W divides by 16. */

#include "numbers.h"

#define RHO_SCALE 0.02f /* matching.rho_of */
#define RHO_RATE 6.0f

typedef struct {
    int left;
    float across;
} Column;

/* Between which two of n, and how far across, the middle of pixel x of many lies. */
INLINE Column column_of(int x, int many, int n) {
    float at = within((x + 0.5f) * n / many - 0.5f, 0, n - 1);
    int left = (int)at < n - 2 ? (int)at : n - 2;
    return (Column){left, at - left};
}

/* A row of a map (h, w) enlarged to (height, width), bilinear with repeated borders. */
INLINE void enlarged_row(const float *map, int w, Column down, const Column *columns, int width,
                         float *row) {
    float line[w];
    const float *a = map + (long)down.left * w, *b = a + w;
    for (int x = 0; x < w; x++) line[x] = a[x] + (b[x] - a[x]) * down.across;
    for (int x = 0; x < width; x++) {
        const float *pair = line + columns[x].left;
        row[x] = pair[0] + (pair[1] - pair[0]) * columns[x].across;
    }
}

/* u (h, w) and logits (M, h, w) of the pointer, gate (H, W) -> inverse depth (H, W), the share of
 * each memory frame in each pixel (M, H, W), its largest and its sum in each row, both (H, M). */
void shares(int frames, int h, int w, const float *u, const float *logits, int height, int width,
            const float *gate, float *rho, float *share, float *most, float *sums) {
    EACH for (int y = 0; y < height; y++) {
        long row = (long)y * width, plane = (long)height * width;
        Column down = column_of(y, height, h), columns[width];
        for (int x = 0; x < width; x++) columns[x] = column_of(x, width, w);
        enlarged_row(u, w, down, columns, width, rho + row);
        for (int m = 0; m < frames; m++) {
            float *to = share + m * plane + row;
            enlarged_row(logits + (long)m * h * w, w, down, columns, width, to);
        }
        v16 largest[MOST_FRAMES] = {{0}}, total[MOST_FRAMES] = {{0}};
        for (int x = 0; x < width; x += 16) {
            float *to = share + row + x;
            v16 *near = (v16 *)(rho + row + x), high = *(v16 *)to, sum = {0};
            *near = (exp16(*near * RHO_RATE) - 1) * RHO_SCALE;
            for (int m = 1; m < frames; m++) high = larger(high, *(v16 *)(to + m * plane));
            for (int m = 0; m < frames; m++) {
                v16 *one = (v16 *)(to + m * plane);
                sum += *one = exp16(*one - high);
            }
            sum = *(const v16 *)(gate + row + x) / sum;
            for (int m = 0; m < frames; m++) {
                v16 *one = (v16 *)(to + m * plane);
                *one *= sum;
                largest[m] = larger(largest[m], *one);
                total[m] += *one;
            }
        }
        for (int m = 0; m < frames; m++) {
            float high = 0;
            for (int i = 0; i < 16; i++) high = fmaxf(high, largest[m][i]);
            most[y * frames + m] = high;
            sums[y * frames + m] = sum16(total[m]);
        }
    }
}

/* Of 16 places in pixels (h, w, 4), bilinear with repeated borders, the colours (3, 16). */
INLINE void colours_at(const uint8_t *pixels, int h, int w, const float *x, const float *y,
                       v16 *colours) {
    float across[16], down[16];
    long from[16];
    uint32_t corners[4][16];
    for (int i = 0; i < 16; i++) {
        float at_x = within(x[i], 0, w - 1), at_y = within(y[i], 0, h - 1);
        int left = (int)at_x < w - 2 ? (int)at_x : w - 2, top = (int)at_y;
        top = top < h - 2 ? top : h - 2;
        across[i] = at_x - left;
        down[i] = at_y - top;
        from[i] = ((long)top * w + left) * 4;
    }
    for (int i = 0; i < 16; i++) {
        uint32_t pair[2];
        memcpy(pair, pixels + from[i], 8);
        corners[0][i] = pair[0], corners[1][i] = pair[1];
        memcpy(pair, pixels + from[i] + 4L * w, 8);
        corners[2][i] = pair[0], corners[3][i] = pair[1];
    }
    for (int c = 0; c < 3; c++) {
        v16 at[4];
        for (int i = 0; i < 4; i++) {
            i16 byte = (i16)((*(u16 *)corners[i] >> (8 * c)) & 255);
            at[i] = __builtin_convertvector(byte, v16);
        }
        v16 upper = at[0] + (at[1] - at[0]) * *(v16 *)across;
        v16 lower = at[2] + (at[3] - at[2]) * *(v16 *)across;
        colours[c] = upper + (lower - upper) * *(v16 *)down;
    }
}

/* Arc tangent, sine and cosine (Abramowitz and Stegun 4.4.49, 4.3.97, 4.3.99). */

INLINE v16 atan2_16(v16 y, v16 x) {
    const i16 sign = (i16)all(-0.0f);
    v16 far = (v16)((i16)x & ~sign), high = (v16)((i16)y & ~sign);
    v16 a = smaller(far, high) / larger(larger(far, high), all(1e-20f)), b = a * a;
    v16 r = b * 0.0028662257f - 0.0161657367f;
    r = r * b + 0.0429096138f;
    r = r * b - 0.0752896400f;
    r = r * b + 0.1065626393f;
    r = r * b - 0.1420889944f;
    r = r * b + 0.1999355085f;
    r = r * b - 0.3333314528f;
    r = r * b * a + a;
    r = chosen(high > far, 1.57079633f - r, r);
    r = chosen(x < 0, 3.14159265f - r, r);
    return (v16)((i16)r | ((i16)y & sign));
}

/* For angles up to 3 pi / 2. */
INLINE void sine_cosine(v16 x, v16 *sine, v16 *cosine) {
    v16 turned = chosen(x > 1.57079633f, all(3.14159265f), all(0));
    turned = chosen(x < -1.57079633f, all(-3.14159265f), turned);
    x -= turned;
    v16 b = x * x, flip = chosen(turned == 0, all(1), all(-1));
    v16 s = b * -2.39e-8f + 2.7526e-6f;
    s = s * b - 1.984090e-4f;
    s = s * b + 8.3333315e-3f;
    s = s * b - 0.1666666664f;
    *sine = (s * b * x + x) * flip;
    v16 c = b * -2.605e-7f + 2.47609e-5f;
    c = c * b - 1.3888397e-3f;
    c = c * b + 0.0416666418f;
    c = c * b - 0.4999999963f;
    *cosine = (c * b + 1) * flip;
}

typedef struct {
    float rotation[9], pitch, level[2], tan_target[2], tan_memory[2], limit, border;
    float scale[2], base[2]; /* from grid coordinates to pixels */
    float detail;            /* the share of the sharp reading in the guess */
} Mirror;

/* Where 16 directions x, y are read: fast_mirror.Mirror.angles, folded, then place. */
INLINE void mirrored_place(const Mirror *m, v16 x, float y, float *px, float *py) {
    const float *r = m->rotation;
    v16 right = r[0] * x + (r[1] * y - r[2]), up = r[3] * x + (r[4] * y - r[5]);
    v16 back = r[6] * x + (r[7] * y - r[8]), flat, sine, cosine, high, deep;
    for (int i = 0; i < 16; i++) flat[i] = sqrtf(right[i] * right[i] + back[i] * back[i]);
    v16 relative = atan2_16(up, flat) + m->pitch;
    v16 azimuth = atan2_16(right, -back) + m->limit;
    i16 wave = __builtin_convertvector(azimuth / (4 * m->limit) + 8, i16) - 8;
    azimuth -= __builtin_convertvector(wave, v16) * (4 * m->limit) + 2 * m->limit;
    azimuth = m->limit - larger(azimuth, -azimuth);
    sine_cosine(azimuth, &sine, &cosine);
    v16 half = atan2_16(cosine * m->tan_memory[1], all(1)) * m->border;
    v16 folded = 2 * smaller(larger(relative, -half), half) - relative;
    sine_cosine(smaller(larger(folded, -half), half) - m->pitch, &high, &deep);
    v16 across = deep * sine, ahead = deep * cosine;
    float c = m->level[0], s = m->level[1];
    v16 over = 1 / larger(c * ahead - s * high, all(0.05f));
    across *= over / m->tan_memory[0];
    v16 down = (c * high + s * ahead) * over / -m->tan_memory[1];
    across = smaller(larger(across, all(-1)), all(1));
    down = smaller(larger(down, all(-1)), all(1));
    *(v16 *)px = across * m->scale[0] + m->base[0];
    *(v16 *)py = down * m->scale[1] + m->base[1];
}

/* What is imagined, guess (H, W, 4), where the gate (H, W) leaves at least `least` of it: the
 * mirrored reading of pixels (h, w, 4), softened (0 or (H, W)) towards soft (H, W, 4), times the
 * mirror's detail, plus added (H, W, 4). */
void imagine(int height, int width, const float *gate, float least, const Mirror *mirror, int h,
             int w, const uint8_t *pixels, const float *soften, const float *soft,
             const float *added, float *guess) {
    EACH for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x += 16) {
            long at = (long)y * width + x;
            float px[16], py[16], lowest = 1;
            for (int i = 0; i < 16; i++) lowest = fminf(lowest, gate[at + i]);
            if (1 - lowest < least) continue;
            v16 along, found[3];
            for (int i = 0; i < 16; i++) along[i] = x + i;
            along = ((along * 2 + 1) / (float)width - 1) * mirror->tan_target[0];
            float up = (1 - (y * 2 + 1.0f) / height) * mirror->tan_target[1];
            mirrored_place(mirror, along, up, px, py);
            colours_at(pixels, h, w, px, py, found);
            for (int i = 0; i < 16; i++)
                for (int c = 0; c < 3; c++) {
                    long to = (at + i) * 4 + c;
                    float colour = found[c][i];
                    if (soften) colour += (soft[to] - colour) * soften[at + i];
                    guess[to] = colour * mirror->detail + added[to];
                }
        }
}

/* The picture (H, W, 3) of what is remembered and, where that is less than all, of a guess
 * (H, W, 4) in 0..255, or 0 where there is none. Memory frame m has pixels (h, w, 4), sizes (M, 2);
 * a pixel (x, y) reads it at base + (step * rho + across[x] + down[y]), projected; step (M, 3),
 * across (M, 3, W), down (M, 3, H), base (M, 2). Shares (M, H, W) below `least` are not read. */
void draw(int frames, int height, int width, const float *rho, const float *share,
          const float *gate, const float *step, const float *across, const float *down,
          const float *base, const int *sizes, const uint8_t *const *pixels, const float *guess,
          float least, uint8_t *image) {
    EACH for (int y = 0; y < height; y++) {
        long row = (long)y * width, plane = (long)height * width;
        float read[3][width], total[width];
        memset(read, 0, sizeof read);
        memset(total, 0, sizeof total);
        for (int m = 0; m < frames; m++) {
            const float *part = share + m * plane + row, *along = across + (long)m * 3 * width;
            const float *at = down + (long)m * 3 * height + y, *s = step + m * 3;
            for (int x = 0; x < width; x += 16) {
                float px[16], py[16];
                v16 seen = *(const v16 *)(part + x), near = *(const v16 *)(rho + row + x), found[3];
                seen = (v16)((i16)seen & (seen >= least));
                if (sum16(seen) == 0) continue;
                v16 depth = s[2] * near + *(const v16 *)(along + 2 * width + x) + at[2 * height];
                v16 over = 1 / larger(depth, all(0.02f));
                v16 right = s[0] * near + *(const v16 *)(along + x) + at[0];
                v16 up = s[1] * near + *(const v16 *)(along + width + x) + at[height];
                *(v16 *)px = right * over + base[2 * m];
                *(v16 *)py = up * over + base[2 * m + 1];
                colours_at(pixels[m], sizes[2 * m], sizes[2 * m + 1], px, py, found);
                for (int c = 0; c < 3; c++) *(v16 *)(read[c] + x) += seen * found[c];
                *(v16 *)(total + x) += seen;
            }
        }
        for (int x = 0; x < width; x++) {
            float known = total[x] > 0 ? gate[row + x] : 0;
            int guessed = guess && 1 - known >= least;
            float over = 1 / (total[x] > 0 ? total[x] : 1);
            for (int c = 0; c < 3; c++) {
                float colour = read[c][x] * over;
                if (guessed) {
                    float other = guess[(row + x) * 4 + c];
                    colour = other + (colour - other) * known;
                }
                image[(row + x) * 3 + c] = (int)(within(colour, 0, 255) + 0.5f);
            }
        }
    }
}
