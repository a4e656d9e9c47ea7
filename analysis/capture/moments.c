/* Least, greatest, sum and sum of squares of every channel of a tensor, in one pass.

   torch needs a pass for each of the four, and memory is what capturing waits for.
   Sums are taken about a center, in float over one sample's channel and in double beyond. */

#include <math.h>
#include <stddef.h>

/* x is [samples, channels, size]: a channel lies in one piece. */
void moments_planes(const float *x, size_t samples, size_t channels, size_t size, float center,
                    float *low, float *high, double *sum, double *square) {
  for (size_t n = 0; n < samples; ++n)
    for (size_t c = 0; c < channels; ++c, x += size) {
      float lo = x[0], hi = x[0], s = 0, q = 0;
      for (size_t i = 0; i < size; ++i) {
        float v = x[i], d = v - center;
        lo = v < lo ? v : lo;
        hi = v > hi ? v : hi;
        s += d;
        q += d * d;
      }
      low[c] = n && low[c] < lo ? low[c] : lo;
      high[c] = n && high[c] > hi ? high[c] : hi;
      sum[c] = n ? sum[c] + s : s;
      square[c] = n ? square[c] + q : q;
    }
}

/* x is [rows, channels]: neighbours belong to different channels. */
void moments_rows(const float *restrict x, size_t rows, size_t channels, float center,
                  float *restrict low, float *restrict high, double *restrict sum,
                  double *restrict square) {
  for (size_t c = 0; c < channels; ++c) low[c] = high[c] = x[c], sum[c] = square[c] = 0;
  for (size_t i = 0; i < rows; ++i, x += channels)
    for (size_t c = 0; c < channels; ++c) {
      float v = x[c], d = v - center;
      low[c] = v < low[c] ? v : low[c];
      high[c] = v > high[c] ? v : high[c];
      sum[c] += d;
      square[c] += d * d;
    }
}

/* Counts the drawn values into their bins: exact, since bins are powers of two wide. */
void count_drawn(const float *restrict x, const long long *restrict drawn, size_t n, double inverse,
                 double start, unsigned *restrict counts) {
  for (size_t i = 0; i < n; ++i) {
    double cell = floor(x[drawn[i]] * inverse) - start; /* -1e-30 is left of 0, 256 - 1e-30 is 256 */
    ++counts[(size_t)cell];
  }
}
