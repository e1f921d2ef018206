#version 330 core
// Where each point of the window lies in the frame's camera. For a rotation that is linear in the
// window, so one triangle is exact. With SMOOTH, translation is followed on a grid of GRID cells,
// with the frame's own guess of distance: far cheaper than for each pixel, and it never tears.
out vec3 v_point;              // in the frame's camera axes, up to a factor

uniform sampler2D u_planes;    // r: root of the inverse distance / NEAREST; g: 1 where imagined
uniform mat3 u_to_frame;       // newest camera axes -> axes of the frame's camera
uniform vec3 u_shift;          // newest camera position in the frame's axes, metres
uniform vec2 u_tan_view;       // tan of half the field of view of the window (x, y)
uniform vec2 u_tan_frame;      // the same of the frame as drawn

const ivec2 GRID = ivec2(48, 27);
const float NEAREST = 4.0;     // 1/m
const int ROUNDS = 2;

vec2 ndc_of_vertex() {
#ifdef SMOOTH
    ivec2 at = ivec2(gl_VertexID % (GRID.x + 1), gl_VertexID / (GRID.x + 1));
    return vec2(at) / vec2(GRID) * 2.0 - 1.0;
#else
    return vec2((gl_VertexID << 1) & 2, gl_VertexID & 2) * 2.0 - 1.0;
#endif
}

void main() {
    vec2 ndc = ndc_of_vertex();
    vec3 ray = u_to_frame * vec3(ndc * u_tan_view, -1.0);
    v_point = ray;
#ifdef SMOOTH
    for (int i = 0; i < ROUNDS; ++i) {
        vec2 p = v_point.xy / (max(-v_point.z, 0.02) * u_tan_frame);
        vec2 uv = clamp(p, -1.0, 1.0) * vec2(0.5, -0.5) + 0.5;
        float root = textureLod(u_planes, uv, 0.0).r;
        v_point = ray + u_shift * (root * root * NEAREST * max(-v_point.z, 0.0));
    }
#endif
    gl_Position = vec4(ndc, 0.0, 1.0);
}
