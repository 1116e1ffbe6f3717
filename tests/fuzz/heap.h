/* How much a target allocates: never more than twice the input and so many bytes an element.
 * docs/fuzzing.md has the bounds. */
#ifndef QN_TESTS_FUZZ_HEAP_H
#define QN_TESTS_FUZZ_HEAP_H

#include <sanitizer/allocator_interface.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int64_t heap_live, heap_peak; /* bytes since heap_watch() */

static inline void heap_on_malloc(const volatile void *block, size_t bytes)
{
    (void)block;
    heap_live += (int64_t)bytes;
    if (heap_live > heap_peak) heap_peak = heap_live;
}

static inline void heap_on_free(const volatile void *block)
{
    if (block) heap_live -= (int64_t)__sanitizer_get_allocated_size(block);
}

/* From here on, count. */
static inline void heap_watch(void)
{
    static int hooked;
    if (!hooked) hooked = __sanitizer_install_malloc_and_free_hooks(heap_on_malloc, heap_on_free);
    if (!hooked) abort();
    heap_live = heap_peak = 0;
}

/* The most that was allocated at once since heap_watch() is at most
 * 2 input_bytes + each * elements + fixed, or the target fails. */
static inline void heap_judge(size_t input_bytes, size_t elements, size_t each, size_t fixed)
{
    const size_t most = 2 * input_bytes + each * elements + fixed;
    if (heap_peak <= (int64_t)most) return;
    fprintf(stderr,
            "%lld bytes allocated at once for an input of %zu bytes and %zu elements; at most "
            "%zu\n",
            (long long)heap_peak, input_bytes, elements, most);
    abort();
}

/* At least as many as the values and names of a JSON text. */
static inline size_t heap_json_elements(const uint8_t *data, size_t size)
{
    size_t count = 1;
    for (size_t i = 0; i < size; i++)
        count += data[i] == '{' || data[i] == '[' || data[i] == ',' || data[i] == ':';
    return count;
}

#endif
