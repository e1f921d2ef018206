#define HAS_CARDS 1
#define HAS_LEAVES 1
#define HAS_ARCHES 1
#include "include/shapes.glsl"
#include "include/grid.glsl"
#include "include/sky.glsl"
#include "include/trace.glsl"
uniform vec4 u_ground;    // layer of the lane, layer beside it, scale of the lane, gloss when wet
uniform vec3 u_ground_tint;
uniform vec4 u_lanes[6];  // start and end (x, z) of a lane's middle
uniform float u_lane_width;
void ground(vec3 p, vec3 n, float footprint, inout Surface s) {
    float nearest = 1e3;
    for (int i = 0; i < 6; i++) {
        vec2 a = p.xz - u_lanes[i].xy, b = u_lanes[i].zw - u_lanes[i].xy;
        nearest = min(nearest, length(a - b * clamp(dot(a, b) / max(dot(b, b), 1e-6), 0.0, 1.0)));
    }
    vec4 wear = noise4(p.xz * 0.05, log2(max(footprint * 12.8, 1.0)));
    float lane = smoothstep(u_lane_width + 0.5, u_lane_width - 0.3, nearest + 2.2 * (wear.x - 0.5));
    vec3 lane_normal = n, field_normal = n, soil_normal = n;
    vec4 a = ground_texture(u_ground.x, p.xz, u_ground.z, footprint, 1.0, lane_normal);
    vec4 b = ground_texture(u_ground.y, p.xz, 0.42, footprint, 0.8, field_normal);
    vec4 soil = ground_texture(8.0, p.xz, 0.5, footprint, 0.8, soil_normal);
    b = mix(b, soil, smoothstep(0.52, 0.60, wear.z));
    s.albedo = mix(b.rgb, a.rgb, lane) * u_ground_tint;
    s.normal = normalize(mix(field_normal, lane_normal, lane));
    s.gloss = u_ground.w * lane * smoothstep(0.45, 0.55, wear.y);
}
