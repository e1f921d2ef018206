#version 330 core
// Rooms: a polished or rough floor; walls, ceiling and lamps are primitives.
#define HAS_TERRAIN 0
#define HAS_WATER 0
#define HAS_GROUND 1
#define MAX_BOUNCES 4
#define HAS_LAMPS 1
#define HAS_CARDS 0
#define HAS_LEAVES 1
#define HAS_ARCHES 1
#include "include/shapes.glsl"
#include "include/grid.glsl"
#include "include/sky.glsl"
#include "include/trace.glsl"
uniform vec4 u_ground;  // layer, layer out of doors, scale, gloss
uniform vec4 u_house;   // x and z of the floor's corners
uniform vec3 u_ground_tint;
void ground(vec3 p, vec3 n, float footprint, inout Surface s) {
    bool inside = all(greaterThan(p.xz, u_house.xy)) && all(lessThan(p.xz, u_house.zw));
    vec3 outside_normal = n;
    vec4 b = ground_texture(u_ground.y, p.xz, 0.4, footprint, 0.8, outside_normal);
    float lod = texture_lod(footprint, u_ground.z);
    vec4 a = textured(u_ground.x, p.xz * u_ground.z, lod, 0.25, vec3(1, 0, 0), vec3(0, 0, 1), s.normal);
    s.albedo = inside ? a.rgb * u_ground_tint : b.rgb;
    s.gloss = inside ? u_ground.w : 0.0;
    s.normal = inside ? s.normal : outside_normal;
}
