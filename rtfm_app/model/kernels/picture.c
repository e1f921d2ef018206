/* The picture: H x W pixels, W divides by 16. */

#include "mirror.h"

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
        vec largest[MOST_FRAMES] = {{0}}, total[MOST_FRAMES] = {{0}};
        for (int x = 0; x < width; x += W) {
            float *to = share + row + x;
            vec *near = (vec *)(rho + row + x), high = *(vec *)to, sum = {0};
            *near = (exp_of(*near * RHO_RATE) - 1) * RHO_SCALE;
            for (int m = 1; m < frames; m++) high = larger(high, *(vec *)(to + m * plane));
            for (int m = 0; m < frames; m++) {
                vec *one = (vec *)(to + m * plane);
                sum += *one = exp_of(*one - high);
            }
            sum = *(const vec *)(gate + row + x) / sum;
            for (int m = 0; m < frames; m++) {
                vec *one = (vec *)(to + m * plane);
                *one *= sum;
                largest[m] = larger(largest[m], *one);
                total[m] += *one;
            }
        }
        for (int m = 0; m < frames; m++) {
            float high = 0;
            for (int i = 0; i < W; i++) high = fmaxf(high, largest[m][i]);
            most[y * frames + m] = high;
            sums[y * frames + m] = sum_of(total[m]);
        }
    }
}

/* stretching._least_stretch (M, h, w) of the rays origin (M, 3, h, w), step (M, 3) at rho (h, w): the
 * smaller singular value of how far apart neighbouring cells are read. */
void stretches(int frames, int h, int w, const float *origin, const float *step, const float *rho,
               float *least) {
    long plane = (long)h * w;
    EACH for (int m = 0; m < frames; m++) {
        float right[plane], down[plane];
        const float *from = origin + m * 3 * plane, *s = step + m * 3;
        for (long i = 0; i < plane; i += W) {
            vec near = *(const vec *)(rho + i);
            vec over = 1 / larger(-(*(const vec *)(from + 2 * plane + i) + near * s[2]), all(0.02f));
            vec x = (*(const vec *)(from + i) + near * s[0]) * over;
            vec y = (*(const vec *)(from + plane + i) + near * s[1]) * over;
            *(vec *)(right + i) = between(x, -3, 3) * (0.5f * w);
            *(vec *)(down + i) = between(y, -3, 3) * (0.5f * h);
        }
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                int left = x > 0 ? x - 1 : x, next = x < w - 1 ? x + 1 : x;
                int upper = y > 0 ? y - 1 : y, lower = y < h - 1 ? y + 1 : y;
                long row = (long)y * w, above = (long)upper * w + x, below = (long)lower * w + x;
                float across = 1.0f / (next - left), along = 1.0f / (lower - upper);
                float a = (right[row + next] - right[row + left]) * across;
                float b = (down[row + next] - down[row + left]) * across;
                float c = (right[below] - right[above]) * along;
                float d = (down[below] - down[above]) * along;
                float total = a * a + b * b + c * c + d * d, area = a * d - b * c;
                float apart = sqrtf(fmaxf(total * total - 4 * area * area, 0));
                least[m * plane + row + x] = fminf(sqrtf(fmaxf(total - apart, 0) / 2), 2);
            }
    }
}

/* Pages give way: `lost` (M, h, w) of their logits (M, H, W) and, in their mean, of the gate's logit
 * (H, W) is taken away, times page_loss and gate_loss. */
void give_way(int frames, int h, int w, const float *lost, int height, int width,
              const float *logits, const float *gate, float page_loss, float gate_loss,
              float *new_logits, float *new_gate) {
    EACH for (int y = 0; y < height; y++) {
        long row = (long)y * width, plane = (long)height * width;
        Column down = column_of(y, height, h), columns[width];
        float less[frames * width];
        for (int x = 0; x < width; x++) columns[x] = column_of(x, width, w);
        for (int m = 0; m < frames; m++)
            enlarged_row(lost + (long)m * h * w, w, down, columns, width, less + m * width);
        for (int x = 0; x < width; x += W) {
            vec high = all(-1e30f), sum = {0}, missing = {0};
            for (int m = 0; m < frames; m++) {
                long at = m * plane + row + x;
                vec left = *(const vec *)(logits + at) - page_loss * *(vec *)(less + m * width + x);
                *(vec *)(new_logits + at) = left;
                high = larger(high, left);
            }
            for (int m = 0; m < frames; m++) {
                vec share = exp_of(*(vec *)(new_logits + m * plane + row + x) - high);
                sum += share;
                missing += share * *(vec *)(less + m * width + x);
            }
            *(vec *)(new_gate + row + x) =
                *(const vec *)(gate + row + x) - gate_loss * (missing / sum);
        }
    }
}

/* settling.with_even_borders of logits (M, H, W), gate (H, W). */
void even_borders(int frames, int height, int width, const float *logits, const float *gate,
                  float *even) {
    EACH for (int y = 0; y < height; y++) {
        int top = y > 0 ? y - 1 : y, last = y < height - 1 ? y + 1 : y;
        float around[width], weighed[width + 2], known[width + 2];
        memset(known, 0, sizeof known);
        for (int r = top; r <= last; r++)
            for (int x = 0; x < width; x++) known[x + 1] += gate[(long)r * width + x];
        for (int x = 0; x < width; x++) around[x] = (known[x] + known[x + 1] + known[x + 2]) / 9;
        for (int m = 0; m < frames; m++) {
            const float *from = logits + (long)m * height * width;
            const float *row = from + (long)y * width, *seen = gate + (long)y * width;
            float *to = even + ((long)m * height + y) * width;
            memset(weighed, 0, sizeof weighed);
            for (int r = top; r <= last; r++)
                for (int x = 0; x < width; x++)
                    weighed[x + 1] += from[(long)r * width + x] * gate[(long)r * width + x];
            for (int x = 0; x < width; x++) {
                float sum = (weighed[x] + weighed[x + 1] + weighed[x + 2]) / 9;
                float inside = around[x] > 1e-3f ? sum / fmaxf(around[x], 1e-6f) : row[x];
                to[x] = inside + (row[x] - inside) * seen[x];
            }
        }
    }
}

/* Where W places lie in pixels (h, w, 4): the left upper of four neighbours, and how far from it. */
typedef struct {
    int32_t first[W];
    float across[W], down[W];
} Spots;

INLINE void spots_of(vec x, vec y, int h, int w, Spots *to) {
    x = between(x, 0, w - 1);
    y = between(y, 0, h - 1);
    ints left = whole(smaller(x, all(w - 2))), top = whole(smaller(y, all(h - 2)));
    *(ints *)to->first = top * w + left;
    *(vec *)to->across = x - floats(left);
    *(vec *)to->down = y - floats(top);
}

/* The colour at the place i, bilinear with repeated borders. */
INLINE four colour_at(const uint8_t *pixels, int w, const Spots *at, int i) {
    const uint8_t *upper = pixels + (long)at->first[i] * 4, *lower = upper + 4L * w;
#ifdef __AVX2__
    __m128i two[2] = {_mm_loadl_epi64((const void *)upper), _mm_loadl_epi64((const void *)lower)};
    __m256 above = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(two[0]));
    __m256 below = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(two[1]));
    __m256 both = above + (below - above) * at->down[i];
    four left = (four)_mm256_castps256_ps128(both), right = (four)_mm256_extractf128_ps(both, 1);
#else
    four corners[4] = {{0}};
    for (int c = 0; c < 4; c++) {
        corners[0][c] = upper[c], corners[1][c] = upper[4 + c];
        corners[2][c] = lower[c], corners[3][c] = lower[4 + c];
    }
    four left = corners[0] + (corners[2] - corners[0]) * at->down[i];
    four right = corners[1] + (corners[3] - corners[1]) * at->down[i];
#endif
    return left + (right - left) * at->across[i];
}

/* Has the memory around W places brought nearer; they lie in a row, or nearly. */
INLINE void fetch(const uint8_t *pixels, int w, const Spots *at) {
    for (int i = 0; i < W; i += 8) {
        const uint8_t *upper = pixels + (long)at->first[i] * 4;
        __builtin_prefetch(upper);
        __builtin_prefetch(upper + 4L * w);
    }
}

/* Rounds to four bytes, of which the last is nothing. */
INLINE void put_colour(uint8_t *to, four colour) {
#ifdef __SSE2__
    __m128i numbers = _mm_cvttps_epi32((__m128)(colour + 0.5f));
    numbers = _mm_packs_epi32(numbers, numbers);
    int bytes = _mm_cvtsi128_si32(_mm_packus_epi16(numbers, numbers));
    memcpy(to, &bytes, 4);
#else
    for (int c = 0; c < 3; c++) to[c] = (int)(within(colour[c], 0, 255) + 0.5f);
#endif
}

/* What is imagined: the mirrored reading of pixels (h, w, 4), softened by soften (in soft's size) or,
 * if that is 0, not softened, towards soft (soft_h, soft_w, 4), times the mirror's detail, plus
 * added (added_h, added_w, 4). All are enlarged to the picture's size, bilinearly. */
typedef struct {
    const Mirror *mirror;
    int h, w;
    const uint8_t *pixels;
    int soft_h, soft_w;
    const float *soften, *soft;
    int added_h, added_w;
    const float *added;
} Imagined;

INLINE void line_of_fours(const float *map, int w, Column down, four *line) {
    const four *a = (const four *)map + (long)down.left * w, *b = a + w;
    for (int x = 0; x < w; x++) line[x] = a[x] + (b[x] - a[x]) * down.across;
}

/* Row y of it, in the blocks of W pixels where the gate (width) leaves at least `least` of it. */
INLINE void imagined_row(const Imagined *from, int y, int height, int width, const float *gate,
                         float least, const Column *soft_columns, const Column *added_columns,
                         four *guess) {
    const Mirror *mirror = from->mirror;
    four added[from->added_w], soft[from->soft_w];
    float soften[width];
    float up = (1 - (y * 2 + 1.0f) / height) * mirror->tan_target[1];
    line_of_fours(from->added, from->added_w, column_of(y, height, from->added_h), added);
    if (from->soften) {
        Column down = column_of(y, height, from->soft_h);
        line_of_fours(from->soft, from->soft_w, down, soft);
        enlarged_row(from->soften, from->soft_w, down, soft_columns, width, soften);
    }
    for (int x = 0; x < width; x += W) {
        vec along, px, py, known = *(const vec *)(gate + x);
        float lowest = 1;
        for (int i = 0; i < W; i++) lowest = fminf(lowest, known[i]);
        if (1 - lowest < least) continue;
        for (int i = 0; i < W; i++) along[i] = x + i;
        along = ((along * 2 + 1) / (float)width - 1) * mirror->tan_target[0];
        Turned at = turned(mirror, along, up);
        mirrored_place(mirror, &at, &px, &py);
        px = px * mirror->scale[0] + mirror->base[0];
        py = py * mirror->scale[1] + mirror->base[1];
        Spots spots;
        spots_of(px, py, from->h, from->w, &spots);
        for (int i = 0; i < W; i++) {
            four colour = colour_at(from->pixels, from->w, &spots, i);
            if (from->soften && soften[x + i] > 0) {
                Column at = soft_columns[x + i];
                four other = soft[at.left] + (soft[at.left + 1] - soft[at.left]) * at.across;
                colour += (other - colour) * soften[x + i];
            }
            Column at = added_columns[x + i];
            four more = added[at.left] + (added[at.left + 1] - added[at.left]) * at.across;
            guess[x + i] = colour * mirror->detail + more;
        }
    }
}

/* The picture (H, W, 3) of what is remembered and, where that is less than all, of what is imagined,
 * or 0 where there is no mirror. Memory frame m has pixels (h, w, 4), sizes (M, 2); a pixel (x, y)
 * reads it at base + (step * rho + across[x] + down[y]), projected; step (M, 3), across (M, 3, W),
 * down (M, 3, H), base (M, 2). Shares (M, H, W) below `least` are not read. From `mirror` on see
 * `Imagined`. */
void draw(int frames, int height, int width, const float *rho, const float *share,
          const float *gate, const float *step, const float *across, const float *down,
          const float *base, const int *sizes, const uint8_t *const *pixels, float least,
          uint8_t *image, const Mirror *mirror, int h, int w, const uint8_t *mirrored, int soft_h,
          int soft_w, const float *soften, const float *soft, int added_h, int added_w,
          const float *added) {
    Imagined imagined = {mirror, h,    w,       mirrored, soft_h, soft_w,
                         soften, soft, added_h, added_w,  added};
    Column soft_columns[width], added_columns[width];
    for (int x = 0; mirror && x < width; x++) {
        if (soften) soft_columns[x] = column_of(x, width, soft_w);
        added_columns[x] = column_of(x, width, added_w);
    }
    EACH for (int y = 0; y < height; y++) {
        long row = (long)y * width, plane = (long)height * width;
        float total[width];
        four read[width], guess[width];
        Spots spots[width / W];
        uint8_t line[width * 3 + 1]; /* a colour is put as four bytes */
        memset(read, 0, sizeof read);
        memset(total, 0, sizeof total);
        for (int m = 0; m < frames; m++) {
            const float *part = share + m * plane + row, *along = across + (long)m * 3 * width;
            const float *at = down + (long)m * 3 * height + y, *s = step + m * 3;
            int columns = sizes[2 * m + 1];
            for (int x = 0; x < width; x += W) {
                vec seen = *(const vec *)(part + x), near = *(const vec *)(rho + row + x);
                seen = (vec)((ints)seen & (seen >= least));
                if (sum_of(seen) == 0) continue;
                *(vec *)(total + x) += seen;
                vec depth = s[2] * near + *(const vec *)(along + 2 * width + x) + at[2 * height];
                vec over = 1 / larger(depth, all(0.02f));
                vec right = s[0] * near + *(const vec *)(along + x) + at[0];
                vec up = s[1] * near + *(const vec *)(along + width + x) + at[height];
                right = right * over + base[2 * m];
                up = up * over + base[2 * m + 1];
                spots_of(right, up, sizes[2 * m], columns, &spots[x / W]);
                fetch(pixels[m], columns, &spots[x / W]);
            }
            for (int x = 0; x < width; x++)
                if (part[x] >= least)
                    read[x] += part[x] * colour_at(pixels[m], columns, &spots[x / W], x % W);
        }
        if (mirror)
            imagined_row(&imagined, y, height, width, gate + row, least, soft_columns,
                         added_columns, guess);
        for (int x = 0; x < width; x++) {
            float known = total[x] > 0 ? gate[row + x] : 0;
            four colour = read[x] * (1 / (total[x] > 0 ? total[x] : 1));
            if (mirror && 1 - known >= least) colour = guess[x] + (colour - guess[x]) * known;
            put_colour(line + x * 3, colour);
        }
        memcpy(image + row * 3, line, width * 3);
    }
}
