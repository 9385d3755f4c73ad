/*
 * Shallow fusion: a beam search over the words of a toy recognizer, which adds the scores of a language model.
 *
 *     gcc -I include examples/beam.c -lrondo_capi -o beam
 *     ./beam MODEL "the|a cat|mat sat"
 *
 * Each position has alternatives between bars. The best sentence and its log-probability are printed.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rondo.h"

enum { BEAM = 4, MOST_ALTERNATIVES = 16, MOST_TEXT = 4096 };

struct hypothesis {
    rondo_state *state;
    float *next; /* The log-probabilities of the next token. */
    double score;
    char text[MOST_TEXT];
};

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, rondo_last_error());
    exit(1);
}

static int better(const void *a, const void *b) {
    double first = ((const struct hypothesis *)a)->score, second = ((const struct hypothesis *)b)->score;
    return (first < second) - (first > second);
}

static void release(struct hypothesis *one) {
    rondo_state_free(one->state);
    free(one->next);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: beam MODEL 'ALTERNATIVES ...'\n");
        return 2;
    }
    rondo_model *model = rondo_open(arguments[1], 1);
    if (!model) fail("rondo_open");
    size_t vocab_size = rondo_vocab_size(model);
    int64_t line_end = rondo_line_end(model);
    if (line_end < 0) fail("rondo_line_end");

    /* The sentence begins after a line end. */
    struct hypothesis beam[BEAM];
    memset(beam, 0, sizeof beam);
    size_t live = 1;
    uint32_t first = (uint32_t)line_end;
    rondo_state *begin = rondo_begin(model);
    if (!begin) fail("rondo_begin");
    beam[0].next = malloc(vocab_size * sizeof(float));
    const rondo_state *begins[] = {begin};
    if (rondo_advance(model, begins, &first, 1, &beam[0].state, beam[0].next)) fail("rondo_advance");
    rondo_state_free(begin);

    for (char *position = strtok(arguments[2], " "); position; position = strtok(NULL, " ")) {
        /* Each hypothesis is continued with each alternative. */
        static struct hypothesis longer[BEAM * MOST_ALTERNATIVES];
        const rondo_state *from[BEAM * MOST_ALTERNATIVES];
        uint32_t tokens[BEAM * MOST_ALTERNATIVES];
        size_t made = 0;
        for (char *word = position; word; ) {
            char *bar = strchr(word, '|');
            if (bar) *bar = 0;
            uint32_t id;
            if (rondo_encode(model, word, &id, 1) != 1) fail("rondo_encode");
            for (size_t one = 0; one < live && made < BEAM * MOST_ALTERNATIVES; one++, made++) {
                longer[made].score = beam[one].score + beam[one].next[id];
                snprintf(longer[made].text, MOST_TEXT, "%s%s%s", beam[one].text, *beam[one].text ? " " : "", word);
                from[made] = beam[one].state;
                tokens[made] = id;
            }
            word = bar ? bar + 1 : NULL;
        }
        /* All of them advance in one step of the model. */
        rondo_state **states = calloc(made, sizeof *states);
        float *log_probs = malloc(made * vocab_size * sizeof(float));
        if (rondo_advance(model, from, tokens, made, states, log_probs)) fail("rondo_advance");
        for (size_t one = 0; one < made; one++) {
            longer[one].state = states[one];
            longer[one].next = malloc(vocab_size * sizeof(float));
            memcpy(longer[one].next, log_probs + one * vocab_size, vocab_size * sizeof(float));
        }
        free(states);
        free(log_probs);
        for (size_t one = 0; one < live; one++) release(&beam[one]);
        qsort(longer, made, sizeof *longer, better);
        live = made < BEAM ? made : BEAM;
        memcpy(beam, longer, live * sizeof *beam);
        for (size_t one = live; one < made; one++) release(&longer[one]);
    }

    /* The end of the sentence is part of its probability. */
    for (size_t one = 0; one < live; one++) beam[one].score += beam[one].next[line_end];
    qsort(beam, live, sizeof *beam, better);
    printf("%.4f %s\n", beam[0].score, beam[0].text);

    double score;
    if (rondo_score(model, beam[0].text, &score) < 0) fail("rondo_score");
    int agrees = fabs(score - beam[0].score) < 1e-3;
    if (!agrees) fprintf(stderr, "rondo_score says %.4f\n", score);
    for (size_t one = 0; one < live; one++) release(&beam[one]);
    rondo_free(model);
    return agrees ? 0 : 1;
}
