/* Walks ensembles of decision trees; loaded through ctypes, so there is no Python in it.
 *
 * Every step of a tree is the same load, comparison and load, without a branch that a processor could guess wrong:
 * leaves point at themselves, and a tree is walked as many steps as it is deep. Trees of one row do not depend on each
 * other, so several are under way at a time.
 */
#include <math.h>
#include <stdint.h>

enum { IDENTITY = 0, SIGMOID = 1, EXPONENT = 2, SOFTMAX = 3 };
enum { MISSING_LEFT = 1, CATEGORICAL = 2 };

typedef struct {
    double threshold; /* go left at or below it; of a leaf: its value; of a category split: the first word of its set */
    int32_t feature;
    int32_t child[2]; /* right, left: how many bytes from the first node */
    int32_t kind;     /* MISSING_LEFT, CATEGORICAL */
    int32_t words;    /* how long the set of categories is */
    int32_t unused;
} node;

typedef struct {
    const node *nodes;
    const int32_t *roots; /* in bytes, too */
    const int32_t *depths;
    const uint32_t *sets;
    int32_t trees;
    int32_t classes; /* tree i belongs to class i % classes */
    int32_t link;
    int32_t categories; /* whether any node splits by a set */
    double scale; /* of the sum, before the link */
} forest;

static int in_set(const forest *f, const node *n, double value) {
    if (!(value > -1.0 && value < 32.0 * n->words)) return 0;
    uint32_t code = (uint32_t)(int32_t)value;
    return (f->sets[(int64_t)n->threshold + code / 32] >> (code % 32)) & 1;
}

static void finish(const forest *f, double *out) {
    double sum = 0, most = out[0];
    for (int c = 0; c < f->classes; c++) out[c] *= f->scale;
    if (f->link == SIGMOID) {
        for (int c = 0; c < f->classes; c++) out[c] = 1.0 / (1.0 + exp(-out[c]));
    } else if (f->link == EXPONENT) {
        for (int c = 0; c < f->classes; c++) out[c] = exp(out[c]);
    } else if (f->link == SOFTMAX) {
        for (int c = 1; c < f->classes; c++) most = out[c] > most ? out[c] : most;
        for (int c = 0; c < f->classes; c++) sum += out[c] = exp(out[c] - most);
        for (int c = 0; c < f->classes; c++) out[c] /= sum;
    }
}

/* A step that need not look for missing values takes half as long; hence each kind of rows has a walk of its own. All
 * rows walk a tree before the next tree comes: one tree stays in the nearest cache, a forest does not. */
#define WALK(NAME, NUMBER, MISSING, CATEGORIES)                                                                 \
    static void NAME(const forest *f, const NUMBER *table, int64_t rows, int64_t width, double *out) {          \
        const char *nodes = (const char *)f->nodes;                                                             \
        for (int tree = 0, c = 0; tree < f->trees; tree++, c = c + 1 == f->classes ? 0 : c + 1) {               \
            const NUMBER *x = table;                                                                            \
            for (int64_t row = 0; row < rows; row++, x += width) {                                              \
                const node *n = (const node *)(nodes + f->roots[tree]);                                         \
                for (int step = f->depths[tree]; step > 0; step--) {                                            \
                    double v = x[n->feature];                                                                   \
                    int left = v <= n->threshold;                                                               \
                    if (MISSING) left |= (v != v) & n->kind & MISSING_LEFT;                                     \
                    if (CATEGORIES && n->kind & CATEGORICAL) left = in_set(f, n, v);                            \
                    n = (const node *)(nodes + n->child[left]);                                                 \
                }                                                                                               \
                out[row * f->classes + c] += n->threshold;                                                      \
            }                                                                                                   \
        }                                                                                                       \
    }

#define ROWS(NAME, NUMBER)                                                                                      \
    WALK(NAME##_whole, NUMBER, 0, 0)                                                                            \
    WALK(NAME##_gaps, NUMBER, 1, 0)                                                                             \
    WALK(NAME##_categories, NUMBER, 1, 1)                                                                       \
    void walk_##NAME(const forest *f, const NUMBER *x, int64_t rows, int64_t width, double *out) {              \
        int gaps = 0;                                                                                           \
        for (int64_t at = 0; at < rows * width; at++) gaps |= x[at] != x[at];                                   \
        for (int64_t at = 0; at < rows * f->classes; at++) out[at] = 0;                                         \
        (f->categories ? NAME##_categories : gaps ? NAME##_gaps : NAME##_whole)(f, x, rows, width, out);        \
        for (int64_t row = 0; row < rows; row++) finish(f, out + row * f->classes);                             \
    }

ROWS(doubles, double)
ROWS(singles, float)
