#version 330 core
// Sand ripples, stony flats and layered rock on steep ground.
#define HAS_TERRAIN 1
#define HAS_WATER 0
#define HAS_GROUND 0
#define HAS_LAMPS 0
#define HAS_CARDS 1
#define HAS_LEAVES 1
#define HAS_ARCHES 1
#define TERRAIN_STRIDE 1.3
#define TERRAIN_STEPS 56
#define MAX_BOUNCES 3
#include "include/shapes.glsl"
#include "include/grid.glsl"
#include "include/sky.glsl"
#include "include/trace.glsl"
uniform vec3 u_ground_tint, u_rock_tint;
uniform float u_stones;
void ground(vec3 p, vec3 n, float footprint, inout Surface s) {
    vec4 broad = noise4(p.xz * 0.02, log2(max(footprint * 5.0, 1.0)));
    vec3 sand_normal = n, stone_normal = n, rock_normal = n;
    vec2 turned = mat2(0.8, -0.6, 0.6, 0.8) * p.xz;
    vec4 sand = ground_texture(9.0, turned, 0.28, footprint, 0.9, sand_normal);
    vec4 stones = ground_texture(8.0, p.xz, 0.35, footprint, 1.2, stone_normal);
    vec4 rock = ground_texture(6.0, vec2(p.x + p.z, p.y * 2.0), 0.12, footprint, 1.0, rock_normal);
    float flat_part = smoothstep(u_stones, u_stones - 0.07, broad.z) * smoothstep(0.93, 0.98, n.y);
    float cliff = smoothstep(0.80, 0.66, n.y);
    s.albedo = mix(mix(sand.rgb, stones.rgb * vec3(1.1, 0.95, 0.8), flat_part), rock.rgb, cliff);
    s.albedo *= mix(u_ground_tint, u_rock_tint, cliff);
    s.normal = normalize(mix(mix(sand_normal, stone_normal, flat_part), rock_normal, cliff));
}
