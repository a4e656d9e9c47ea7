/* As many floats at a time as the processor has registers for. */

#ifndef WIDE_H
#define WIDE_H

#include <stdint.h>
#include <string.h>

/* Between the files of this library only: no name of another library can take its place. */
#define INSIDE __attribute__((visibility("hidden")))

#if defined(__AVX512F__)
enum { WIDE = 16 };
#elif defined(__AVX__)
enum { WIDE = 8 };
#else
enum { WIDE = 4 };
#endif
enum { QUARTETS = WIDE / 4 };

typedef float Floats __attribute__((vector_size(WIDE * sizeof(float)), aligned(4)));
typedef int32_t Wholes __attribute__((vector_size(WIDE * sizeof(float)), aligned(4)));
typedef float Four __attribute__((vector_size(4 * sizeof(float))));
typedef int32_t FourWholes __attribute__((vector_size(4 * sizeof(float))));

static inline Floats lesser(Floats a, Floats b) {
  Wholes first = a < b;
  return (Floats)((first & (Wholes)a) | (~first & (Wholes)b));
}

static inline Floats greater(Floats a, Floats b) {
  Wholes first = a > b;
  return (Floats)((first & (Wholes)a) | (~first & (Wholes)b));
}

/* One of all lanes: four at a time until four are left. */
static inline float total(Floats x) {
  Four part[QUARTETS];
  memcpy(part, &x, sizeof part);
  Four f = part[0];
  for (int i = 1; i < QUARTETS; ++i) f += part[i];
  return (f[0] + f[2]) + (f[1] + f[3]);
}

static inline float greatest(Floats x) {
  Four part[QUARTETS];
  memcpy(part, &x, sizeof part);
  Four f = part[0];
  for (int i = 1; i < QUARTETS; ++i) {
    FourWholes first = f > part[i];
    f = (Four)((first & (FourWholes)f) | (~first & (FourWholes)part[i]));
  }
  float a = f[0] > f[2] ? f[0] : f[2], b = f[1] > f[3] ? f[1] : f[3];
  return a > b ? a : b;
}

static inline float least(Floats x) { return -greatest(-x); }

#endif
