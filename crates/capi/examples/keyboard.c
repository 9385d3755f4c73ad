/*
 * A keyboard: types a text key by key with three suggestions at a time, and learns its words at the end.
 *
 *     gcc -I include examples/keyboard.c -lrondo_capi -o keyboard
 *     ./keyboard MODEL "The cat sat"
 *
 * A line for each key has the last word of the text, a colon, and the suggestions.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rondo.h"

enum { SUGGESTIONS = 3, MOST_TEXT = 4096 };

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, rondo_last_error());
    exit(1);
}

/* Whether a text ends within a character: the next byte continues it. */
static int continues(char next) {
    return (next & 0xC0) == 0x80;
}

static void show(rondo_suggester *suggester, const char *text) {
    rondo_suggestion found[SUGGESTIONS];
    int64_t count = rondo_suggest(suggester, text, SUGGESTIONS, true, found);
    if (count < 0) fail("rondo_suggest");
    const char *space = strrchr(text, ' ');
    printf("%s:", space ? space + 1 : text);
    for (int64_t one = 0; one < count; one++) printf(" %s", found[one].word);
    puts("");
}

int main(int count, char **arguments) {
    if (count != 3 || strlen(arguments[2]) >= MOST_TEXT) {
        fprintf(stderr, "usage: keyboard MODEL TEXT\n");
        return 2;
    }
    rondo_model *model = rondo_open(arguments[1], 1);
    if (!model) fail("rondo_open");
    rondo_preferences preferences = {.words_only = true, .capitalize = true};
    rondo_suggester *suggester = rondo_suggester_new(model, &preferences);
    if (!suggester) fail("rondo_suggester_new");
    /* The suggester outlives it. */
    rondo_free(model);

    const char *text = arguments[2];
    char typed[MOST_TEXT] = "";
    for (size_t length = 1; length <= strlen(text); length++) {
        memcpy(typed, text, length);
        if (!continues(text[length])) show(suggester, typed);
    }
    if (rondo_learn(suggester, text)) fail("rondo_learn");
    show(suggester, "");
    rondo_suggester_free(suggester);
    return 0;
}
