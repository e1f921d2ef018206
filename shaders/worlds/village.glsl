#version 330 core
// Lanes between houses: cobbles worn into grass or soil.
#define HAS_TERRAIN 0
#define HAS_WATER 0
#define HAS_GROUND 1
#define MAX_BOUNCES 3
#define HAS_LAMPS 0
#include "include/town.glsl"
