/* Where rays lie in the memory frames and what is read there. W rays are followed at once; their
 * number divides by 16. */

#pragma once

#include "numbers.h"

#define CHANNELS 16
#define PARTS (CHANNELS / W)

typedef struct {
    int frames, rays, height, width;
    const float *origin, *step; /* (M, 3, S), (M, 3): cameras.EpipolarLines */
    const float *features;      /* (M, height, width, 16) */
    const float *own;           /* (M, height, width, 4): own distance, its scale, nothing */
} Memory;

typedef struct {
    vec x, y, depth; /* depth: the target's rho over the frame's */
    ints inside;     /* -1 where the frame shows the place, else 0 */
} Places;

INLINE Places places_of(const Memory *memory, int m, int s, vec rho) {
    long rays = memory->rays;
    const float *origin = memory->origin + m * 3 * rays + s, *step = memory->step + m * 3;
    vec ahead = -(*(const vec *)(origin + 2 * rays) + rho * step[2]);
    Places at = {.depth = larger(ahead, all(0.02f))};
    vec over = 1 / at.depth;
    at.x = (*(const vec *)origin + rho * step[0]) * over;
    at.y = (*(const vec *)(origin + rays) + rho * step[1]) * over;
    at.inside = (ahead > 0.02f) & (absolute(at.x) < 1) & (absolute(at.y) < 1);
    return at;
}

INLINE int any(ints where) {
    int found = 0;
    for (int i = 0; i < W; i++) found |= where[i];
    return found;
}

/* The left upper of four neighbours in a map, and what each of the four counts. */
typedef struct {
    int32_t first[W];
    float shares[4][W];
} Corners;

/* Bilinear reading with repeated borders. */
INLINE void corners_of(const Places *at, int height, int width, Corners *to) {
    vec x = between((at->x + 1) * (0.5f * width) - 0.5f, 0, width - 1);
    vec y = between((1 - at->y) * (0.5f * height) - 0.5f, 0, height - 1);
    ints left = whole(smaller(x, all(width - 2))), top = whole(smaller(y, all(height - 2)));
    vec across = x - floats(left), down = y - floats(top);
    *(ints *)to->first = top * width + left;
    *(vec *)to->shares[0] = (1 - across) * (1 - down);
    *(vec *)to->shares[1] = across * (1 - down);
    *(vec *)to->shares[2] = (1 - across) * down;
    *(vec *)to->shares[3] = across * down;
}

/* Of ray i, in a map (height, width, 4). */
INLINE four read_four(const float *map, int width, const Corners *at, int i) {
    const float *upper = map + (long)at->first[i] * 4, *lower = upper + width * 4;
    four sum = at->shares[0][i] * *(const four *)upper;
    sum += at->shares[1][i] * *(const four *)(upper + 4);
    sum += at->shares[2][i] * *(const four *)lower;
    return sum + at->shares[3][i] * *(const four *)(lower + 4);
}

typedef struct {
    vec parts[PARTS];
} Feature;

INLINE Feature read_feature(const float *map, int width, const Corners *at, int i) {
    const float *upper = map + (long)at->first[i] * CHANNELS, *lower = upper + width * CHANNELS;
    Feature sum;
    for (int p = 0; p < PARTS; p++) {
        int c = p * W;
        sum.parts[p] = at->shares[0][i] * *(const vec *)(upper + c);
        sum.parts[p] += at->shares[1][i] * *(const vec *)(upper + CHANNELS + c);
        sum.parts[p] += at->shares[2][i] * *(const vec *)(lower + c);
        sum.parts[p] += at->shares[3][i] * *(const vec *)(lower + CHANNELS + c);
    }
    return sum;
}

#define RHO_SCALE 0.02f /* cameras */
#define RHO_RATE 6.0f
#define OWN_STEP 0.02f /* own_distance.STEP */

/* own_distance.expected_coordinate; depth of Places. */
INLINE vec own_coordinate(vec rho, vec depth) {
    vec expected = log_of(1 + larger(rho, all(0)) / (depth * RHO_SCALE)) / RHO_RATE;
    return smaller(expected, all(1.5f));
}

/* own_distance.fitting, of own distances and scales (W, 2). */
INLINE void fitting(vec rho, vec depth, const float *own, vec *fit, vec *side) {
    vec distance, scale;
    for (int i = 0; i < W; i++) distance[i] = own[2 * i], scale[i] = own[2 * i + 1];
    vec off = (own_coordinate(rho, depth) - distance) / (exp_of(scale) + OWN_STEP);
    *fit = exp_of(-absolute(off));
    vec steep = (1 - *fit) / (1 + *fit); /* tanh(|off| / 2) */
    *side = chosen(off < 0, -steep, steep);
}

/* What a frame shows along W rays. */
typedef struct {
    Feature features[W];
    float own[2 * W];
} Read;

INLINE void read_places(const Memory *memory, int m, const Places *at, int everywhere, Read *read) {
    Corners corners;
    int32_t inside[W];
    long map = (long)m * memory->height * memory->width;
    corners_of(at, memory->height, memory->width, &corners);
    *(ints *)inside = at->inside;
    for (int i = 0; i < W; i++) {
        if (!everywhere && !inside[i]) {
            read->own[2 * i] = read->own[2 * i + 1] = 0;
            continue;
        }
        const float *features = memory->features + map * CHANNELS;
        read->features[i] = read_feature(features, memory->width, &corners, i);
        four own = read_four(memory->own + map * 4, memory->width, &corners, i);
        memcpy(read->own + 2 * i, &own, 8);
    }
}

/* Own distance of a frame and the logarithm of its scale, where it shows W rays; else 0. */
INLINE void read_own(const Memory *memory, int m, const Places *at, vec *distance, vec *scale) {
    Corners corners;
    const float *map = memory->own + (long)m * memory->height * memory->width * 4;
    corners_of(at, memory->height, memory->width, &corners);
    *distance = *scale = all(0);
    for (int i = 0; i < W; i++) {
        if (!at->inside[i]) continue;
        four own = read_four(map, memory->width, &corners, i);
        (*distance)[i] = own[0];
        (*scale)[i] = own[1];
    }
}
