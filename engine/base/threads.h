/* Work shared among the host's cores. */
#ifndef QN_BASE_THREADS_H
#define QN_BASE_THREADS_H

#include <stdint.h>

/* Call work(user, from, to) on parts of [0, count), from several threads at once where there are
 * cores (at most 16), and return when all is done. Parts are at least `least` long. */
void qn__share(int64_t count, int64_t least, void (*work)(void *user, int64_t from, int64_t to),
               void *user);

/* The same on at most so many threads, up to 256; 0: as qn__share. */
void qn__share_on(int threads, int64_t count, int64_t least,
                  void (*work)(void *user, int64_t from, int64_t to), void *user);

#endif
