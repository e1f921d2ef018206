/* Where the mirrored reading of a picture reads it; see mirror.py. */

#pragma once

#include "numbers.h"

/* Arc tangent, sine and cosine (Abramowitz and Stegun 4.4.49, 4.3.97, 4.3.99). */

INLINE vec angle_of(vec y, vec x) {
    const ints sign = (ints)all(-0.0f);
    vec far = (vec)((ints)x & ~sign), high = (vec)((ints)y & ~sign);
    vec a = smaller(far, high) / larger(larger(far, high), all(1e-20f)), b = a * a;
    vec r = b * 0.0028662257f - 0.0161657367f;
    r = r * b + 0.0429096138f;
    r = r * b - 0.0752896400f;
    r = r * b + 0.1065626393f;
    r = r * b - 0.1420889944f;
    r = r * b + 0.1999355085f;
    r = r * b - 0.3333314528f;
    r = r * b * a + a;
    r = chosen(high > far, 1.57079633f - r, r);
    r = chosen(x < 0, 3.14159265f - r, r);
    return (vec)((ints)r | ((ints)y & sign));
}

/* For angles up to 3 pi / 2. */
INLINE void sine_cosine(vec x, vec *sine, vec *cosine) {
    vec turned = chosen(x > 1.57079633f, all(3.14159265f), all(0));
    turned = chosen(x < -1.57079633f, all(-3.14159265f), turned);
    x -= turned;
    vec b = x * x, flip = chosen(turned == 0, all(1), all(-1));
    vec s = b * -2.39e-8f + 2.7526e-6f;
    s = s * b - 1.984090e-4f;
    s = s * b + 8.3333315e-3f;
    s = s * b - 0.1666666664f;
    *sine = (s * b * x + x) * flip;
    vec c = b * -2.605e-7f + 2.47609e-5f;
    c = c * b - 1.3888397e-3f;
    c = c * b + 0.0416666418f;
    c = c * b - 0.4999999963f;
    *cosine = (c * b + 1) * flip;
}

#define GROUND_RADIANS 0.3f /* mirror.py */
#define HORIZON 0.01f

typedef struct {
    float rotation[9], pitch, level[2], tan_target[2], tan_memory[2], limit, border;
    float scale[2], base[2]; /* from grid coordinates to pixels */
    float detail;            /* the share of the sharp reading in the guess */
} Mirror;

/* W directions about the mirrored picture's level axes. */
typedef struct {
    vec sine, cosine;             /* of the folded azimuth */
    vec flat, up, relative, half; /* elevation above the picture's level, and of its borders */
} Turned;

/* fast_mirror.Mirror.angles of the directions x, y of the target. */
INLINE Turned turned(const Mirror *m, vec x, float y) {
    const float *r = m->rotation;
    Turned to;
    vec right = r[0] * x + (r[1] * y - r[2]), back = r[6] * x + (r[7] * y - r[8]);
    to.up = r[3] * x + (r[4] * y - r[5]);
    to.flat = root(right * right + back * back);
    to.relative = angle_of(to.up, to.flat) + m->pitch;
    vec azimuth = angle_of(right, -back) + m->limit;
    ints wave = __builtin_convertvector(azimuth / (4 * m->limit) + 8, ints) - 8;
    azimuth -= __builtin_convertvector(wave, vec) * (4 * m->limit) + 2 * m->limit;
    azimuth = m->limit - larger(azimuth, -azimuth);
    sine_cosine(azimuth, &to.sine, &to.cosine);
    to.half = angle_of(to.cosine * m->tan_memory[1], all(1)) * m->border;
    return to;
}

/* Where the direction of this elevation lies in the picture, in -1..1; towards the ground, that
 * direction is mirrored instead where `folds`. */
INLINE void place_of(const Mirror *m, const Turned *at, vec elevation, int folds, vec *x, vec *y) {
    vec half = at->half, high, deep;
    sine_cosine(smaller(larger(elevation, -half), half) - m->pitch, &high, &deep);
    vec across = deep * at->sine, ahead = deep * at->cosine;
    vec lowest = half + m->pitch, share = smaller(lowest * (1 / GROUND_RADIANS), all(1));
    share = chosen(at->relative < -half, larger(share, all(0)), all(0));
    if (folds && sum_of(share) > 0) {
        vec deepest, widest;
        sine_cosine(larger(lowest, all(HORIZON)), &deepest, &widest);
        vec metres = at->flat / larger(-at->up, at->flat * HORIZON + 1e-9f);
        vec beyond = (2 * widest / deepest - metres) * at->cosine, beside = metres * at->sine;
        vec near = 1 / root(beside * beside + beyond * beyond + 1);
        across += (beside * near - across) * share;
        high += (-near - high) * share;
        ahead += (beyond * near - ahead) * share;
    }
    float c = m->level[0], s = m->level[1];
    vec over = 1 / larger(c * ahead - s * high, all(0.05f));
    *x = between(across * (over / m->tan_memory[0]), -1, 1);
    *y = between((c * high + s * ahead) * over / -m->tan_memory[1], -1, 1);
}

/* Where they are read: folded, and mirrored on the ground. */
INLINE void mirrored_place(const Mirror *m, const Turned *at, vec *x, vec *y) {
    vec folded = 2 * smaller(larger(at->relative, -at->half), at->half) - at->relative;
    place_of(m, at, folded, 1, x, y);
}
