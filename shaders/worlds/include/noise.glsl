// Integer hashes and periodic value noise (period = whole cells, so baked textures tile).
uint hash_u(uvec2 q) {
    q *= uvec2(1597334673u, 3812015801u);
    uint n = (q.x ^ q.y) * 1597334673u;
    n ^= n >> 15; n *= 2246822519u; n ^= n >> 13;
    return n;
}
float hash1(ivec2 cell, int salt) {
    return float(hash_u(uvec2(cell) + uvec2(uint(salt) * 7919u, uint(salt) * 104729u)) >> 8) / 16777216.0;
}
vec2 hash2(ivec2 cell, int salt) { return vec2(hash1(cell, salt), hash1(cell, salt + 31)); }
ivec2 wrap_cell(ivec2 cell, ivec2 period) { return ((cell % period) + period) % period; }

float noise_periodic(vec2 x, ivec2 period, int salt) {
    vec2 i = floor(x), f = x - i;
    ivec2 c = ivec2(i);
    vec2 u = f * f * (3.0 - 2.0 * f);
    float a = hash1(wrap_cell(c, period), salt);
    float b = hash1(wrap_cell(c + ivec2(1, 0), period), salt);
    float d = hash1(wrap_cell(c + ivec2(0, 1), period), salt);
    float e = hash1(wrap_cell(c + ivec2(1, 1), period), salt);
    return mix(mix(a, b, u.x), mix(d, e, u.x), u.y);
}
// Fractal noise over uv in 0..1 (tiles), 0..1.
float fbm(vec2 uv, ivec2 period, int octaves, float gain, int salt) {
    float sum = 0.0, weight = 0.5, total = 0.0;
    for (int i = 0; i < octaves; i++) {
        sum += weight * noise_periodic(uv * vec2(period), period, salt + i);
        total += weight;
        weight *= gain;
        period *= 2;
    }
    return sum / total;
}
// Voronoi over uv in 0..1 (tiles): x distance to the nearest seed, y to the border, z cell id 0..1.
vec3 voronoi(vec2 uv, ivec2 period, float jitter, int salt) {
    vec2 x = uv * vec2(period);
    ivec2 base = ivec2(floor(x));
    float first = 9.0, second = 9.0, id = 0.0;
    for (int j = -1; j <= 1; j++)
        for (int i = -1; i <= 1; i++) {
            ivec2 cell = base + ivec2(i, j);
            ivec2 w = wrap_cell(cell, period);
            vec2 seed = vec2(cell) + 0.5 + jitter * (hash2(w, salt) - 0.5);
            float d = length(seed - x);
            if (d < first) { second = first; first = d; id = hash1(w, salt + 77); }
            else if (d < second) second = d;
        }
    return vec3(first, second - first, id);
}
