#version 330 core
// Tiling materials, one per layer: rgb = reflectance around mid grey-bright, a = height (for bump).
in vec2 ndc;
out vec4 color;
uniform int u_layer;
uniform int u_salt;
#include "include/noise.glsl"

float line(float x, float width) { return smoothstep(width, width * 0.4, abs(x)); }

vec4 masonry(vec2 uv, ivec2 count, float shift, float gap, vec3 stone, vec3 mortar, float spread) {
    vec2 x = uv * vec2(count);
    float row = floor(x.y);
    x.x += shift * mod(row, 2.0) + 0.15 * (hash1(ivec2(0, int(row)), u_salt) - 0.5);
    ivec2 cell = wrap_cell(ivec2(floor(x)), count);
    vec2 f = fract(x);
    float wobble = 0.03 * (fbm(uv, ivec2(32), 3, 0.5, u_salt + 5) - 0.5);
    vec2 edge = min(f, 1.0 - f) / vec2(count) * float(count.y) + wobble;
    float inside = smoothstep(gap * 0.4, gap, min(edge.x, edge.y));
    float tone = hash1(cell, u_salt + 1), warm = hash1(cell, u_salt + 2) - 0.5;
    float grain = fbm(uv, ivec2(64), 4, 0.6, u_salt + 9);
    vec3 c = stone * (1.0 + spread * (tone - 0.5)) * (0.65 + 0.7 * grain);
    c *= vec3(1.0 + 0.25 * warm, 1.0, 1.0 - 0.25 * warm);
    float height = inside * (0.75 + 0.2 * tone) + 0.15 * grain;
    return vec4(mix(mortar * (0.7 + 0.6 * grain), c, inside), height);
}
vec4 rubble(vec2 uv, int count, float gap, vec3 stone, vec3 mortar) {
    vec2 bent = uv + 0.015 * (vec2(fbm(uv, ivec2(16), 3, 0.5, 3), fbm(uv, ivec2(16), 3, 0.5, 4)) - 0.5);
    vec3 v = voronoi(bent, ivec2(count), 0.85, u_salt);
    float inside = smoothstep(gap * 0.3, gap, v.y), grain = fbm(uv, ivec2(48), 4, 0.6, u_salt + 2);
    vec3 c = stone * (0.6 + 0.8 * v.z) * (0.6 + 0.8 * grain);
    c *= vec3(1.0 + 0.2 * fract(v.z * 7.0) - 0.1, 1.0, 1.1 - 0.2 * fract(v.z * 7.0));
    return vec4(mix(mortar * (0.6 + 0.8 * grain), c, inside),
                inside * (0.5 + 0.4 * sqrt(clamp(v.y, 0.0, 1.0))) + 0.12 * grain);
}
vec4 planks(vec2 uv, int count, vec3 wood) {
    float x = uv.x * float(count);
    int board = int(floor(x));
    float f = fract(x), tone = hash1(ivec2(board % count, 1), u_salt);
    float cut = fract(uv.y + tone * 3.0), joint = line(min(cut, 1.0 - cut), 0.006);
    float grain = fbm(vec2(uv.x * 3.0, uv.y) + vec2(0.0, tone), ivec2(48, 3), 4, 0.6, u_salt + 3);
    float fine = fbm(uv, ivec2(128, 8), 3, 0.6, u_salt + 4);
    float gap = smoothstep(0.02, 0.06, min(f, 1.0 - f)) * (1.0 - joint);
    vec3 c = wood * (0.55 + 0.5 * tone) * (0.5 + 0.6 * grain + 0.4 * fine);
    vec2 knot = vec2((f - 0.5) * 0.25, fract(uv.y * 2.0 + tone * 5.0) - 0.5);
    float ring = length(knot * vec2(1.0, 0.7));
    c *= 1.0 - 0.55 * smoothstep(0.05, 0.02, ring) - 0.12 * sin(ring * 190.0) * smoothstep(0.12, 0.04, ring);
    return vec4(c * (0.15 + 0.85 * gap), gap * 0.8 + 0.2 * grain);
}
vec4 bark(vec2 uv) {
    float warp = fbm(uv, ivec2(8), 4, 0.5, u_salt);
    float ridge = fbm(uv + vec2(0.06 * warp, 0.0), ivec2(24, 5), 4, 0.55, u_salt + 5);
    ridge = 1.0 - abs(2.0 * ridge - 1.0);
    float fine = fbm(uv, ivec2(64, 32), 3, 0.6, u_salt + 8);
    float h = pow(ridge, 1.5) * 0.8 + 0.2 * fine;
    return vec4(mix(vec3(0.16, 0.12, 0.09), vec3(0.52, 0.43, 0.35), h) * (0.7 + 0.6 * fine), 1.0 - h * 0.9);
}
vec4 grass(vec2 uv, vec3 dark, vec3 light) {
    float big = fbm(uv, ivec2(5), 4, 0.5, u_salt), mid = fbm(uv, ivec2(30), 4, 0.6, u_salt + 6);
    float blades = fbm(uv + 0.02 * mid, ivec2(90, 60), 3, 0.75, u_salt + 9);
    float h = clamp(0.5 * mid + 0.8 * blades - 0.15, 0.0, 1.0);
    vec3 c = mix(dark, light, h * h * 1.3) * (0.75 + 0.5 * big);
    vec3 v = voronoi(uv, ivec2(26), 1.0, u_salt + 3);
    float petal = smoothstep(0.16, 0.1, v.x) * step(0.86, v.z);
    vec3 bloom = fract(v.z * 40.0) > 0.5 ? vec3(0.95, 0.9, 0.7) : vec3(0.85, 0.75, 0.2);
    return vec4(mix(c, bloom, petal), h);
}
vec4 pebbles(vec2 uv, vec3 soil, float amount) {
    vec4 c = vec4(soil * (0.5 + fbm(uv, ivec2(40), 5, 0.65, u_salt + 1)), 0.2);
    for (int k = 0; k < 3; k++) {
        int n = 14 << k;
        vec3 v = voronoi(uv, ivec2(n), 0.9, u_salt + 11 * k + 2);
        float there = step(1.0 - amount, fract(v.z * 17.0)) * smoothstep(0.42, 0.34, v.x);
        vec3 stone = mix(vec3(0.42, 0.40, 0.38), vec3(0.62, 0.54, 0.45), fract(v.z * 5.0)) * (0.45 + 0.8 * v.z);
        stone *= 0.75 + 0.5 * fbm(uv, ivec2(96), 3, 0.6, u_salt + 7);
        c = mix(c, vec4(stone, 0.4 + 1.4 * (0.42 - v.x)), there);
    }
    return c;
}
vec4 rock(vec2 uv) {
    float warp = fbm(uv, ivec2(6), 5, 0.55, u_salt);
    float strata = fbm(uv + 0.1 * warp, ivec2(5, 22), 5, 0.6, u_salt + 3);
    float fine = fbm(uv, ivec2(60), 4, 0.65, u_salt + 5);
    float crack = voronoi(uv + 0.06 * warp, ivec2(7), 1.0, u_salt + 4).y;
    float dark = 1.0 - 0.75 * smoothstep(0.07, 0.0, crack) * smoothstep(0.42, 0.56, fbm(uv, ivec2(9), 4, 0.6, u_salt + 11));
    vec3 c = mix(vec3(0.28, 0.25, 0.23), vec3(0.66, 0.60, 0.53), strata) * (0.55 + 0.9 * fine);
    vec3 lichen = mix(vec3(0.55, 0.56, 0.38), vec3(0.75, 0.55, 0.25), strata);
    c = mix(c, lichen, 0.6 * smoothstep(0.60, 0.72, fbm(uv, ivec2(10), 4, 0.6, u_salt + 9)));
    return vec4(c * (0.35 + 0.65 * dark), dark * (0.45 * strata + 0.4 * fine + 0.15));
}
vec4 scales(vec2 uv, vec3 tile) { // roof tiles: rows of rounded, overlapping tiles
    vec2 x = uv * vec2(10.0, 12.0);
    float row = floor(x.y);
    x.x += 0.5 * mod(row, 2.0);
    ivec2 cell = wrap_cell(ivec2(floor(x)), ivec2(10, 12));
    vec2 f = fract(x);
    float curve = 1.0 - pow(abs(2.0 * f.x - 1.0), 2.0), tone = hash1(cell, u_salt);
    float lip = smoothstep(0.0, 0.16, f.y + 0.10 * curve - 0.1) ;
    float grain = fbm(uv, ivec2(64), 4, 0.6, u_salt + 4);
    vec3 c = tile * (0.55 + 0.7 * tone) * (0.65 + 0.6 * grain) * (0.35 + 0.65 * lip) * (0.6 + 0.5 * curve);
    c = mix(c, vec3(0.25, 0.29, 0.14), 0.6 * smoothstep(0.58, 0.7, fbm(uv, ivec2(9), 4, 0.6, u_salt + 6)));
    return vec4(c, lip * (0.4 + 0.4 * curve) * (1.1 - f.y));
}
vec4 marble(vec2 uv, vec3 base, vec3 vein) {
    float warp = fbm(uv, ivec2(4), 5, 0.55, u_salt), more = fbm(uv, ivec2(5), 5, 0.6, u_salt + 8);
    float a = abs(fbm(uv + 0.25 * warp, ivec2(4), 4, 0.5, u_salt + 2) - 0.5);
    float b = abs(fbm(uv + 0.2 * more, ivec2(9), 4, 0.5, u_salt + 3) - 0.5);
    float v = smoothstep(0.05, 0.0, a) * 0.8 + smoothstep(0.03, 0.0, b) * 0.5;
    return vec4(mix(base * (0.85 + 0.25 * more), vein, clamp(v, 0.0, 1.0)), 0.5);
}
vec4 parquet(vec2 uv, vec3 wood) { // herringbone made of 4:1 staves
    vec2 x = uv * 16.0;
    ivec2 c = ivec2(floor(x));
    int k = ((c.x - c.y) % 8 + 8) % 8;
    bool flat_stave = k < 4;
    vec2 start = flat_stave ? vec2(float(c.x - k), float(c.y)) : vec2(float(c.x), float(c.y - (7 - k)));
    vec2 local = (x - start) / (flat_stave ? vec2(4.0, 1.0) : vec2(1.0, 4.0));
    if (!flat_stave) local = local.yx;
    float tone = hash1(wrap_cell(ivec2(start), ivec2(16)), u_salt + (flat_stave ? 0 : 3));
    float grain = fbm(flat_stave ? uv : uv.yx, ivec2(12, 96), 4, 0.6, u_salt + 5);
    float edge = min(min(local.x, 1.0 - local.x) * 4.0, min(local.y, 1.0 - local.y));
    float inside = smoothstep(0.01, 0.06, edge);
    return vec4(wood * (0.6 + 0.55 * tone) * (0.55 + 0.8 * grain) * (0.25 + 0.75 * inside), inside);
}
vec4 checker(vec2 uv, int n, vec3 a, vec3 b) {
    vec2 x = uv * float(n);
    ivec2 c = ivec2(floor(x));
    vec2 f = min(fract(x), 1.0 - fract(x));
    float inside = smoothstep(0.008, 0.025, min(f.x, f.y)), grain = fbm(uv, ivec2(40), 5, 0.6, u_salt);
    float tone = hash1(wrap_cell(c, ivec2(n)), u_salt + 1);
    float vein = smoothstep(0.03, 0.0, abs(fbm(uv + 0.3 * tone, ivec2(7), 5, 0.6, u_salt + 4) - 0.5));
    vec3 col = (((c.x + c.y) & 1) == 0 ? a : b) * (0.82 + 0.25 * tone) * (0.8 + 0.4 * grain);
    col = mix(col, mix(vec3(0.8), col, 0.3), 0.35 * vein);
    return vec4(mix(vec3(0.25, 0.23, 0.21), col, inside), inside);
}
vec4 mosaic(vec2 uv) {
    vec2 p = fract(uv * 2.0) - 0.5;
    float radius = length(p), angle = atan(p.y, p.x);
    ivec2 tile = ivec2(floor(uv * 48.0));
    vec2 f = min(fract(uv * 48.0), 1.0 - fract(uv * 48.0));
    float inside = smoothstep(0.02, 0.1, min(f.x, f.y)), jitter = hash1(tile, u_salt);
    float ring = floor(radius * 9.0 + 0.4 * sin(angle * 8.0));
    vec3 c = 0.5 + 0.45 * cos(6.2832 * (hash1(ivec2(int(ring), 3), u_salt) + vec3(0.0, 0.33, 0.6)));
    c = mix(c, vec3(0.85, 0.80, 0.68), step(0.5, fract(ring * 0.5)));
    return vec4(mix(vec3(0.45, 0.42, 0.38), c * (0.7 + 0.45 * jitter), inside), inside);
}
vec4 fabric(vec2 uv) {
    float stripe = hash1(ivec2(int(floor(uv.x * 24.0)), 0), u_salt);
    float zig = step(0.5, fract(uv.y * 12.0 + abs(fract(uv.x * 12.0) - 0.5) * 1.0));
    vec3 c = vec3(0.62, 0.52, 0.42) + 0.24 * cos(6.2832 * (0.35 * stripe + 0.2 * zig + vec3(0.02, 0.16, 0.36)));
    c *= 0.75 + 0.25 * zig;
    float weave = 0.5 + 0.5 * sin(uv.x * 804.0) * sin(uv.y * 804.0);
    return vec4(c * (0.75 + 0.3 * weave) * (0.8 + 0.4 * fbm(uv, ivec2(9), 4, 0.6, 1)), weave);
}
vec4 plaster(vec2 uv, vec3 tint) {
    float stain = fbm(uv, ivec2(3), 6, 0.6, u_salt), grain = fbm(uv, ivec2(70), 4, 0.7, u_salt + 7);
    float warp = fbm(uv, ivec2(8), 4, 0.5, u_salt + 6);
    float crack = voronoi(uv + 0.12 * warp, ivec2(4), 1.0, u_salt + 3).y;
    float open = smoothstep(0.0, 0.012, crack);
    float bare = smoothstep(0.655, 0.69, fbm(uv, ivec2(5), 5, 0.6, u_salt + 12));
    vec4 wall = vec4(tint * (0.7 + 0.5 * stain) * (0.85 + 0.3 * grain), 0.8 + 0.15 * grain);
    wall.rgb *= 0.6 + 0.4 * open;
    vec4 brick = masonry(uv, ivec2(7, 22), 0.5, 0.1, vec3(0.58, 0.30, 0.20), vec3(0.6, 0.56, 0.5), 0.5);
    return mix(wall, vec4(brick.rgb, brick.a * 0.5), bare);
}
vec4 metal(vec2 uv) {
    vec2 x = uv * vec2(4.0, 6.0);
    vec2 f = min(fract(x), 1.0 - fract(x)), g = fract(x) - 0.5;
    float seam = smoothstep(0.008, 0.03, min(f.x, f.y));
    float bolt = smoothstep(0.03, 0.02, length(abs(g) - 0.42));
    float rust = smoothstep(0.48, 0.68, fbm(uv, ivec2(6), 6, 0.62, u_salt) + 0.15 * (1.0 - seam));
    float grain = fbm(uv, ivec2(90, 20), 4, 0.6, u_salt + 3);
    float tone = hash1(wrap_cell(ivec2(floor(x)), ivec2(4, 6)), u_salt);
    vec3 c = vec3(0.45, 0.48, 0.52) * (0.7 + 0.4 * tone) * (0.7 + 0.5 * grain);
    c = mix(c, vec3(0.45, 0.21, 0.09) * (0.5 + grain), rust) * (0.3 + 0.7 * seam) * (1.0 + 0.6 * bolt);
    return vec4(c, seam * 0.7 + bolt * 0.3);
}
vec4 books(vec2 uv) {
    float shelf = uv.y * 6.0;
    int row = int(floor(shelf));
    float x = uv.x * 44.0 + 3.0 * hash1(ivec2(row, 1), u_salt);
    float warp = x + 0.35 * sin(x * 1.7 + float(row) * 2.0);
    int book = int(floor(warp));
    float f = fract(warp), h = fract(shelf), tall = 0.62 + 0.26 * hash1(ivec2(book, row), u_salt);
    vec3 c = 0.42 + 0.4 * cos(6.2832 * (hash1(ivec2(book, row), u_salt + 2) + vec3(0.0, 0.12, 0.25)));
    c *= 0.4 + 0.7 * hash1(ivec2(book, row), u_salt + 3);
    float band = step(0.93, fract(h * 7.0 * (0.5 + hash1(ivec2(book, row), u_salt + 4)) + 0.2));
    c = mix(c, vec3(0.85, 0.7, 0.35), 0.7 * band) * (0.45 + 0.55 * sqrt(max(4.0 * f * (1.0 - f), 0.0)));
    if (h > tall) c = vec3(0.05, 0.04, 0.03);
    if (h > 0.93 || h < 0.03) c = vec3(0.34, 0.22, 0.12) * (0.6 + 0.6 * fbm(uv, ivec2(6, 90), 3, 0.6, 2));
    return vec4(c, h > tall ? 0.0 : 0.8);
}
vec3 palette(float x, float salt) {
    return clamp(0.5 + 0.5 * cos(6.2832 * (x * vec3(0.9, 1.0, 1.1) + salt + vec3(0.0, 0.22, 0.45))), 0.0, 1.0);
}
vec4 painting(vec2 uv, int kind) { // framed pictures: strong shapes that differ from layer to layer
    float salt = hash1(ivec2(u_salt, kind), 5);
    vec3 c = palette(0.2 * uv.y + salt, salt) * 0.8 + 0.1;
    float paint = fbm(uv, ivec2(20, 60), 4, 0.6, u_salt);
    if (kind % 4 == 0) { // landscape
        float warm = smoothstep(0.1, 0.9, uv.y);
        c = mix(vec3(0.95, 0.68, 0.42), vec3(0.28, 0.45, 0.72), warm) * (0.8 + 0.4 * paint);
        vec2 sun = vec2(0.25 + 0.5 * salt, 0.68);
        c = mix(c, vec3(1.0, 0.9, 0.65), smoothstep(0.10, 0.08, length(uv - sun)));
        for (int k = 0; k < 5; k++) {
            float ridge = 0.62 - 0.11 * float(k) + 0.24 * (fbm(vec2(uv.x, 0.1 * float(k)), ivec2(5 + 2 * k), 5, 0.55, u_salt + k) - 0.5);
            if (uv.y < ridge) c = mix(vec3(0.45, 0.52, 0.62), vec3(0.10, 0.20, 0.10), float(k) / 4.0) * (0.7 + 0.6 * paint);
        }
    } else if (kind % 4 == 1) { // coloured blocks
        vec2 p = uv;
        for (int k = 0; k < 5; k++) {
            float cut = 0.3 + 0.4 * hash1(ivec2(k, kind), u_salt);
            if (k % 2 == 0) p.x = p.x < cut ? p.x / cut : (p.x - cut) / (1.0 - cut);
            else p.y = p.y < cut ? p.y / cut : (p.y - cut) / (1.0 - cut);
            ivec2 side = ivec2(k % 2 == 0 ? (uv.x > cut ? 1 : 0) : (uv.y > cut ? 1 : 0), k);
            c = mix(c, palette(hash1(side, u_salt + kind), salt), 0.5);
        }
        float edge = min(min(p.x, 1.0 - p.x), min(p.y, 1.0 - p.y));
        c = mix(vec3(0.06), c * (0.8 + 0.4 * paint), smoothstep(0.03, 0.05, edge));
    } else if (kind % 4 == 2) { // circles
        for (int k = 0; k < 14; k++) {
            vec2 center = hash2(ivec2(k, kind), u_salt);
            float radius = 0.04 + 0.16 * hash1(ivec2(k, kind), u_salt + 4), d = length(uv - center);
            vec3 disc = palette(hash1(ivec2(k, kind), u_salt + 8), salt + 0.3);
            c = mix(c, disc * (0.7 + 0.3 * sin(d * 160.0)), smoothstep(radius, radius - 0.008, d));
        }
    } else { // flowers and strokes
        c = vec3(0.20, 0.22, 0.19) * (0.6 + 0.8 * paint);
        vec3 v = voronoi(uv, ivec2(9), 1.0, u_salt + kind);
        vec3 petal = palette(v.z, salt);
        c = mix(c, petal * (0.6 + 0.4 * sin(v.x * 60.0)), smoothstep(0.4, 0.34, v.x));
        c = mix(c, vec3(0.95, 0.85, 0.3), smoothstep(0.12, 0.08, v.x));
    }
    return vec4(c * (0.88 + 0.24 * paint), 0.5);
}
vec4 leaves(vec2 uv) {
    vec4 c = vec4(0.10, 0.13, 0.05, 0.0);
    for (int k = 0; k < 4; k++) {
        vec3 v = voronoi(uv + 0.13 * float(k), ivec2(16 + 3 * k), 0.95, u_salt + 7 * k);
        float vein = 0.8 + 0.2 * smoothstep(0.0, 0.12, v.x);
        vec3 leaf = mix(vec3(0.17, 0.28, 0.07), vec3(0.50, 0.56, 0.16), v.z) * vein * (0.5 + 0.15 * float(k));
        c = mix(c, vec4(leaf, 0.25 * float(k + 1)), smoothstep(0.40, 0.36, v.x));
    }
    return c;
}
vec4 floor_litter(vec2 uv) { // forest floor
    vec4 c = vec4(vec3(0.22, 0.16, 0.10) * (0.5 + fbm(uv, ivec2(40), 5, 0.65, u_salt)), 0.1);
    for (int k = 0; k < 4; k++) {
        vec3 v = voronoi(uv + 0.21 * float(k), ivec2(18 + 5 * k), 1.0, u_salt + 9 * k);
        vec3 leaf = mix(vec3(0.36, 0.20, 0.07), vec3(0.66, 0.46, 0.18), fract(v.z * 9.0)) * (0.5 + 0.6 * v.z);
        c = mix(c, vec4(leaf, 0.3 + 0.1 * float(k)), step(0.35, v.z) * smoothstep(0.36, 0.30, v.x));
    }
    float moss = smoothstep(0.52, 0.62, fbm(uv, ivec2(6), 5, 0.6, u_salt + 3));
    return mix(c, grass(uv, vec3(0.07, 0.11, 0.03), vec3(0.28, 0.36, 0.10)), moss);
}
vec4 sand(vec2 uv) {
    float warp = fbm(uv, ivec2(5), 5, 0.5, u_salt), grain = fbm(uv, ivec2(110), 3, 0.8, u_salt + 2);
    float wave = 0.5 + 0.5 * sin(6.2832 * (uv.y * 14.0 + 1.6 * warp + 0.25 * sin(6.2832 * uv.x * 2.0)));
    vec3 c = vec3(0.78, 0.62, 0.42) * (0.72 + 0.25 * wave) * (0.75 + 0.5 * grain) * (0.85 + 0.3 * warp);
    return vec4(c, wave * 0.6 + 0.3 * grain);
}
vec4 snow(vec2 uv) {
    float soft = fbm(uv, ivec2(5), 6, 0.55, u_salt), grain = fbm(uv, ivec2(100), 3, 0.8, u_salt + 2);
    float crust = fbm(uv, ivec2(12, 30), 4, 0.6, u_salt + 5);
    vec3 c = vec3(0.80, 0.85, 0.92) * (0.80 + 0.2 * soft + 0.14 * grain) * (0.9 + 0.15 * crust);
    return vec4(c, 0.5 * soft + 0.2 * grain + 0.4 * crust);
}
vec4 facade(vec2 uv) { // dark panel with glazing bars, for windows and doors
    vec2 x = uv * vec2(2.0, 3.0);
    vec2 f = min(fract(x), 1.0 - fract(x));
    float bar = smoothstep(0.06, 0.08, min(f.x, f.y));
    float glow = 0.6 + 0.5 * fbm(uv, ivec2(3), 3, 0.5, u_salt);
    return vec4(mix(vec3(0.62, 0.60, 0.55), vec3(0.8, 0.8, 0.8) * glow, bar), 1.0 - 0.6 * bar);
}
void main() {
    vec2 uv = ndc * 0.5 + 0.5;
    vec4 c = vec4(0.5);
    int k = u_layer;
    if (k == 0) c = masonry(uv, ivec2(6, 16), 0.5, 0.10, vec3(0.62, 0.30, 0.20), vec3(0.62, 0.58, 0.52), 0.7);
    else if (k == 1) c = rubble(uv, 9, 0.14, vec3(0.56, 0.52, 0.46), vec3(0.34, 0.31, 0.28));
    else if (k == 2) c = planks(uv, 8, vec3(0.66, 0.44, 0.26));
    else if (k == 3) c = checker(uv, 8, vec3(0.82, 0.80, 0.74), vec3(0.20, 0.21, 0.24));
    else if (k == 4) c = bark(uv);
    else if (k == 5) c = plaster(uv, vec3(0.80, 0.74, 0.64));
    else if (k == 6) c = rock(uv);
    else if (k == 7) c = grass(uv, vec3(0.08, 0.13, 0.03), vec3(0.32, 0.38, 0.11));
    else if (k == 8) c = pebbles(uv, vec3(0.42, 0.35, 0.27), 0.55);
    else if (k == 9) c = sand(uv);
    else if (k == 10) c = snow(uv);
    else if (k == 11) c = scales(uv, vec3(0.66, 0.31, 0.19));
    else if (k == 12) c = marble(uv, vec3(0.82, 0.80, 0.77), vec3(0.35, 0.33, 0.34));
    else if (k == 13) c = parquet(uv, vec3(0.64, 0.40, 0.20));
    else if (k == 14) c = leaves(uv);
    else if (k == 15) c = rubble(uv, 14, 0.22, vec3(0.50, 0.48, 0.45), vec3(0.16, 0.15, 0.12));
    else if (k == 16) c = metal(uv);
    else if (k == 17) c = fabric(uv);
    else if (k == 18) c = mosaic(uv);
    else if (k == 19) c = masonry(uv, ivec2(4, 8), 0.5, 0.035, vec3(0.66, 0.62, 0.55), vec3(0.40, 0.37, 0.33), 0.35);
    else if (k == 20) c = floor_litter(uv);
    else if (k == 21) c = books(uv);
    else if (k == 22) c = facade(uv);
    else if (k == 23) c = marble(uv, vec3(0.14, 0.17, 0.16), vec3(0.75, 0.72, 0.62));
    else c = painting(uv, k - 24);
    color = clamp(c, 0.0, 1.0);
}
