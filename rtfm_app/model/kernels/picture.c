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
