#version 330 core
// One triangle that covers the screen; `ndc` is x right, y up, -1..1.
out vec2 ndc;
void main() {
    vec2 corner = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2) * 2.0 - 1.0;
    ndc = corner;
    gl_Position = vec4(corner, 0.0, 1.0);
}
