/* A stored picture at twice its resolution, with torch's bicubic kernel (a = -0.75). */

#include "numbers.h"

/* Half way between the second and the third of four, times 32: whole numbers, so nothing is lost. */
#define HALF_WAY(a, b, c, d) (19 * ((b) + (c)) - 3 * ((a) + (d)))

/* Rounds as OpenCV does, halves to even. */
INLINE uint8_t byte_of(float x) { return within(x + 12582912.0f - 12582912.0f, 0, 255); }

/* Pixels (h, w, 3) -> (2 h, 2 w, 4): the pixels themselves, and the values half way to the next one
 * to the right, below, and both; borders are repeated. */
void doubled(int h, int w, const uint8_t *pixels, uint8_t *to) {
    EACH for (int y = 0; y < h; y++) {
        float lines[4][4 * w + 12], right[4][4 * w];
        uint8_t even[4 * w], odd[4 * w];
        for (int r = 0; r < 4; r++) {
            int row = y + r - 1 < 0 ? 0 : y + r - 1 < h ? y + r - 1 : h - 1;
            const uint8_t *from = pixels + (long)row * w * 3;
            float *line = lines[r];
            for (int x = -1; x < w + 2; x++) {
                int at = x < 0 ? 0 : x < w ? x : w - 1;
                for (int c = 0; c < 3; c++) line[4 * (x + 1) + c] = from[3 * at + c];
                line[4 * (x + 1) + 3] = 255;
            }
            for (int i = 0; i < 4 * w; i++)
                right[r][i] = HALF_WAY(line[i], line[i + 4], line[i + 8], line[i + 12]);
        }
        for (int below = 0; below < 2; below++) {
            for (int i = 0; i < 4 * w; i++) {
                float here = lines[1][i + 4], beside = right[1][i] / 32;
                if (below) {
                    here = HALF_WAY(lines[0][i + 4], here, lines[2][i + 4], lines[3][i + 4]) / 32;
                    beside = HALF_WAY(right[0][i], right[1][i], right[2][i], right[3][i]) / 1024;
                }
                even[i] = byte_of(here);
                odd[i] = byte_of(beside);
            }
            uint8_t *row = to + (long)(2 * y + below) * w * 8;
            for (int x = 0; x < w; x++) {
                memcpy(row + 8 * x, even + 4 * x, 4);
                memcpy(row + 8 * x + 4, odd + 4 * x, 4);
            }
        }
    }
}
