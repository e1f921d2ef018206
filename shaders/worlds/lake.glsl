#version 330 core
// Alpine lake: mirror water, shore, meadow, wood, rock and snow by height and slope.
#define HAS_TERRAIN 1
#define HAS_WATER 1
#define HAS_GROUND 0
#define TERRAIN_STRIDE 1.0
#define TERRAIN_STEPS 64
#define MAX_BOUNCES 4
#define HAS_LAMPS 0
#define HAS_CARDS 1
#define HAS_LEAVES 1
#define HAS_ARCHES 0
#include "include/shapes.glsl"
#include "include/grid.glsl"
#include "include/sky.glsl"
#include "include/trace.glsl"
uniform float u_snow;
uniform vec3 u_ground_tint;
void ground(vec3 p, vec3 n, float footprint, inout Surface s) {
    vec4 fine = noise4(p.xz * 0.035, max(0.0, log2(footprint * 9.0)));
    vec4 broad = noise4(p.xz * 0.0061, max(0.0, log2(footprint * 1.6)));
    vec3 bent = n;
    bent.xz += (fine.xy - 0.5) * 0.45 * smoothstep(20.0, 80.0, footprint / u_pixel_angle);
    bent = normalize(bent);
    float slope = bent.y, high = p.y + (broad.x - 0.5) * 46.0;
    vec3 gn = bent, sn = bent, rn = bent;
    vec3 grass = ground_texture(7.0, p.xz, 0.42, footprint, 0.8, gn).rgb * u_ground_tint;
    vec3 stone = ground_texture(8.0, p.xz, 0.33, footprint, 1.2, sn).rgb;
    vec2 wall_uv = vec2(p.x + p.z, p.y * 1.4);
    vec3 rock = ground_texture(6.0, mix(p.xz, wall_uv, step(slope, 0.75)), 0.09, footprint, 1.0, rn).rgb;
    rock *= mix(0.75, 1.2, fine.z);
    float wood = smoothstep(0.5, 0.58, broad.w + 0.25 * (fine.x - 0.5)) * smoothstep(9.0, 16.0, p.y)
               * smoothstep(u_snow + 22.0, u_snow - 14.0, high);
    vec3 forest = vec3(0.030, 0.055, 0.026) * (0.4 + 1.2 * noise4(p.xz * 0.12, max(0.0, log2(footprint * 30.0))).y);
    vec3 c = mix(grass, forest, wood * smoothstep(40.0, 90.0, footprint / u_pixel_angle));
    float cliff = smoothstep(0.84, 0.70, slope);
    c = mix(c, rock, cliff);
    float path_noise = noise4(p.xz * 0.06, max(0.0, log2(footprint * 15.0))).z;
    float shore = smoothstep(u_water + 1.5, u_water + 0.5, p.y + 1.6 * (path_noise - 0.5));
    c = mix(c, stone * smoothstep(u_water - 0.1, u_water + 0.5, p.y) + stone * 0.55 * smoothstep(u_water + 0.5, u_water - 0.1, p.y), shore);
    s.normal = normalize(mix(mix(gn, rn, cliff), sn, shore));
    float snow = smoothstep(0.52, 0.74, slope + 0.22 * (fine.y - 0.5)) * smoothstep(u_snow - 12.0, u_snow + 16.0, high);
    vec3 snow_normal = s.normal;
    vec3 white = ground_texture(10.0, p.xz, 0.22, footprint, 0.5, snow_normal).rgb;
    s.albedo = mix(c, mix(white, vec3(0.83, 0.87, 0.93), 0.5), snow);
    s.normal = normalize(mix(s.normal, snow_normal, snow));
}
