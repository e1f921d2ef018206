#version 330 core
// Time-warp: shows a model frame from the newest camera (see frame.vert). Rows of the textures are
// stored top first, so v runs down. Compiled in variants, because a software renderer runs both
// sides of every branch: SHARP (bicubic instead of bilinear), BORDERS (the window sees past the
// frame), HEAT (coverage map).
in vec3 v_point;
out vec4 o_color;

uniform sampler2D u_frame;
uniform sampler2D u_soft;      // the frame, small and blurred
uniform sampler2D u_planes;    // g: 1 where imagined
uniform vec2 u_tan_frame;      // tan of half the field of view of the frame as drawn (x, y)
uniform vec2 u_size;           // of the frame in pixels
uniform float u_heat;          // strength of the coverage map

const vec3 DEEP = vec3(0.055, 0.062, 0.075);

vec2 to_uv(vec2 p) { return p * vec2(0.5, -0.5) + 0.5; }

// Catmull-Rom from five bilinear samples (the four corners weigh next to nothing).
vec3 sample_sharp(vec2 uv) {
    vec2 at = uv * u_size - 0.5;
    vec2 base = floor(at);
    vec2 f = at - base;
    vec2 w0 = f * (-0.5 + f * (1.0 - 0.5 * f));
    vec2 w1 = 1.0 + f * f * (-2.5 + 1.5 * f);
    vec2 w3 = f * f * (-0.5 + 0.5 * f);
    vec2 w2 = 1.0 - w0 - w1 - w3;
    vec2 w12 = w1 + w2;
    vec2 mid = (base + 0.5 + w2 / w12) / u_size;
    vec2 before = (base - 0.5) / u_size;
    vec2 after = (base + 2.5) / u_size;
    vec3 sum = textureLod(u_frame, mid, 0.0).rgb * (w12.x * w12.y);
    sum += textureLod(u_frame, vec2(mid.x, before.y), 0.0).rgb * (w12.x * w0.y);
    sum += textureLod(u_frame, vec2(mid.x, after.y), 0.0).rgb * (w12.x * w3.y);
    sum += textureLod(u_frame, vec2(before.x, mid.y), 0.0).rgb * (w0.x * w12.y);
    sum += textureLod(u_frame, vec2(after.x, mid.y), 0.0).rgb * (w3.x * w12.y);
    float total = w12.x * w12.y + w12.x * (w0.y + w3.y) + w12.y * (w0.x + w3.x);
    return clamp(sum / total, 0.0, 1.0);
}

vec3 sample_inside(vec2 uv) {
#ifdef SHARP
    vec3 color = sample_sharp(uv);
#else
    vec3 color = textureLod(u_frame, uv, 0.0).rgb;
#endif
#ifdef HEAT
    float imagined = textureLod(u_planes, uv, 0.0).g;
    float grey = dot(color, vec3(0.3, 0.6, 0.1));
    vec3 known = mix(vec3(grey), vec3(0.10, 0.45, 0.85), 0.45);
    vec3 dreamt = mix(vec3(grey), vec3(1.00, 0.60, 0.10), 0.55);
    color = mix(color, mix(known, dreamt, imagined), u_heat);
#endif
    return color;
}

void main() {
    vec2 p = v_point.xy / (max(-v_point.z, 0.02) * u_tan_frame);
#ifdef BORDERS
    // Past the border the picture is mirrored, the further out the softer and the darker.
    vec2 beyond = max(abs(p) - 1.0, 0.0);
    float far = length(beyond);
    vec2 uv = to_uv(clamp(p - 2.0 * sign(p) * beyond, -1.0, 1.0));
    vec3 color = mix(sample_inside(uv), textureLod(u_soft, uv, 0.0).rgb, smoothstep(0.0, 0.2, far));
    color = mix(color, DEEP, smoothstep(0.05, 1.3, far));
    color = mix(color, DEEP, step(-0.02, v_point.z));
#else
    vec3 color = sample_inside(to_uv(clamp(p, -1.0, 1.0)));
#endif
    o_color = vec4(color, 1.0);
}
