/* The mirrored reading that the flow state starts from: H x W pixels, W divides by 16. */

#include "mirror.h"

#define SOFT_RADIANS 0.12f /* mirror.py */
#define PLAIN_RADIANS 0.6f

/* Planes (3, h, w) at W places in -1..1, bilinear with repeated borders. */
INLINE void planes_at(const float *planes, int h, int w, vec x, vec y, vec *colour) {
    x = between((x + 1) * (0.5f * w) - 0.5f, 0, w - 1);
    y = between((y + 1) * (0.5f * h) - 0.5f, 0, h - 1);
    ints left = whole(smaller(x, all(w - 2))), top = whole(smaller(y, all(h - 2)));
    vec across = x - floats(left), down = y - floats(top);
    int32_t first[W];
    *(ints *)first = top * w + left;
    for (int c = 0; c < 3; c++, planes += (long)h * w) {
        float corners[4][W];
        for (int i = 0; i < W; i++) {
            const float *upper = planes + first[i], *lower = upper + w;
            corners[0][i] = upper[0], corners[1][i] = upper[1];
            corners[2][i] = lower[0], corners[3][i] = lower[1];
        }
        const vec *corner = (const vec *)corners;
        vec above = corner[0] + (corner[1] - corner[0]) * across;
        vec below = corner[2] + (corner[3] - corner[2]) * across;
        colour[c] = above + (below - above) * down;
    }
}

INLINE vec ease(vec x) {
    x = between(x, 0, 1);
    return x * x * (3 - 2 * x);
}

/* mirror.read_mirrored (3, H, W) of a picture (3, h, w) that is (3, plain_h, plain_w) when almost a
 * single colour; the mirror's scale and base are not used. */
void mirrored_state(const Mirror *mirror, int h, int w, const float *picture, int plain_h,
                    int plain_w, const float *plain, int height, int width, float *to) {
    float top[3] = {0};
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < plain_w; x++) top[c] += plain[c * plain_h * plain_w + x] / plain_w;
    EACH for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x += W) {
            vec along, px, py, colour[3];
            for (int i = 0; i < W; i++) along[i] = x + i;
            along = ((along * 2 + 1) / (float)width - 1) * mirror->tan_target[0];
            Turned at = turned(mirror, along, (1 - (y * 2 + 1.0f) / height) * mirror->tan_target[1]);
            mirrored_place(mirror, &at, &px, &py);
            planes_at(picture, h, w, px, py, colour);
            vec over = larger(at.relative - at.half, all(0));
            if (sum_of(over) > 0) {
                vec soft[3], smooth = ease(over / SOFT_RADIANS), even = ease(over / PLAIN_RADIANS);
                place_of(mirror, &at, smaller(at.relative, at.half), 0, &px, &py);
                planes_at(plain, plain_h, plain_w, px, py, soft);
                for (int c = 0; c < 3; c++) {
                    soft[c] += (top[c] - soft[c]) * even;
                    colour[c] += (soft[c] - colour[c]) * smooth;
                }
            }
            for (int c = 0; c < 3; c++) *(vec *)(to + ((long)c * height + y) * width + x) = colour[c];
        }
}
