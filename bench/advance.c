/*
 * How long it takes to advance states through the C interface.
 *
 *   cargo build --release --package rondo-capi
 *   gcc -O2 bench/advance.c -Icrates/capi/include -Ltarget/release -lrondo_capi -o target/advance
 *   LD_LIBRARY_PATH=target/release target/advance MODEL [STATES [THREADS [CALLS]]]
 *
 * Prints the median of the calls in microseconds, and how many tokens that is per second.
 */

#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rondo.h"

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    size_t states = argc > 2 ? strtoul(argv[2], NULL, 10) : 32;
    size_t threads = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    size_t calls = argc > 4 ? strtoul(argv[4], NULL, 10) : 200;
    rondo_model *model = argc > 1 ? rondo_open(argv[1], threads) : NULL;
    if (!model || states == 0 || calls == 0) {
        fprintf(stderr, "%s\n", argc > 1 ? rondo_last_error() : "usage: advance MODEL [STATES [THREADS [CALLS]]]");
        return 1;
    }
    size_t vocab = rondo_vocab_size(model);
    float *log_probs = malloc(states * vocab * sizeof *log_probs);
    rondo_state **current = malloc(states * sizeof *current), **next = malloc(states * sizeof *next);
    uint32_t *tokens = malloc(states * sizeof *tokens);
    double *times = malloc(calls * sizeof *times);
    for (size_t i = 0; i < states; i++) {
        current[i] = rondo_begin(model);
    }
    for (size_t call = 0; call < calls; call++) {
        for (size_t i = 0; i < states; i++) {
            tokens[i] = (uint32_t)((call * 7919 + i * 104729) % vocab);
        }
        double start = now();
        int failed = rondo_advance(model, (const rondo_state *const *)current, tokens, states, next, log_probs);
        times[call] = now() - start;
        if (failed) {
            fprintf(stderr, "%s\n", rondo_last_error());
            return 1;
        }
        for (size_t i = 0; i < states; i++) {
            rondo_state_free(current[i]);
            current[i] = next[i];
        }
    }
    qsort(times, calls, sizeof *times, by_size);
    double median = times[calls / 2];
    printf("%zu states, vocabulary %zu, %zu threads: %.0f us per call, %.0f tokens/s\n", states, vocab, threads, median,
           (double)states / median * 1e6);
    for (size_t i = 0; i < states; i++) {
        rondo_state_free(current[i]);
    }
    free(log_probs), free(current), free(next), free(tokens), free(times);
    rondo_free(model);
    return 0;
}
