#version 330 core
// A garden: lawn, gravel or brick paths, flower beds, a pond with a rim.
#define HAS_TERRAIN 0
#define HAS_WATER 1
#define HAS_GROUND 1
#define HAS_LAMPS 0
#define HAS_CARDS 1
#define HAS_LEAVES 1
#define HAS_ARCHES 1
#define MAX_BOUNCES 3
#include "include/shapes.glsl"
#include "include/grid.glsl"
#include "include/sky.glsl"
#include "include/trace.glsl"
uniform vec4 u_ground;  // layer of paths, half width, scale, radius of the round path
uniform vec4 u_pond;    // x, z, radii
uniform vec3 u_ground_tint;
bool in_pond(vec2 p) { return length((p - u_pond.xy) / u_pond.zw) < 1.0; }
void ground(vec3 p, vec3 n, float footprint, inout Surface s) {
    float ring = abs(length(p.xz) - u_ground.w), cross_way = min(abs(p.x), abs(p.z));
    float wear = 0.25 * (noise4(p.xz * 0.12, log2(max(footprint * 30.0, 1.0))).x - 0.5);
    float path = smoothstep(u_ground.y + 0.06, u_ground.y - 0.06, min(ring, cross_way) + wear);
    float edge = smoothstep(0.10, 0.06, abs(min(ring, cross_way) + wear - u_ground.y - 0.05));
    vec3 lawn_normal = n, path_normal = n;
    vec4 lawn = ground_texture(7.0, p.xz, 0.5, footprint, 0.9, lawn_normal);
    vec4 stones = ground_texture(u_ground.x, p.xz, u_ground.z, footprint, 1.0, path_normal);
    float mown = 0.9 + 0.2 * step(0.5, fract(p.x * 0.6));
    s.albedo = mix(lawn.rgb * mown, stones.rgb, path) * u_ground_tint * (1.0 - 0.5 * edge);
    s.normal = normalize(mix(lawn_normal, path_normal, path));
}
