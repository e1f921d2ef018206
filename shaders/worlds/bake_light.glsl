#version 330 core
// Terrain normal, sun shadow and sky visibility, once per scene: xz normal, shadow, openness.
in vec2 ndc;
out vec4 color;
uniform sampler2D u_height;
uniform vec3 u_sun;
uniform float u_height_max, u_tile;
float height(vec2 p, float lod) { return textureLod(u_height, p / u_tile, lod).r; }
void main() {
    vec2 p = (ndc * 0.5 + 0.5) * u_tile;
    float e = u_tile / float(textureSize(u_height, 0).x), h = height(p, 0.0);
    vec3 n = normalize(vec3(height(p - vec2(e, 0), 0.0) - height(p + vec2(e, 0), 0.0), 2.0 * e,
                            height(p - vec2(0, e), 0.0) - height(p + vec2(0, e), 0.0)));
    float light = 1.0, t = 2.0 * e;
    for (int i = 0; i < 48; i++) {
        vec3 q = vec3(p.x, h + 0.4 * e, p.y) + u_sun * t;
        float d = q.y - height(q.xz, 0.0);
        light = min(light, 10.0 * d / t);
        if (light < 0.0 || q.y > u_height_max) break;
        t += clamp(d * 0.7, 0.6 * e + 0.02 * t, 14.0);
    }
    light = smoothstep(0.0, 1.0, clamp(light, 0.0, 1.0));
    float closed = 0.0;
    for (int k = 1; k <= 4; k++) {
        float lod = float(k) * 1.3;
        closed += clamp((height(p, lod + 1.0) - h) / (exp2(lod) * e), -0.5, 1.0) * 0.25;
    }
    color = vec4(n.xz * 0.5 + 0.5, light, clamp(1.0 - 1.1 * closed, 0.25, 1.0));
}
