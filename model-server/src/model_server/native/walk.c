/* Walks ensembles of decision trees; loaded through ctypes, so there is no Python in it.
 *
 * Every step of a tree is the same loads, comparison and sum, without a branch that a processor could guess wrong: the
 * right child follows the left one, leaves point at themselves, and a tree is walked as many steps as it is deep. Four
 * rows are under way at a time, as none of them has to wait for another.
 */
#include <math.h>
#include <stdint.h>

enum { IDENTITY = 0, SIGMOID = 1, EXPONENT = 2, SOFTMAX = 3 };
enum { MISSING_RIGHT = 1, CATEGORICAL = 2 };

typedef struct {
    double threshold; /* go right above it; of a leaf: infinity; of a category split: the first word of its set */
    double value;     /* of a leaf */
    int64_t next;     /* the left child, of a leaf itself: how many bytes from the first node */
    uint32_t feature;
    uint32_t kind; /* MISSING_RIGHT, CATEGORICAL, and from bit 2 on how many words the set of categories has */
} node;

typedef struct {
    const node *nodes;
    const int64_t *roots; /* in bytes, too */
    const int32_t *depths;
    const uint32_t *sets;
    int32_t trees;
    int32_t classes; /* tree i belongs to class i % classes */
    int32_t link;
    int32_t categories; /* whether any node splits by a set */
    double scale; /* of the sum, before the link */
} forest;

static int in_set(const forest *f, const node *n, double value) {
    if (!(value > -1.0 && value < 32.0 * (n->kind >> 2))) return 0;
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
#define STEP(AT, ROW, MISSING, CATEGORIES)                                                                      \
    {                                                                                                           \
        const node *n = (const node *)(nodes + AT);                                                             \
        double v = (ROW)[n->feature];                                                                           \
        int64_t right = v > n->threshold;                                                                       \
        if (MISSING) right |= (v != v) & n->kind;                                                               \
        if (CATEGORIES && n->kind & CATEGORICAL) right = !in_set(f, n, v);                                      \
        AT = n->next + right * (int64_t)sizeof(node);                                                           \
    }

#define VALUE(AT) (((const node *)(nodes + AT))->value)

#define WALK(NAME, NUMBER, MISSING, CATEGORIES)                                                                 \
    static void NAME(const forest *f, const NUMBER *table, int64_t rows, int64_t width, double *out) {          \
        const char *nodes = (const char *)f->nodes;                                                             \
        int classes = f->classes;                                                                               \
        for (int tree = 0, c = 0; tree < f->trees; tree++, c = c + 1 == classes ? 0 : c + 1) {                  \
            const NUMBER *x = table;                                                                            \
            double *sum = out + c;                                                                              \
            int64_t root = f->roots[tree], row = 0;                                                             \
            int depth = f->depths[tree];                                                                        \
            for (; row + 4 <= rows; row += 4, x += 4 * width, sum += 4 * classes) {                             \
                int64_t one = root, two = root, three = root, four = root;                                      \
                for (int step = depth; step > 0; step--) {                                                      \
                    STEP(one, x, MISSING, CATEGORIES)                                                           \
                    STEP(two, x + width, MISSING, CATEGORIES)                                                   \
                    STEP(three, x + 2 * width, MISSING, CATEGORIES)                                             \
                    STEP(four, x + 3 * width, MISSING, CATEGORIES)                                              \
                }                                                                                               \
                sum[0] += VALUE(one);                                                                           \
                sum[classes] += VALUE(two);                                                                     \
                sum[2 * classes] += VALUE(three);                                                               \
                sum[3 * classes] += VALUE(four);                                                                \
            }                                                                                                   \
            for (; row < rows; row++, x += width, sum += classes) {                                             \
                int64_t at = root;                                                                              \
                for (int step = depth; step > 0; step--) STEP(at, x, MISSING, CATEGORIES)                       \
                *sum += VALUE(at);                                                                              \
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
