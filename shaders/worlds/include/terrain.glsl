// A tiling height field: u_height in metres, u_light = normal xz, sun shadow, openness.
uniform sampler2D u_height, u_light;
uniform float u_height_max, u_tile;

float height_at(vec2 p, float lod) { return textureLod(u_height, p / u_tile, lod).r; }

// t where the ray meets the ground before `to`, else FAR.
float trace_terrain(vec3 ro, vec3 rd, float to, float travelled) {
    float t = 0.05, last_t = 0.0, last_d = max(ro.y - height_at(ro.xz, 0.0), 0.01);
    if (ro.y > u_height_max) {
        if (rd.y >= 0.0) return FAR;
        t = max(t, (u_height_max - ro.y) / rd.y);
        last_t = t - 0.01;
    }
    if (rd.y > 0.0) to = min(to, (u_height_max - ro.y) / rd.y);
    for (int i = 0; i < TERRAIN_STEPS; i++) {
        vec3 p = ro + rd * t;
        float lod = max(0.0, log2((t + travelled) * u_pixel_angle * 0.5));
        float d = p.y - height_at(p.xz, lod);
        if (d < 0.0) {
            float low = last_t, high = t;
            for (int k = 0; k < 4; k++) {
                float middle = low + (high - low) * clamp(last_d / (last_d - d), 0.05, 0.95);
                vec3 q = ro + rd * middle;
                float e = q.y - height_at(q.xz, lod);
                if (e < 0.0) { high = middle; d = e; } else { low = middle; last_d = e; }
            }
            float hit = low + (high - low) * last_d / (last_d - d);
            return hit < to ? hit : FAR;
        }
        last_t = t; last_d = d;
        t += max(d * TERRAIN_STRIDE, 0.05 + 0.014 * t);
        if (t > to) break;
    }
    return FAR;
}
