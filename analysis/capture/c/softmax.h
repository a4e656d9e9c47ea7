/* Attention whose scores nobody has stored. */

#ifndef SOFTMAX_H
#define SOFTMAX_H

#include "wide.h"

enum { ROWS = 2 * WIDE }; /* queries that are worked on together */

/* Queries [N, H, L, D] and keys [N, H, S, D], D side by side in memory. */
typedef struct {
  const float *q, *k;
  int64_t heads, rows, length, depth; /* H, L, S, D */
  int64_t q_sample, q_head, q_row, k_sample, k_head, k_row; /* strides in values */
  double scale;
} Attention;

/* Floats that shares_of() works on. */
int64_t room_of(const Attention *a);

/* The softmax of ROWS rows of a head [N * H] from `row` on, turned: [S, ROWS], at the beginning of
   the room. Rows beyond the last repeat it. */
INSIDE void shares_of(const Attention *a, int64_t head, int64_t row, float *room);

#endif
