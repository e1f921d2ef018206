// The picture: up to four bounces over primitives, ground and water. A family defines, before this:
//   TERRAIN_STEPS, HAS_TERRAIN, HAS_WATER, HAS_GROUND (0/1)
//   void ground(vec3 p, vec3 geometric_normal, float footprint, inout Surface s)
in vec2 ndc;
layout(location = 0) out vec4 color_out;
// 1 / distance along the view axis, mask bits, 1 / distance of what is seen: the same, but where a flat
// mirror, water or pane shows more light than it has, the place in the mirror or behind the glass.
layout(location = 1) out vec4 extra_out;
uniform sampler2DArray u_textures;
uniform vec3 u_eye;
uniform mat3 u_rotation;
uniform vec2 u_tangent;
uniform float u_water, u_ambient, u_wave;
uniform int u_lamp_count, u_masks;
uniform vec4 u_lamps[16];       // xyz, reach in metres
uniform vec3 u_lamp_colors[16], u_room;

const int DIFFUSE = 0, MIRROR = 1, GLASS = 2, GLOW = 3, LEAF = 4;

float luminance(vec3 c) { return dot(c, vec3(0.2126, 0.7152, 0.0722)); }
bool flat_shape(int shape) { return shape == BOX || shape == PRISM || shape == CARD || shape == ARCH; }
struct Surface { vec3 albedo, normal, glow; float gloss, bump, openness, sun; int kind; };

float texture_lod(float footprint, float scale) { return max(0.0, log2(footprint * scale * float(textureSize(u_textures, 0).x))); }
// Colour and height of layer at uv (1 = one tile); the normal is bent by the height's slope.
vec4 textured(float layer, vec2 uv, float lod, float bump, vec3 tangent, vec3 bitangent, inout vec3 n) {
    vec4 c = textureLod(u_textures, vec3(uv, layer), lod);
    if (bump > 0.0 && lod < 4.0) {
        float e = exp2(lod) / float(textureSize(u_textures, 0).x);
        float hx = textureLod(u_textures, vec3(uv + vec2(e, 0.0), layer), lod).a - c.a;
        float hy = textureLod(u_textures, vec3(uv + vec2(0.0, e), layer), lod).a - c.a;
        n = normalize(n - (tangent * hx + bitangent * hy) * bump / (e * 64.0));
    }
    return c;
}
// A flat tile hides its repetition by a second, larger reading.
vec4 ground_texture(float layer, vec2 p, float scale, float footprint, float bump, inout vec3 n) {
    float lod = texture_lod(footprint, scale);
    vec4 c = textured(layer, p * scale, lod, bump, vec3(1, 0, 0), vec3(0, 0, 1), n);
    float broad = noise4(p * 0.021, log2(max(footprint * 5.4, 1.0))).x + noise4(p * 0.11, log2(max(footprint * 28.0, 1.0))).y - 1.0;
    c.rgb *= 1.0 + 0.9 * broad;
    return c;
}
#if HAS_TERRAIN
#include "include/terrain.glsl"
#endif
void ground(vec3 p, vec3 n, float footprint, inout Surface s);
#if HAS_WATER && !HAS_TERRAIN
bool in_pond(vec2 p);
#endif

void primitive_surface(int entry, vec3 p, vec3 rd, float footprint, inout Surface s) {
    int id = entry >> 4, shape = entry & 15;
    vec4 r0 = prim(id, 0), r1 = prim(id, 1), r2 = prim(id, 2);
    vec4 paint = prim(id, 3), tint = prim(id, 4), size = prim(id, 5), more = prim(id, 6);
    vec3 q = vec3(dot(r0.xyz, p) + r0.w, dot(r1.xyz, p) + r1.w, dot(r2.xyz, p) + r2.w);
    vec3 m = local_normal(shape, q);
    mat3 rows = mat3(r0.xyz, r1.xyz, r2.xyz);
    vec3 n = normalize(rows * m), x = normalize(r0.xyz), y = normalize(r1.xyz), z = normalize(r2.xyz);
    if (dot(n, rd) > 0.0) n = -n;
    vec3 metric = q * size.xyz, a = abs(m), tangent = x, bitangent = y;
    vec2 uv = metric.xy;
    if (shape == BOX || shape == PRISM || shape == ROCK || shape == ARCH) {
        if (shape == PRISM && a.y > 0.1 && a.x > 0.1) {
            uv = vec2(metric.z, q.y * length(size.xy * vec2(0.5, 1.0))); tangent = z; bitangent = y;
        } else if (a.x > a.y && a.x > a.z) { uv = vec2(metric.z, metric.y); tangent = z; }
        else if (a.y > a.z) { uv = metric.xz; bitangent = z; }
    } else if (shape == CYLINDER || shape == CONE || shape == SPHERE) {
        if (shape == CYLINDER && a.y > 0.5) { uv = metric.xz; bitangent = z; }
        else {
            float around = floor(6.2832 * size.x * paint.y + 0.5);
            uv = vec2(atan(q.x, q.z) / 6.2832 * max(around, 1.0) / paint.y,
                      shape == SPHERE ? asin(clamp(q.y, -1.0, 1.0)) * size.y : metric.y);
            tangent = normalize(x * q.z - z * q.x + 1e-5);
            if (shape == SPHERE) bitangent = normalize(cross(n, tangent));
        }
    } else if (shape != CARD) { uv = metric.xz + vec2(0.7, 0.3) * metric.y; bitangent = z; }
    if (more.w > 0.5) { // a picture: fills the face once, whatever its size
        uv = (a.z > 0.5 ? q.xy : q.zy) * 0.5 + 0.5;
        uv.x = a.z > 0.5 ? uv.x * m.z : -uv.x * m.x;
    } else uv = uv * paint.y + paint.zw;
    float slant = max(abs(dot(rd, n)), 0.15);
    float lod = texture_lod(footprint / sqrt(slant), more.w > 0.5 ? 0.5 / size.y : paint.y);
    s.normal = n;
    if (shape == CARD) {
        s.albedo = tint.rgb * (0.35 + 0.65 * (q.y * 0.5 + 0.5)) * (0.8 + 0.4 * fract(size.x * 57.0 + more.z));
        s.normal = normalize(vec3(n.x, 2.0, n.z));
    } else if (shape == LEAF_BALL || shape == LEAF_CONE) {
        float id_value = fract(leaf_cell(floor(q * LEAF_CELLS) / LEAF_CELLS, LEAF_CELLS, more.z) * 13.7);
        vec4 c = textureLod(u_textures, vec3(uv, paint.x), lod);
        s.albedo = tint.rgb * (0.12 + 0.95 * c.g) * (0.6 + 0.7 * id_value);
        s.albedo *= shape == LEAF_CONE ? 0.55 + 0.45 * smoothstep(-1.0, 0.2, q.y) : 1.0;
        s.normal = normalize(n + 0.8 * (vec3(id_value, fract(id_value * 7.0), fract(id_value * 31.0)) - 0.5));
        s.openness = 0.55 + 0.45 * smoothstep(-1.0, 0.6, q.y);
    } else {
        vec4 c = textured(paint.x, uv, lod, more.x, tangent, bitangent, s.normal);
        s.albedo = c.rgb * tint.rgb;
    }
    if (more.y > 0.0) // snow or moss that lies on top
        s.albedo = mix(s.albedo, vec3(0.82, 0.86, 0.92), smoothstep(0.45, 0.7, s.normal.y + 0.25 * (noise4(p.xz * 0.4, 1.0).x - 0.5)) * more.y);
    s.kind = int(size.w + 0.5);
    if (s.kind == MIRROR) { s.albedo = tint.rgb; s.normal = n; }
    if (s.kind == GLASS) s.normal = n;
    s.gloss = tint.a;
    if (s.kind == GLOW) s.glow = s.albedo * more.x;
}
#if HAS_LAMPS
// All lamps; the two that matter most at p throw shadows.
vec3 lamp_light(vec3 n, vec3 p, vec3 geometric, float path, bool full) {
    vec3 sum = vec3(0.0);
    ivec2 best = ivec2(-1);
    vec2 power = vec2(0.0);
    for (int i = 0; i < u_lamp_count; i++) {
        vec3 to_lamp = u_lamps[i].xyz - p;
        float d2 = dot(to_lamp, to_lamp), reach = u_lamps[i].w;
        float fade = max(1.0 - d2 / (reach * reach), 0.0);
        float k = fade * fade * max(dot(n, to_lamp * inversesqrt(d2)) * 0.85 + 0.15, 0.0) / (0.4 + d2);
        sum += u_lamp_colors[i] * k;
        if (k > power.x) { best = ivec2(i, best.x); power = vec2(k, power.x); }
        else if (k > power.y) { best.y = i; power.y = k; }
    }
    for (int j = 0; j < 2; j++) {
        int i = j == 0 ? best.x : best.y;
        float k = j == 0 ? power.x : power.y;
        if (!full || i < 0 || k < 0.01 || path > 60.0) break;
        vec3 to_lamp = u_lamps[i].xyz - p;
        float d = length(to_lamp);
        sum -= u_lamp_colors[i] * k * (1.0 - trace_shadow(p + geometric * 0.015, to_lamp / d, d - 0.3, 0.05));
    }
    return sum;
}
#endif
vec3 lit(Surface s, vec3 p, vec3 geometric, vec3 rd, float path, bool full) {
    float sun = s.sun, facing = dot(s.normal, u_sun);
    if (s.kind == LEAF) facing = 0.35 + 0.65 * facing;
    if (facing > 0.0 && sun > 0.01 && path < 160.0) sun *= trace_shadow(p + geometric * 0.01, u_sun, 60.0, 0.022);
    float open = s.openness;
    if (full && path < 60.0) {
        int ignored;
        vec3 d = normalize(geometric + vec3(0.31, 0.35, 0.24));
        open *= 0.35 + 0.65 * sqrt(trace_grid(p + geometric * 0.02, d, 0.01, 1.6, ignored) / 1.6);
    }
    float up = 0.5 + 0.5 * s.normal.y;
    vec3 around = (u_zenith * 0.7 + u_horizon * 0.3) * up + (u_sun_color * max(u_sun.y, 0.0) * 0.10 + u_horizon * 0.22) * (1.0 - up);
    vec3 light = around * open * u_ambient + u_sun_color * max(facing, 0.0) * sun;
#if HAS_LAMPS
    light += u_room * open + lamp_light(s.normal, p, geometric, path, full);
#endif
    vec3 c = s.albedo * light + s.glow;
    float shine = max(dot(reflect(rd, s.normal), u_sun), 0.0);
    return c + u_sun_color * sun * (0.03 + s.gloss) * 0.5 * pow(shine, 40.0);
}
void main() {
    vec3 forward = -u_rotation[2];
    vec3 rd = normalize(u_rotation * vec3(ndc * u_tangent, -1.0)), ro = u_eye;
    float axial = dot(rd, forward), inverse_depth = -1.0, path = 0.0;
    float own_light = -1.0, behind = -1.0; // of the first surface; 1 / distance of what it shows
    vec3 col = vec3(0.0), through = vec3(1.0);
    int mask = 0;
    for (int bounce = 0; bounce < MAX_BOUNCES; bounce++) {
        int found;
        float t = trace_grid(ro, rd, 1e-3, 1500.0, found);
        int what = found >= 0 ? 1 : 0; // 0 sky, 1 primitive, 2 ground, 3 water
#if HAS_WATER
        float tw = rd.y < 0.0 ? (u_water - ro.y) / rd.y : FAR;
#if !HAS_TERRAIN
        if (!in_pond((ro + rd * tw).xz)) tw = FAR;
#endif
        if (tw > 1e-3 && tw < t) { t = tw; what = 3; }
#endif
#if HAS_TERRAIN
        float tg = trace_terrain(ro, rd, t, path);
        if (tg < t) { t = tg; what = 2; }
#elif HAS_GROUND
        float tg = rd.y < 0.0 ? -ro.y / rd.y : FAR;
#if HAS_WATER
        if (tg > 1e-3 && in_pond((ro + rd * tg).xz)) tg = FAR;
#endif
        if (tg > 1e-3 && tg < t) { t = tg; what = 2; }
#endif
        if (bounce == 0) inverse_depth = what == 0 ? 0.0 : 1.0 / (t * axial);
        if (what == 0) {
            if (behind < 0.0) behind = 0.0;
            col += through * sky(rd);
            break;
        }
        vec3 p = ro + rd * t;
        float clear = air(rd, t, ro.y);
        path += t;
        float footprint = path * u_pixel_angle;
        col += through * (1.0 - clear) * air_color(rd);
        through *= clear;
#if HAS_WATER
        if (what == 3) {
            float lod = max(0.0, log2(footprint * 4.5));
            vec2 r = noise4(p.xz * 0.018, lod).xy + noise4(p.xz * 0.049, lod + 1.4).zw - 1.04;
            r += 0.5 * (noise4(p.xz * 0.31, lod + 4.0).xy - 0.52);
            vec3 n = normalize(vec3(r.x * u_wave, 1.0, r.y * u_wave));
            float fresnel = 0.02 + 0.98 * pow(1.0 - max(-dot(rd, n), 0.0), 5.0);
            vec3 body = vec3(0.008, 0.035, 0.055) * (u_zenith * 0.7 + u_sun_color * 0.22);
#if HAS_TERRAIN || HAS_GROUND
            vec3 below = refract(rd, n, 0.75);
#if HAS_TERRAIN
            float depth = max(u_water - height_at(p.xz, max(0.0, log2(footprint))), 0.0);
#else
            float depth = 0.45;
#endif
            float length_below = depth / max(-below.y, 0.2);
            vec3 bed = p + below * length_below;
            vec3 bn = vec3(0, 1, 0);
            vec3 stones = ground_texture(8.0, bed.xz, 0.45, footprint, 0.0, bn).rgb;
            vec3 seen = stones * (u_sun_color * 0.45 * max(u_sun.y, 0.1) + u_zenith * 0.5) * vec3(0.75, 0.95, 0.9);
            body = mix(body, seen, exp(-length_below * vec3(0.75, 0.38, 0.42)));
            float foam = 0.5 * smoothstep(0.10, 0.0, depth + 0.08 * r.x);
            body = mix(body, vec3(0.8) * (u_sun_color * 0.25 + u_zenith * 0.5), foam);
#endif
            if (bounce == 0) mask |= 4;
            col += through * body * (1.0 - fresnel);
            if (bounce == 0) own_light = luminance(col);
            through *= fresnel;
            rd = reflect(rd, n);
            rd.y = max(rd.y, 0.002);
            rd = normalize(rd);
            ro = p + vec3(0, 0.004, 0);
            if (through.g < 0.02) break;
            continue;
        }
#endif
        Surface s = Surface(vec3(0.5), vec3(0, 1, 0), vec3(0), 0.0, 0.0, 1.0, 1.0, DIFFUSE);
        vec3 geometric = vec3(0, 1, 0);
        if (what == 2) {
#if HAS_TERRAIN
            vec4 L = textureLod(u_light, p.xz / u_tile, max(0.0, log2(footprint)));
            geometric.xz = L.xy * 2.0 - 1.0;
            geometric.y = sqrt(max(1.0 - dot(geometric.xz, geometric.xz), 0.04));
            s.sun = L.z;
            s.openness = L.w;
#endif
            s.normal = geometric;
            ground(p, geometric, footprint, s);
        } else {
            primitive_surface(found, p, rd, footprint, s);
            geometric = s.normal;
#if HAS_TERRAIN
            // low things stand in the mountains' shadow as the ground does
            float shade = textureLod(u_light, p.xz / u_tile, 1.0).z;
            s.sun = mix(shade, 1.0, smoothstep(2.0, 25.0, p.y - height_at(p.xz, 1.0)));
#endif
            if (what == 1 && s.kind == DIFFUSE) s.openness *= 0.7 + 0.3 * smoothstep(0.0, 0.7, p.y);
        }
        if (s.kind == MIRROR) {
            if (bounce == 0) {
                mask |= 1;
                if (flat_shape(found & 15)) own_light = luminance(col);
            }
            through *= s.albedo * (0.88 + 0.12 * pow(1.0 - abs(dot(rd, s.normal)), 5.0));
            rd = reflect(rd, s.normal);
            ro = p + s.normal * 0.01;
            continue;
        }
        if (s.kind == GLASS) {
            if (bounce == 0) mask |= 2;
            int id = found >> 4;
            float fresnel = 0.04 + 0.96 * pow(1.0 - abs(dot(rd, s.normal)), 5.0);
            vec3 mirrored = reflect(rd, s.normal);
            col += through * fresnel * u_ambient * sky(vec3(mirrored.x, abs(mirrored.y), mirrored.z));
            if (bounce == 0 && flat_shape(found & 15)) own_light = luminance(col);
            vec3 tint = prim(id, 4).rgb;
            through *= (1.0 - fresnel) * tint;
            if ((found & 15) == SPHERE) {
                float radius = prim(id, 5).x;
                vec3 center = p - s.normal * radius, inner = refract(rd, s.normal, 1.0 / 1.47);
                vec3 out_point = p + inner * (-2.0 * dot(inner, s.normal) * radius);
                vec3 out_normal = (out_point - center) / radius, leave = refract(inner, -out_normal, 1.47);
                rd = dot(leave, leave) < 0.1 ? reflect(inner, -out_normal) : leave;
                ro = out_point + out_normal * 0.01;
            } else { ro = p + rd * 0.06; path += 0.06; }
            continue;
        }
        if (bounce > 0 && behind < 0.0) behind = 1.0 / (path * axial);
        vec3 c = lit(s, p, geometric, rd, path, bounce == 0);
        if (bounce == 0 && u_masks > 0 && (s.sun < 0.5 || dot(s.normal, u_sun) <= 0.0
            || trace_shadow(p + geometric * 0.01, u_sun, 60.0, 0.022) < 0.5)) mask |= 8;
        float fresnel = s.gloss * (0.06 + 0.94 * pow(1.0 - abs(dot(rd, s.normal)), 5.0));
        bool again = fresnel * through.g > 0.015 && bounce < MAX_BOUNCES - 1;
        col += through * c * (again ? 1.0 - fresnel : 1.0);
        if (!again) break;
        through *= fresnel;
        rd = reflect(rd, normalize(mix(geometric, s.normal, 0.15)));
        ro = p + geometric * 0.01;
    }
    color_out = vec4(tone(col, ndc), 1.0);
    bool shows = own_light >= 0.0 && behind >= 0.0 && luminance(col) > 2.0 * own_light;
    extra_out = vec4(inverse_depth, float(mask), shows ? behind : inverse_depth, 0.0);
}
