// Primitives in a grid of columns: `u_cells` holds (first, count, lowest y, highest y) of each cell,
// `u_lists` primitive * 16 + shape, `u_prims` seven texels a primitive (rtfm_app/worlds/builder.py).
uniform sampler2D u_prims, u_cells;
uniform isampler2D u_lists;
uniform vec4 u_grid;      // x and z of the first corner, cell size, cells a side
uniform vec2 u_grid_y;    // lowest and highest y of all primitives

vec4 prim(int id, int k) { return texelFetch(u_prims, ivec2(k, id), 0); }

struct Walk { vec2 inverse; ivec2 cell; ivec2 stride; vec2 next; float t, end; };

bool start_walk(vec3 ro, vec3 rd, float from, float to, out Walk w) {
    vec3 d = safe(rd), inverse = 1.0 / d;
    vec3 low = vec3(u_grid.x, u_grid_y.x, u_grid.y);
    vec3 high = vec3(u_grid.x + u_grid.z * u_grid.w, u_grid_y.y, u_grid.y + u_grid.z * u_grid.w);
    vec3 a = (low - ro) * inverse, b = (high - ro) * inverse, enter = min(a, b), leave = max(a, b);
    w.t = max(max(max(enter.x, enter.y), enter.z), from);
    w.end = min(min(min(leave.x, leave.y), leave.z), to);
    if (w.t >= w.end) return false;
    vec2 x = (ro.xz + d.xz * w.t - u_grid.xy) / u_grid.z;
    w.cell = clamp(ivec2(floor(x)), ivec2(0), ivec2(int(u_grid.w) - 1));
    w.stride = ivec2(sign(d.xz));
    w.inverse = inverse.xz;
    vec2 edge = vec2(w.cell + max(w.stride, ivec2(0))) * u_grid.z + u_grid.xy;
    w.next = (edge - ro.xz) * w.inverse;
    return true;
}
void advance(inout Walk w) {
    if (w.next.x < w.next.y) { w.t = w.next.x; w.cell.x += w.stride.x; w.next.x += u_grid.z * abs(w.inverse.x); }
    else { w.t = w.next.y; w.cell.y += w.stride.y; w.next.y += u_grid.z * abs(w.inverse.y); }
}
void to_local(int id, vec3 ro, vec3 rd, out vec3 o, out vec3 d, out float seed) {
    vec4 r0 = prim(id, 0), r1 = prim(id, 1), r2 = prim(id, 2);
    o = vec3(dot(r0.xyz, ro) + r0.w, dot(r1.xyz, ro) + r1.w, dot(r2.xyz, ro) + r2.w);
    d = vec3(dot(r0.xyz, rd), dot(r1.xyz, rd), dot(r2.xyz, rd));
    seed = fract(r0.w * 7.13 + r2.w * 3.71 + float(id) * 0.377);
}
// Nearest primitive between `near` and `to`; id * 16 + shape, or -1.
float trace_grid(vec3 ro, vec3 rd, float near, float to, out int found) {
    float best = to;
    found = -1;
    Walk w;
    if (!start_walk(ro, rd, 0.0, to, w)) return best;
    for (int i = 0; i < 260; i++) {
        vec4 c = texelFetch(u_cells, w.cell, 0);
        float leave = min(w.next.x, w.next.y);
        if (c.y > 0.0) {
            float ya = ro.y + rd.y * w.t, yb = ro.y + rd.y * min(leave, w.end);
            if (max(ya, yb) >= c.z && min(ya, yb) <= c.w)
                for (int k = int(c.x); k < int(c.x + c.y); k++) {
                    int entry = texelFetch(u_lists, ivec2(k & 1023, k >> 10), 0).r;
                    vec3 o, d; float seed;
                    to_local(entry >> 4, ro, rd, o, d, seed);
                    float t = first_hit(entry & 15, o, d, near, seed);
                    if (t < best) { best = t; found = entry; }
                }
        }
        if (best <= leave || leave >= w.end) break;
        advance(w);
    }
    return best;
}
// 1 = lit, 0 = blocked; softer the farther the blocker is. `spread` is the light's angular size.
float trace_shadow(vec3 ro, vec3 rd, float to, float spread) {
    float blocked = 0.0;
    Walk w;
    if (!start_walk(ro, rd, 0.0, to, w)) return 1.0;
    for (int i = 0; i < 90; i++) {
        vec4 c = texelFetch(u_cells, w.cell, 0);
        float leave = min(w.next.x, w.next.y);
        if (c.y > 0.0) {
            float ya = ro.y + rd.y * w.t, yb = ro.y + rd.y * min(leave, w.end);
            if (max(ya, yb) >= c.z && min(ya, yb) <= c.w)
                for (int k = int(c.x); k < int(c.x + c.y); k++) {
                    int entry = texelFetch(u_lists, ivec2(k & 1023, k >> 10), 0).r;
                    vec3 o, d; float seed;
                    to_local(entry >> 4, ro, rd, o, d, seed);
                    vec2 s = chord(entry & 15, o, d, 0.004, seed);
                    // counted in the cell where it starts, so that no primitive counts twice
                    if (s.x < s.y && s.x >= w.t - 1e-4 && s.x < min(leave, to))
                        blocked += (min(s.y, to) - s.x) / (spread * (0.06 + s.x));
                }
        }
        if (blocked > 1.0 || leave >= w.end) break;
        advance(w);
    }
    return smoothstep(1.0, 0.0, blocked);
}
