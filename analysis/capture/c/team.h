/* What every part works on: a layer's tensor, its columns, and the threads. */

#ifndef TEAM_H
#define TEAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "softmax.h"

enum { TABLES = 4 };          /* neighbours often share a bin, so they count in turn */
enum { MOST = 256 };          /* threads */
enum { ALONE = 1 << 15 };     /* fewer values are not worth a second thread */
enum { LINE = 16 };           /* floats that come from memory together */

/* Of every channel of the tensor last seen, [C]. */
typedef struct {
  float *low, *high;
  double *sum, *square;
  double center, next_center; /* what the sums are about, and what they will be */
  double far; /* a mean this many standard deviations off zero becomes the center */
  int64_t decided; /* whether any tensor was seen that could tell a center */
} Moments;

/* Running statistics of a layer over T timesteps. */
typedef struct {
  int64_t *count;
  double *mean, *m2;
  float *low, *high;            /* [T, C] */
  uint32_t *counts;             /* [T, B] */
  int64_t steps, channels, bins;
  int64_t begun, exponent;      /* whether there are bins yet; they are 2^exponent wide */
  double inverse, start;        /* a value v lies in bin floor(v * inverse) - start */
  double reach_low, reach_high; /* what the bins cover */
  double least, greatest;       /* of all tensors */
} Columns;

/* A tensor as a layer sees it: which of its values are meant, and where they go. */
typedef struct View {
  int64_t samples, channels, size, planes; /* [N, C, M] if planes, else [N, M, C] */
  int64_t first, last;                     /* channels that are meant */
  int64_t drawn;                           /* values counted of each sample */
  const int32_t *positions; /* [N, drawn] in the sample, rising; NULL: all are counted */
  Columns *columns;
  Moments *moments;
  const Attention *attention; /* planes are its probabilities [N, H, L * S]; NULL: they lie in x */
  const struct View *next;    /* who else sees the same tensor */
} View;

/* GOMP_parallel and omp_get_thread_num of the very OpenMP library that torch uses: a second team
   of threads would fight its own for the cores. */
typedef struct {
  void (*parallel)(void (*)(void *), void *, unsigned, unsigned); /* NULL: there is none */
  int (*number)(void);
  int64_t threads;
  float *low, *high;   /* of a share's channels, [threads, C] */
  float *sum, *square; /* of each sample's channel, [N, C]: added up in one order */
  uint32_t *tables;    /* [threads, TABLES, B], empty between calls */
  float *picked;       /* [N, drawn] */
  float *room;         /* [threads, span], for what a share works on */
  int64_t span;
} Team;

typedef struct Work {
  void (*piece)(const struct Work *, int64_t first, int64_t last, int64_t share);
  const View *view;
  const float *x;
  const Team *team;
  int64_t units;    /* to be shared out evenly, and in the order of memory: */
  char taken[MOST]; /* torch does so too, and what a core has written it still holds */
  float *out;       /* of attend() */
} Work;

static inline void toil(void *shared) {
  Work *work = shared;
  int64_t threads = work->team->threads;
  int64_t number = work->team->number();
  for (int64_t k = 0; k < threads; ++k) { /* its own share, then what nobody else has begun */
    int64_t i = (number + k) % threads;
    if (!__atomic_exchange_n(&work->taken[i], 1, __ATOMIC_RELAXED))
      work->piece(work, work->units * i / threads, work->units * (i + 1) / threads, i);
  }
}

/* Returns how many shares there were. Threads are torch's number, or libgomp would end some. */
static inline int64_t run(Work *work, int64_t values) {
  int64_t threads = work->team->threads;
  if (threads < 2 || values < ALONE) {
    work->piece(work, 0, work->units, 0);
    return 1;
  }
  work->team->parallel(toil, work, (unsigned)threads, 0);
  return threads;
}

/* moments.c: sums and extremes of every channel of x about the center; sets aside what is drawn. */
INSIDE void summarize(const View *v, const float *x, const Team *t);

/* bins.c: until the bins hold all that was seen, and leave room. */
INSIDE void widen(Columns *to);

/* counts.c: the meant values of x into the layer's bins, which must hold them; those set aside. */
INSIDE void count(const View *v, const float *x, int64_t step, const Team *t);
INSIDE void count_picked(const View *v, int64_t step, const Team *t);

#endif
