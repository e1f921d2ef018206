#version 330 core
// A plain floor and things on it: the simplest place with strong parallax.
#define HAS_TERRAIN 0
#define HAS_WATER 0
#define HAS_GROUND 1
#define MAX_BOUNCES 4
#define HAS_LAMPS 0
#define HAS_CARDS 0
#define HAS_LEAVES 1
#define HAS_ARCHES 1
#include "include/shapes.glsl"
#include "include/grid.glsl"
#include "include/sky.glsl"
#include "include/trace.glsl"
uniform vec4 u_ground;  // layer, second layer, scale, gloss
uniform vec3 u_ground_tint;
void ground(vec3 p, vec3 n, float footprint, inout Surface s) {
    vec4 a = ground_texture(u_ground.x, p.xz, u_ground.z, footprint, 1.0, s.normal);
    vec3 flat_normal = s.normal;
    vec4 b = ground_texture(u_ground.y, p.xz + 3.3, u_ground.z * 0.7, footprint, 0.0, flat_normal);
    float patches = smoothstep(0.50, 0.56, noise4(p.xz * 0.033, log2(max(footprint * 8.0, 1.0))).z);
    s.albedo = mix(a.rgb, b.rgb, patches) * u_ground_tint;
    s.gloss = u_ground.w * (1.0 - patches);
    s.normal = mix(s.normal, vec3(0, 1, 0), 0.5 * patches);
}
