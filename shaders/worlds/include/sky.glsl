// Sky, clouds, sun glow, fog and the final tone curve.
uniform sampler2D u_noise;
uniform vec3 u_sun, u_sun_color, u_zenith, u_horizon, u_fog_color;
uniform float u_fog, u_cloud, u_exposure, u_pixel_angle, u_stars;

vec4 noise4(vec2 p, float lod) { return textureLod(u_noise, p, lod); }

vec3 sky(vec3 rd) {
    float up = max(rd.y, 0.0), s = max(dot(rd, u_sun), 0.0), s8 = pow(s, 8.0);
    vec3 c = mix(u_horizon, u_zenith, pow(up, 0.45));
    c += u_sun_color * (0.16 * s8 + 0.25 * pow(s, 60.0));
    c = mix(c, u_fog_color + u_sun_color * 0.22 * s8, pow(1.0 - up, 6.0) * 0.7);
    if (u_stars > 0.0 && rd.y > 0.02) {
        vec2 q = rd.xz / (1.0 + rd.y) * 90.0;
        float id = leaf_cell(vec3(q, 3.0), 1.0, 0.0);
        c += u_stars * smoothstep(0.84, 0.97, id) * vec3(0.9, 0.95, 1.0);
    }
    if (rd.y > 0.015) {
        vec2 q = rd.xz / (rd.y + 0.12) * 0.11 + vec2(0.1, 0.3);
        float lod = max(0.0, log2(u_pixel_angle * 30.0 / (rd.y + 0.05)));
        vec4 a = noise4(q, lod), b = noise4(q * 2.7 + 0.4, lod + 1.4), toward = noise4(q + u_sun.xz * 0.03, lod + 1.0);
        float density = a.w * 0.65 + b.x * 0.35;
        float mass = smoothstep(0.62 - u_cloud * 0.3, 0.86 - u_cloud * 0.2, density);
        float lit = clamp(0.55 + 3.0 * (a.w - toward.w), 0.0, 1.3);
        vec3 cloud = mix(u_zenith * 0.75 + 0.12 * u_horizon, u_sun_color * 0.42 + u_horizon * 0.55, lit) + u_sun_color * 0.35 * s8;
        c = mix(c, cloud, mass * 0.85 * smoothstep(0.015, 0.14, rd.y));
    }
    return c + u_sun_color * (5.0 * smoothstep(0.99970, 0.99992, s) + 0.9 * pow(s, 900.0));
}
// Share of light that survives `t` metres, and what the air adds.
float air(vec3 rd, float t, float eye_y) {
    float thin = 0.012, y = abs(rd.y) < 1e-3 ? 1e-3 : rd.y;
    float f = u_fog * exp(-max(eye_y, 0.0) * thin) * (1.0 - exp(-clamp(t * y * thin, -8.0, 30.0))) / (y * thin);
    return exp(-max(f, 0.0));
}
vec3 air_color(vec3 rd) { return u_fog_color + u_sun_color * 0.22 * pow(max(dot(rd, u_sun), 0.0), 8.0); }

vec3 tone(vec3 c, vec2 ndc) {
    c *= u_exposure;
    c = (c * (2.51 * c + 0.03)) / (c * (2.43 * c + 0.59) + 0.14);
    c = pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2));
    c = mix(c, c * c * (3.0 - 2.0 * c), 0.35);
    return mix(vec3(dot(c, vec3(0.3, 0.59, 0.11))), c, 1.12);
}
