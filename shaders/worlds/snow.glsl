#version 330 core
// Snow with tracks of feet and of a sledge, and a frozen pond.
#define HAS_TERRAIN 1
#define HAS_WATER 1
#define HAS_GROUND 0
#define HAS_LAMPS 0
#define HAS_CARDS 0
#define HAS_LEAVES 1
#define HAS_ARCHES 1
#define TERRAIN_STRIDE 1.3
#define TERRAIN_STEPS 56
#define MAX_BOUNCES 3
#include "include/shapes.glsl"
#include "include/grid.glsl"
#include "include/sky.glsl"
#include "include/trace.glsl"
uniform vec3 u_ground_tint;
uniform vec4 u_path;  // direction (x, z), bend and stride of the tracks
// Depth of prints 0..1 at p: feet left and right of a winding line, two runners beside it.
float tracks(vec2 p, vec2 heading, float bend, float shift) {
    float along = dot(p, heading), across = dot(p, vec2(heading.y, -heading.x)) - shift;
    across -= bend * sin(along * 0.19 + shift);
    float stride = along / u_path.w, foot = mod(floor(stride), 2.0) * 2.0 - 1.0;
    vec2 d = vec2((fract(stride) - 0.5) * u_path.w, across - foot * 0.13);
    float print = smoothstep(1.0, 0.6, length(d / vec2(0.17, 0.075)));
    float runner = smoothstep(0.05, 0.02, abs(abs(across - 1.3) - 0.3));
    return max(print, 0.8 * runner);
}
void ground(vec3 p, vec3 n, float footprint, inout Surface s) {
    vec3 snow_normal = n, earth_normal = n;
    vec4 snow = ground_texture(10.0, p.xz, 0.3, footprint, 0.9, snow_normal);
    vec4 earth = ground_texture(20.0, p.xz, 0.5, footprint, 1.0, earth_normal);
    float fade = smoothstep(0.12, 0.03, footprint);
    float print = max(tracks(p.xz, u_path.xy, u_path.z, 0.0), tracks(p.xz, vec2(u_path.y, -u_path.x), 2.0 * u_path.z, 3.0)) * fade;
    float bare = smoothstep(0.62, 0.68, noise4(p.xz * 0.09, log2(max(footprint * 23.0, 1.0))).y);
    s.albedo = mix(snow.rgb, earth.rgb, 0.8 * bare) * u_ground_tint * (1.0 - 0.42 * print);
    s.normal = normalize(mix(snow_normal, earth_normal, 0.8 * bare));
    s.gloss = 0.0;
}
