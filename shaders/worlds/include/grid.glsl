// Primitives in a grid of columns (rtfm_app/worlds/builder.py): `u_cells` holds (first, count, lowest
// y, highest y) of a cell, or (0, 0, cells to the next thing, 0); for each list entry `u_bounds` has
// the low and the high corner of its box and `u_lists` primitive * 16 + shape; `u_prims` has seven texels a primitive.
uniform sampler2D u_prims, u_cells, u_bounds;
uniform isampler2D u_lists;
uniform vec4 u_grid;      // x and z of the first corner, cell size, cells a side
uniform vec2 u_grid_y;    // lowest and highest y of all primitives

vec4 prim(int id, int k) { return texelFetch(u_prims, ivec2(k, id), 0); }

void to_local(int id, vec3 ro, vec3 rd, out vec3 o, out vec3 d, out float seed) {
    vec4 r0 = prim(id, 0), r1 = prim(id, 1), r2 = prim(id, 2);
    o = vec3(dot(r0.xyz, ro) + r0.w, dot(r1.xyz, ro) + r1.w, dot(r2.xyz, ro) + r2.w);
    d = vec3(dot(r0.xyz, rd), dot(r1.xyz, rd), dot(r2.xyz, rd));
    seed = fract(r0.w * 7.13 + r2.w * 3.71 + float(id) * 0.377);
}

// A ray on its way through the columns. `next_candidate` moves on to the next list entry whose
// box the ray meets; every lane of a SIMD group walks on its own until it has one, and
// only then is the (dear) exact test run for all of them.
struct Walk { vec2 inverse, next; ivec2 cell, stride; float t, end, cell_start, cell_end; int k, stop; bool alive; };

Walk start_walk(vec3 ro, vec3 rd, float to) {
    Walk w;
    vec3 d = safe(rd), inverse = 1.0 / d;
    vec3 low = vec3(u_grid.x, u_grid_y.x, u_grid.y);
    vec3 high = vec3(u_grid.x + u_grid.z * u_grid.w, u_grid_y.y, u_grid.y + u_grid.z * u_grid.w);
    vec3 a = (low - ro) * inverse, b = (high - ro) * inverse, enter = min(a, b), leave = max(a, b);
    w.t = max(max(max(enter.x, enter.y), enter.z), 0.0);
    w.end = min(min(min(leave.x, leave.y), leave.z), to);
    w.alive = w.t < w.end;
    vec2 x = (ro.xz + d.xz * w.t - u_grid.xy) / u_grid.z;
    w.cell = clamp(ivec2(floor(x)), ivec2(0), ivec2(int(u_grid.w) - 1));
    w.stride = ivec2(sign(d.xz));
    w.inverse = inverse.xz;
    w.next = (vec2(w.cell + max(w.stride, ivec2(0))) * u_grid.z + u_grid.xy - ro.xz) * w.inverse;
    w.cell_start = w.cell_end = -1.0;
    w.k = w.stop = 0;
    return w;
}
void next_candidate(inout Walk w, vec3 ro, vec3 rd, float near, float best, out int candidate) {
    candidate = -1;
    vec3 inverse = 1.0 / safe(rd);
    vec2 delta = u_grid.z * abs(w.inverse);
    for (int i = 0; i < 400; i++) {
        if (w.k < w.stop) {
            ivec2 at = ivec2((w.k & 511) * 2, w.k >> 9);
            vec3 low = texelFetch(u_bounds, at, 0).xyz, high = texelFetch(u_bounds, at + ivec2(1, 0), 0).xyz;
            vec3 x = (low - ro) * inverse, y = (high - ro) * inverse, enter = min(x, y), leave = max(x, y);
            float first = max(max(max(enter.x, enter.y), enter.z), near);
            bool met = first < min(min(min(leave.x, leave.y), leave.z), best);
            candidate = met ? w.k : -1;
            w.k++;
        } else {
            if (best <= w.cell_end || w.t >= w.end) w.alive = false;
            if (w.alive) {
                vec4 c = texelFetch(u_cells, w.cell, 0);
                float step_cells = c.y > 0.0 ? 1.0 : max(c.z, 1.0);
                vec2 exits = w.next + (step_cells - 1.0) * delta;
                float leave = min(exits.x, exits.y);
                // the axis that leaves moves all cells, the other those that the ray has crossed
                vec2 crossed = clamp(floor((leave - w.next) / delta) + 1.0, 0.0, step_cells - 1.0);
                crossed = exits.x < exits.y ? vec2(step_cells, crossed.y) : vec2(crossed.x, step_cells);
                float ya = ro.y + rd.y * w.t, yb = ro.y + rd.y * min(leave, w.end);
                bool level = max(ya, yb) >= c.z && min(ya, yb) <= c.w;
                w.k = int(c.x);
                w.stop = c.y > 0.0 && level ? int(c.x + c.y) : w.k;
                w.cell_start = w.t;
                w.cell_end = leave;
                w.t = leave;
                w.cell += ivec2(crossed) * w.stride;
                w.next += crossed * delta;
            }
        }
        if (candidate >= 0 || !w.alive) break;
    }
}
// Nearest primitive between `near` and `to`; found = id * 16 + shape, or -1.
float trace_grid(vec3 ro, vec3 rd, float near, float to, out int found) {
    float best = to;
    found = -1;
    Walk w = start_walk(ro, rd, to);
    for (int i = 0; i < 200; i++) {
        int k;
        next_candidate(w, ro, rd, near, best, k);
        if (k < 0) break;
        int entry = texelFetch(u_lists, ivec2(k & 1023, k >> 10), 0).r;
        vec3 o, d; float seed;
        to_local(entry >> 4, ro, rd, o, d, seed);
        vec2 ignored;
        float t = first_hit(entry & 15, o, d, near, seed, ignored);
        if (t < best) { best = t; found = entry; }
    }
    return best;
}
// 1 = lit, 0 = blocked; softer the farther the blocker is. `spread` is the light's angular size.
float trace_shadow(vec3 ro, vec3 rd, float to, float spread) {
    float blocked = 0.0;
    Walk w = start_walk(ro, rd, to);
    for (int i = 0; i < 100; i++) {
        int k;
        next_candidate(w, ro, rd, 0.004, to, k);
        if (k < 0) break;
        int entry = texelFetch(u_lists, ivec2(k & 1023, k >> 10), 0).r;
        vec3 o, d; float seed;
        to_local(entry >> 4, ro, rd, o, d, seed);
        vec2 s = chord(entry & 15, o, d, 0.004, seed);
        // counted in the cell where it starts, so that no primitive counts twice
        if (s.x < s.y && s.x >= w.cell_start - 1e-4 && s.x < min(w.cell_end, to))
            blocked += (min(s.y, to) - s.x) / (spread * (0.06 + s.x));
        if (blocked > 1.0) break;
    }
    return smoothstep(1.0, 0.0, blocked);
}
