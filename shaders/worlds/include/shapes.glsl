// Unit shapes. A primitive is a unit shape under an affine map, so a ray keeps its parameter t.
const int BOX = 0, SPHERE = 1, CYLINDER = 2, CONE = 3, CARD = 4, LEAF_BALL = 5, LEAF_CONE = 6,
          PRISM = 7, ROCK = 8, ARCH = 9;
const float LEAF_CELLS = 6.5; // leaves across a unit of foliage
const float FAR = 1e9;
const vec2 MISS = vec2(FAR, -FAR);

vec3 safe(vec3 d) { return mix(d, vec3(1e-7), lessThan(abs(d), vec3(1e-7))); }

// Spans are (enter, leave) along the ray. All shapes share one code path with selected numbers:
// software GL runs both sides of every `if` anyway.
vec2 both(vec2 a, vec2 b) { return vec2(max(a.x, b.x), min(a.y, b.y)); }
vec2 span_slab(float o, float d) {
    float inverse = 1.0 / (abs(d) < 1e-7 ? 1e-7 : d), a = -o * inverse, b = abs(inverse);
    return vec2(a - b, a + b);
}
vec2 span_half(vec3 o, vec3 d, vec3 n, float limit) { // n . x <= limit
    float rate = dot(n, d), t = (limit - dot(n, o)) / (abs(rate) < 1e-7 ? 1e-7 : rate);
    return rate > 0.0 ? vec2(-FAR, t) : vec2(t, FAR);
}
const vec3 ROCK_CUT_1 = vec3(0.62, 0.71, 0.33), ROCK_CUT_2 = vec3(-0.55, 0.45, -0.70);

vec2 span_convex(int shape, vec3 o, vec3 d) {
    vec3 inverse = 1.0 / safe(d), middle = -o * inverse, reach = abs(inverse);
    vec3 enter = middle - reach, leave = middle + reach;
    bool cone = shape == CONE || shape == LEAF_CONE, rock = shape == ROCK, prism = shape == PRISM;
    bool ball = shape == SPHERE || shape == LEAF_BALL;
    // one quadric: x^2 + z^2 + k y^2 <= r^2; a cone measures y down from its apex at y = 1
    float k = ball || rock ? 1.0 : cone ? -0.25 : 0.0, r2 = rock ? 1.6129 : cone ? 0.0 : 1.0;
    float oy = cone ? 1.0 - o.y : o.y, dy = cone ? -d.y : d.y;
    float a = dot(d.xz, d.xz) + k * dy * dy, b = dot(o.xz, d.xz) + k * oy * dy;
    float c = dot(o.xz, o.xz) + k * oy * oy - r2, disc = b * b - a * c;
    float root = sqrt(max(disc, 0.0));
    a = abs(a) < 1e-12 ? 1e-12 : a;
    vec2 pair = vec2(-b - root, -b + root) / a, round_span = pair;
    if (a < 0.0) round_span = d.y < 0.0 ? vec2(max(pair.x, pair.y), FAR) : vec2(-FAR, min(pair.x, pair.y));
    if (disc < 0.0 && a > 0.0) round_span = MISS;
    vec2 box_span = vec2(max(max(enter.x, enter.y), enter.z), min(min(leave.x, leave.y), leave.z));
    vec2 base = ball ? vec2(-FAR, FAR) : cone || shape == CYLINDER ? vec2(enter.y, leave.y)
              : prism ? vec2(max(enter.y, enter.z), min(leave.y, leave.z)) : box_span;
    if (ball || rock || cone || shape == CYLINDER) base = both(base, round_span);
    if (prism || rock) {
        base = both(base, span_half(o, d, rock ? ROCK_CUT_1 : vec3(2, 1, 0), rock ? 0.98 : 1.0));
        base = both(base, span_half(o, d, rock ? ROCK_CUT_2 : vec3(-2, 1, 0), rock ? 0.95 : 1.0));
    }
    return base;
}
float leaf_cell(vec3 p, float cells, float seed) {
    vec3 q = p * cells + seed * 37.0;
    uvec3 c = uvec3(ivec3(floor(q)) + 4096);
    uint n = (c.x * 1597334673u) ^ (c.y * 3812015801u) ^ (c.z * 2798796413u);
    n ^= n >> 15; n *= 2246822519u; n ^= n >> 13;
    float id = float(n >> 8) / 16777216.0;
    vec3 f = fract(q) - 0.5;
    return id - 0.75 * dot(f, f);
}
bool card_alpha(vec2 p, float seed) { // a tuft: blades that bend away from the middle
    float y = p.y * 0.5 + 0.5, inside = -1.0;
    for (int i = 0; i < 5; i++) {
        float k = fract(seed * 91.7 + float(i) * 0.618), h = 0.55 + 0.45 * fract(k * 7.3 + seed);
        float x = (float(i) - 2.0) * 0.17 + (k - 0.5) * 1.5 * y * y;
        inside = max(inside, 0.085 * (1.0 - y / h) - abs(p.x - x));
    }
    return inside > 0.0;
}
// Where a ray inside an arch block's span meets stone: the passage runs along z, round on top.
float arch_hit(vec3 o, vec3 d, vec2 s, float near) {
    vec2 q = vec2(o.x / 0.74, (o.y + 0.35) / 0.95), e = vec2(d.x / 0.74, d.y / 0.95);
    float a = max(dot(e, e), 1e-12), b = dot(q, e), disc = b * b - a * (dot(q, q) - 1.0);
    float root = sqrt(max(disc, 0.0));
    vec2 round_part = disc < 0.0 ? MISS : vec2(-b - root, -b + root) / a;
    vec2 door = both(span_slab(q.x, e.x), span_half(o, d, vec3(0, 1, 0), -0.35));
    vec2 hole = round_part.x > round_part.y ? door : door.x > door.y ? round_part
              : vec2(min(door.x, round_part.x), max(door.y, round_part.y));
    float t = max(s.x, near);
    bool in_hole = t >= hole.x && t <= hole.y;
    if (!in_hole && s.x < near) return FAR;
    t = in_hole ? hole.y : t;
    return t < s.y && t > near ? t : FAR;
}
// Foliage is two shells with holes: the first leaf met.
float leaf_hit(int shape, vec3 o, vec3 d, vec2 s, float near, float seed) {
    float cells = LEAF_CELLS, best = FAR;
    for (int side = 0; side < 3; side++) {
        float t = side == 0 ? s.y : side == 1 ? mix(s.x, s.y, 0.3) : s.x;
        vec3 p = o + d * t;
        float rim = shape == LEAF_CONE ? 0.9 * smoothstep(-0.2, -1.0, p.y) : 0.0;
        bool leaf = leaf_cell(p, cells, seed) > (shape == LEAF_BALL ? 0.34 : 0.2) + 0.5 * rim && (shape == LEAF_BALL || p.y > -0.98);
        if (leaf && t > near && s.x <= s.y) best = t;
    }
    return best;
}
// Nearest visible t > near, or FAR; `s` is the span inside the convex hull.
float first_hit(int shape, vec3 o, vec3 d, float near, float seed, out vec2 s) {
    s = span_convex(shape, o, d);
    float t = s.x <= s.y && s.x > near ? s.x : FAR;
#if HAS_CARDS
    if (shape == CARD) {
        float tc = -o.z / (abs(d.z) < 1e-7 ? 1e-7 : d.z);
        vec2 p = o.xy + d.xy * tc;
        t = tc > near && max(abs(p.x), abs(p.y)) < 1.0 && card_alpha(p, seed) ? tc : FAR;
    }
#endif
#if HAS_ARCHES
    if (shape == ARCH) t = s.x <= s.y ? arch_hit(o, d, s, near) : FAR;
#endif
#if HAS_LEAVES
    if (shape == LEAF_BALL || shape == LEAF_CONE) t = leaf_hit(shape, o, d, s, near, seed);
#endif
    return t;
}
// Where the ray enters a shape beyond `near` and leaves it (soft shadow measure).
vec2 chord(int shape, vec3 o, vec3 d, float near, float seed) {
    vec2 s;
    float t = first_hit(shape, o, d, near, seed, s);
    bool convex = shape < CARD || shape == PRISM || shape == ROCK;
    return convex ? vec2(max(s.x, near), s.y) : t < FAR ? vec2(t, t + 0.5) : MISS;
}
vec3 local_normal(int shape, vec3 p) {
    vec3 a = abs(p), box_n = a.x > a.y && a.x > a.z ? vec3(sign(p.x), 0, 0)
                           : a.y > a.z ? vec3(0, sign(p.y), 0) : vec3(0, 0, sign(p.z));
    if (shape == BOX) return box_n;
    if (shape == CYLINDER) return a.y > 0.9995 ? vec3(0, sign(p.y), 0) : vec3(p.x, 0, p.z);
    if (shape == CONE || shape == LEAF_CONE) return p.y < -0.9995 ? vec3(0, -1, 0) : vec3(p.x, 0.25 * (1.0 - p.y), p.z);
    if (shape == CARD) return vec3(0, 0, 1);
    if (shape == PRISM) {
        if (a.z > 0.9995) return vec3(0, 0, sign(p.z));
        return p.y < -0.9995 ? vec3(0, -1, 0) : vec3(2.0 * sign(p.x), 1, 0);
    }
    if (shape == ROCK) {
        float cut1 = dot(p, ROCK_CUT_1) - 0.98, cut2 = dot(p, ROCK_CUT_2) - 0.95;
        float ball = length(p) - 1.27, cube = max(max(a.x, a.y), a.z) - 1.0;
        float top = max(max(cut1, cut2), max(ball, cube));
        return top == cut1 ? ROCK_CUT_1 : top == cut2 ? ROCK_CUT_2
             : top == ball ? p : box_n;
    }
    if (shape == ARCH && max(max(a.x, a.y), a.z) < 0.9995)
        return p.y < -0.35 ? vec3(-sign(p.x), 0, 0) : -vec3(p.x / 0.5476, (p.y + 0.35) / 0.9025, 0);
    if (shape == ARCH) return box_n;
    return p;
}
