#version 330 core
// Forest floor: litter, moss and a trodden path.
#define HAS_TERRAIN 1
#define HAS_WATER 0
#define HAS_GROUND 0
#define HAS_LAMPS 0
#define HAS_CARDS 1
#define HAS_LEAVES 1
#define HAS_ARCHES 0
#define TERRAIN_STRIDE 1.3
#define TERRAIN_STEPS 56
#define MAX_BOUNCES 3
#include "include/shapes.glsl"
#include "include/grid.glsl"
#include "include/sky.glsl"
#include "include/trace.glsl"
uniform vec3 u_ground_tint;
uniform vec4 u_path;  // direction (x, z), bend, half width of the path through the middle
void ground(vec3 p, vec3 n, float footprint, inout Surface s) {
    vec4 broad = noise4(p.xz * 0.045, log2(max(footprint * 11.0, 1.0)));
    float along = dot(p.xz, u_path.xy), across = dot(p.xz, vec2(u_path.y, -u_path.x));
    float off = abs(across - u_path.z * sin(along * 0.16)) + 1.5 * (broad.x - 0.5);
    float path = smoothstep(u_path.w + 0.35, u_path.w - 0.25, off);
    vec3 litter_normal = n, moss_normal = n, path_normal = n;
    vec4 litter = ground_texture(20.0, p.xz, 0.45, footprint, 1.2, litter_normal);
    vec4 moss = ground_texture(7.0, p.xz, 0.5, footprint, 1.0, moss_normal);
    vec4 soil = ground_texture(8.0, p.xz, 0.5, footprint, 0.9, path_normal);
    float green = smoothstep(0.50, 0.58, broad.y);
    s.albedo = mix(mix(litter.rgb, moss.rgb, green), soil.rgb * vec3(0.85, 0.75, 0.65), path) * u_ground_tint;
    s.normal = normalize(mix(mix(litter_normal, moss_normal, green), path_normal, path));
}
