#version 330 core
// One triangle that covers the window.
out vec2 v_ndc;

void main() {
    vec2 corner = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2) * 2.0 - 1.0;
    v_ndc = corner;
    gl_Position = vec4(corner, 0.0, 1.0);
}
