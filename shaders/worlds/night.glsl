#version 330 core
// The village after dark: lanterns and lit windows.
#define HAS_TERRAIN 0
#define HAS_WATER 0
#define HAS_GROUND 1
#define MAX_BOUNCES 3
#define HAS_LAMPS 1
#include "include/town.glsl"
