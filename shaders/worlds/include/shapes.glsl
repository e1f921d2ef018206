// Unit shapes. A primitive is a unit shape under an affine map, so a ray keeps its parameter t.
const int BOX = 0, SPHERE = 1, CYLINDER = 2, CONE = 3, CARD = 4, LEAF_BALL = 5, LEAF_CONE = 6,
          PRISM = 7, ROCK = 8, ARCH = 9;
const float FAR = 1e9;
const vec2 MISS = vec2(FAR, -FAR);

vec3 safe(vec3 d) { return mix(d, vec3(1e-7), lessThan(abs(d), vec3(1e-7))); }

vec2 span_box(vec3 o, vec3 d) {
    vec3 inverse = 1.0 / safe(d), a = -o * inverse, b = abs(inverse);
    vec3 enter = a - b, leave = a + b;
    return vec2(max(max(enter.x, enter.y), enter.z), min(min(leave.x, leave.y), leave.z));
}
vec2 span_quadratic(float a, float b, float c) {
    float disc = b * b - a * c;
    if (disc < 0.0) return MISS;
    disc = sqrt(disc);
    return vec2(-b - disc, -b + disc) / a;
}
vec2 span_sphere(vec3 o, vec3 d, float radius) {
    return span_quadratic(dot(d, d), dot(o, d), dot(o, o) - radius * radius);
}
vec2 span_slab(float o, float d) {
    float inverse = 1.0 / (abs(d) < 1e-7 ? 1e-7 : d), a = -o * inverse, b = abs(inverse);
    return vec2(a - b, a + b);
}
vec2 both(vec2 a, vec2 b) { return vec2(max(a.x, b.x), min(a.y, b.y)); }
vec2 span_cylinder(vec3 o, vec3 d) {
    vec2 round_part = span_quadratic(max(dot(d.xz, d.xz), 1e-12), dot(o.xz, d.xz), dot(o.xz, o.xz) - 1.0);
    return both(round_part, span_slab(o.y, d.y));
}
vec2 span_cone(vec3 o, vec3 d) { // apex at y = 1, radius 1 at y = -1
    float w = 1.0 - o.y, wd = -d.y;
    float a = dot(d.xz, d.xz) - 0.25 * wd * wd;
    float b = dot(o.xz, d.xz) - 0.25 * w * wd;
    float c = dot(o.xz, o.xz) - 0.25 * w * w;
    float disc = b * b - a * c;
    if (disc < 0.0 && a > 0.0) return MISS;
    disc = sqrt(max(disc, 0.0));
    vec2 r = a > 0.0 ? vec2(-b - disc, -b + disc) / a
           : d.y < 0.0 ? vec2(max((-b - disc) / a, (-b + disc) / a), FAR)
                       : vec2(-FAR, min((-b - disc) / a, (-b + disc) / a));
    return both(r, span_slab(o.y, d.y));
}
vec2 span_half(vec3 o, vec3 d, vec3 n, float limit) { // n . x <= limit
    float rate = dot(n, d), t = (limit - dot(n, o)) / (abs(rate) < 1e-7 ? 1e-7 : rate);
    return rate > 0.0 ? vec2(-FAR, t) : vec2(t, FAR);
}
vec2 span_prism(vec3 o, vec3 d) { // gable: base y = -1, ridge along z at y = 1
    vec2 s = both(span_slab(o.z, d.z), span_half(o, d, vec3(0, -1, 0), 1.0));
    return both(s, both(span_half(o, d, vec3(2, 1, 0), 1.0), span_half(o, d, vec3(-2, 1, 0), 1.0)));
}
vec2 span_rock(vec3 o, vec3 d) {
    vec2 s = both(span_box(o, d), span_sphere(o, d, 1.27));
    s = both(s, span_half(o, d, vec3(0.62, 0.71, 0.33), 0.98));
    return both(s, span_half(o, d, vec3(-0.55, 0.45, -0.70), 0.95));
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
    for (int i = 0; i < 7; i++) {
        float k = fract(seed * 91.7 + float(i) * 0.618), h = 0.55 + 0.45 * fract(k * 7.3 + seed);
        float root = (float(i) - 3.0) * 0.12, lean = (k - 0.5) * 1.5;
        float x = root + lean * y * y, width = 0.075 * (1.0 - y / h);
        inside = max(inside, width - abs(p.x - x));
    }
    return inside > 0.0;
}
// Nearest visible t > near, or FAR.
float first_hit(int shape, vec3 o, vec3 d, float near, float seed) {
    vec2 s;
    if (shape == BOX) s = span_box(o, d);
    else if (shape == SPHERE) s = span_sphere(o, d, 1.0);
    else if (shape == CYLINDER) s = span_cylinder(o, d);
    else if (shape == CONE) s = span_cone(o, d);
    else if (shape == PRISM) s = span_prism(o, d);
    else if (shape == ROCK) s = span_rock(o, d);
    else if (shape == CARD) {
        float t = -o.z / (abs(d.z) < 1e-7 ? 1e-7 : d.z);
        vec2 p = o.xy + d.xy * t;
        if (t < near || max(abs(p.x), abs(p.y)) > 1.0 || !card_alpha(p, seed)) return FAR;
        return t;
    } else if (shape == ARCH) { // a block with a round-headed passage along z
        s = span_box(o, d);
        if (s.x > s.y) return FAR;
        vec3 q = vec3((o.x) / 0.74, (o.y + 0.35) / 0.95, 0.0), e = vec3(d.x / 0.74, d.y / 0.95, 0.0);
        vec2 round_part = span_quadratic(max(dot(e.xy, e.xy), 1e-12), dot(q.xy, e.xy), dot(q.xy, q.xy) - 1.0);
        vec2 door = both(span_slab(o.x / 0.74, d.x / 0.74), span_half(o, d, vec3(0, 1, 0), -0.35));
        vec2 hole = round_part.x > round_part.y ? door : door.x > door.y ? round_part
                  : vec2(min(door.x, round_part.x), max(door.y, round_part.y));
        float t = max(s.x, near);
        if (t >= hole.x && t <= hole.y) t = hole.y;
        else if (s.x < near) return FAR;
        return t < s.y && t > near ? t : FAR;
    } else { // foliage: both shells, with holes
        s = shape == LEAF_BALL ? span_sphere(o, d, 1.0) : span_cone(o, d);
        if (s.x > s.y) return FAR;
        for (int side = 0; side < 3; side++) {
            float t = side == 0 ? s.x : side == 1 ? mix(s.x, s.y, 0.3) : s.y;
            if (t < near) continue;
            vec3 p = o + d * t;
            float cells = shape == LEAF_BALL ? 4.5 : 6.0;
            float rim = shape == LEAF_CONE ? 0.9 * smoothstep(-0.2, -1.0, p.y) : 0.0;
            if (shape == LEAF_CONE && p.y < -0.98) continue;
            if (leaf_cell(p, cells, seed) > 0.16 + 0.5 * rim) return t;
        }
        return FAR;
    }
    return s.x <= s.y && s.x > near ? s.x : FAR;
}
// Length of t inside a convex shape beyond `near` (soft shadow measure) and where it starts.
vec2 chord(int shape, vec3 o, vec3 d, float near, float seed) {
    vec2 s;
    if (shape == BOX) s = span_box(o, d);
    else if (shape == SPHERE) s = span_sphere(o, d, 1.0);
    else if (shape == CYLINDER) s = span_cylinder(o, d);
    else if (shape == CONE) s = span_cone(o, d);
    else if (shape == PRISM) s = span_prism(o, d);
    else if (shape == ROCK) s = span_rock(o, d);
    else { float t = first_hit(shape, o, d, near, seed); return t < FAR ? vec2(t, t + 0.5) : MISS; }
    s.x = max(s.x, near);
    return s;
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
        float cut1 = dot(p, vec3(0.62, 0.71, 0.33)) - 0.98, cut2 = dot(p, vec3(-0.55, 0.45, -0.70)) - 0.95;
        float ball = length(p) - 1.27, cube = max(max(a.x, a.y), a.z) - 1.0;
        float top = max(max(cut1, cut2), max(ball, cube));
        return top == cut1 ? vec3(0.62, 0.71, 0.33) : top == cut2 ? vec3(-0.55, 0.45, -0.70)
             : top == ball ? p : box_n;
    }
    if (shape == ARCH && max(max(a.x, a.y), a.z) < 0.9995)
        return p.y < -0.35 ? vec3(-sign(p.x), 0, 0) : -vec3(p.x / 0.5476, (p.y + 0.35) / 0.9025, 0);
    if (shape == ARCH) return box_n;
    return p;
}
