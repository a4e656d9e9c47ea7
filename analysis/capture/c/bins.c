/* Bins that are widened where they are; bins.py says how, and does the same without a compiler. */

#include <math.h>

#include "team.h"

enum { SMALLEST = -60 }; /* exponent of a bin's width */

static int64_t cell_of(double x, int exponent) { return (int64_t)floor(ldexp(x, -exponent)); }

static int64_t cells_of(const Columns *to, int exponent) {
  return cell_of(to->greatest, exponent) - cell_of(to->least, exponent) + 1;
}

/* The narrowest bins that hold all that was seen with an eighth of them to spare. */
static int fitting(const Columns *to) {
  double low = fabs(to->least), high = fabs(to->greatest), span = to->greatest - to->least;
  double tiny = (low > high ? low : high) * 0x1p-20;
  int exponent = SMALLEST, found = SMALLEST;
  if (span < tiny) span = tiny;
  if (span > 0) frexp(span / ((double)to->bins * 7 / 8), &found);
  if (found > exponent) exponent = found;
  while (cells_of(to, exponent) > to->bins) ++exponent;
  return exponent;
}

/* A bin at position p goes to p >> doublings; those beyond the new bins are empty. */
static void move(const Columns *to, int64_t start, int64_t doublings, int64_t next) {
  int64_t bins = to->bins, by = doublings < 63 ? doublings : 63;
  uint32_t old[bins];
  for (int64_t step = 0; step < to->steps; ++step) {
    uint32_t *counts = to->counts + step * bins;
    if (!to->count[step]) continue;
    memcpy(old, counts, sizeof old);
    memset(counts, 0, sizeof old);
    for (int64_t i = 0; i < bins; ++i)
      if (old[i]) counts[((start + i) >> by) - next] += old[i];
  }
}

void widen(Columns *to) {
  int exponent = fitting(to);
  if (to->begun && exponent < to->exponent) exponent = (int)to->exponent;
  int64_t free = to->bins - cells_of(to, exponent);
  int64_t start = cell_of(to->least, exponent) - free / 2; /* as much free below as above */
  if (to->begun) move(to, (int64_t)to->start, exponent - to->exponent, start);
  to->begun = 1;
  to->exponent = exponent;
  to->start = (double)start;
  to->inverse = ldexp(1.0, -exponent);
  to->reach_low = ldexp((double)start, exponent);
  to->reach_high = ldexp((double)(start + to->bins), exponent);
}
