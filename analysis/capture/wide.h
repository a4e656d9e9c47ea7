/* Sixteen floats at a time, on whatever the processor has for them. */

#ifndef WIDE_H
#define WIDE_H

#include <stdint.h>
#include <string.h>

enum { WIDE = 16 };
typedef float Floats __attribute__((vector_size(WIDE * sizeof(float)), aligned(4)));
typedef int32_t Wholes __attribute__((vector_size(WIDE * sizeof(float)), aligned(4)));

static inline Floats lesser(Floats a, Floats b) {
  Wholes first = a < b;
  return (Floats)((first & (Wholes)a) | (~first & (Wholes)b));
}

static inline Floats greater(Floats a, Floats b) {
  Wholes first = a > b;
  return (Floats)((first & (Wholes)a) | (~first & (Wholes)b));
}

/* All lanes made one: halves are put together until four are left. */
typedef float Eight __attribute__((vector_size(8 * sizeof(float))));
typedef float Four __attribute__((vector_size(4 * sizeof(float))));
typedef int32_t EightWholes __attribute__((vector_size(8 * sizeof(float))));
typedef int32_t FourWholes __attribute__((vector_size(4 * sizeof(float))));

static inline float total(Floats x) {
  Eight e[2];
  Four f[2];
  memcpy(e, &x, sizeof e);
  e[0] += e[1];
  memcpy(f, e, sizeof f);
  f[0] += f[1];
  return (f[0][0] + f[0][2]) + (f[0][1] + f[0][3]);
}

static inline float greatest(Floats x) {
  Eight e[2];
  Four f[2];
  memcpy(e, &x, sizeof e);
  EightWholes first = e[0] > e[1];
  e[0] = (Eight)((first & (EightWholes)e[0]) | (~first & (EightWholes)e[1]));
  memcpy(f, e, sizeof f);
  FourWholes left = f[0] > f[1];
  f[0] = (Four)((left & (FourWholes)f[0]) | (~left & (FourWholes)f[1]));
  float a = f[0][0] > f[0][2] ? f[0][0] : f[0][2], b = f[0][1] > f[0][3] ? f[0][1] : f[0][3];
  return a > b ? a : b;
}

static inline float least(Floats x) { return -greatest(-x); }

#endif
