/* Counts rows by the bins of their columns; loaded through ctypes, so there is no Python in it. */
#include <math.h>
#include <stdint.h>

typedef struct {
    const double *bounds;       /* of all columns, one after another; ascending within a column */
    const int32_t *first_bound; /* of each column; of a column behind the last one, too */
    const int32_t *first_bin;   /* the same; a column's last bin is that of missing values */
    const int32_t *categories;  /* how many a column has, 0 for a number */
    int64_t *bins;
    double *sums;
    double *squares;
} columns;

/* One absurd value must not turn the sums to infinity for ever: they are left as they are when that would happen. */
static void add(const columns *c, int64_t column, double sum, double square) {
    if (!isfinite(sum) || !isfinite(square)) return;
    c->sums[column] += sum;
    c->squares[column] += square;
}

#define ROWS(NAME, NUMBER)                                                                                      \
    void count_##NAME(const columns *c, const NUMBER *table, int64_t rows, int64_t width) {                     \
        for (int64_t column = 0; column < width; column++) {                                                    \
            const double *bounds = c->bounds + c->first_bound[column];                                          \
            int32_t many = c->first_bound[column + 1] - c->first_bound[column];                                 \
            int64_t *bins = c->bins + c->first_bin[column];                                                     \
            int32_t missing = c->first_bin[column + 1] - c->first_bin[column] - 1;                              \
            int32_t last = c->categories[column] - 1;                                                           \
            double sum = 0, square = 0;                                                                         \
            for (const NUMBER *at = table + column, *end = at + rows * width; at < end; at += width) {          \
                double v = *at;                                                                                 \
                int32_t bin = 0;                                                                                \
                if (v != v) {                                                                                   \
                    bins[missing]++;                                                                            \
                    continue;                                                                                   \
                }                                                                                               \
                if (last >= 0) bin = v >= last ? last : v > 0 ? (int32_t)v : 0;                                 \
                else for (int32_t bound = 0; bound < many; bound++) bin += v > bounds[bound];                   \
                bins[bin]++;                                                                                    \
                sum += v;                                                                                       \
                square += v * v;                                                                                \
            }                                                                                                   \
            add(c, column, sum, square);                                                                        \
        }                                                                                                       \
    }

ROWS(doubles, double)
ROWS(singles, float)
