#version 330 core
// Four independent tiling fractal noises, read by skies, water and ground with mip levels.
in vec2 ndc;
out vec4 color;
#include "include/noise.glsl"
void main() {
    vec2 uv = ndc * 0.5 + 0.5;
    color = vec4(fbm(uv, ivec2(8), 6, 0.55, 0), fbm(uv, ivec2(8), 6, 0.55, 13),
                 fbm(uv, ivec2(8), 6, 0.55, 26), fbm(uv, ivec2(4), 6, 0.55, 39));
}
