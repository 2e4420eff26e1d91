/* Reads JSON lists of numbers into rows; loaded through ctypes, so there is no Python in it.
 *
 * It says no to whatever it does not know to be right (other types, other counts, rare numbers); who asked then reads
 * the same text with a decoder that knows everything. What it does read is rounded as the standard asks.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>

enum { MAY_MISS = 1 }; /* the rest of a column's kind, halved: how many categories it has, 0 for a number */
#define DIGITS 19     /* as many decimal digits always fit into 64 bits */

static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static const char *space(const char *s) {
    while (*s == ' ' || *s == '\n' || *s == '\t' || *s == '\r') s++;
    return s;
}

#ifdef __SIZEOF_INT128__
/* The quotient to 64 bits, the last of them set when anything is left over: it then rounds to a double as the exact
 * quotient would. */
static double divide(uint64_t number, uint64_t by) {
    int up = __builtin_clzll(number), by_up = __builtin_clzll(by);
    number <<= up;
    by <<= by_up;
    int bits = number < by ? 64 : 63;
    unsigned __int128 wide = (unsigned __int128)number << bits;
    uint64_t quotient = (uint64_t)(wide / by);
    quotient |= wide % by != 0;
    return ldexp((double)quotient, by_up - up - bits);
}
#endif

/* number x 10^exponent, or no. Both factors exact in doubles: one operation rounds, and does it rightly. */
static int scaled(uint64_t number, int exponent, double *out) {
    if (exponent == 0 || number == 0) {
        *out = (double)number;
        return 1;
    }
    if (FLT_EVAL_METHOD == 0 && number <= (uint64_t)1 << 53 && exponent >= -22 && exponent <= 22) {
        *out = exponent < 0 ? (double)number / POWERS[-exponent] : (double)number * POWERS[exponent];
        return 1;
    }
#ifdef __SIZEOF_INT128__
    if (exponent < 0 && exponent >= -DIGITS) {
        uint64_t by = 1;
        for (int power = exponent; power < 0; power++) by *= 10;
        *out = divide(number, by);
        return 1;
    }
#endif
    return 0;
}

/* Returns what follows the number, or NULL. */
static const char *number(const char *s, double *out) {
    int minus = *s == '-', digits = 0, exponent = 0;
    uint64_t found = 0;
    s += minus;
    if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9')) return 0;
    for (; *s >= '0' && *s <= '9'; s++, digits += found != 0) found = 10 * found + (uint64_t)(*s - '0');
    if (*s == '.') {
        s++;
        if (*s < '0' || *s > '9') return 0;
        for (; *s >= '0' && *s <= '9'; s++, exponent--, digits += found != 0) found = 10 * found + (uint64_t)(*s - '0');
    }
    if (digits > DIGITS) return 0;
    if (*s == 'e' || *s == 'E') {
        int down = s[1] == '-', power = 0, most = 3;
        s += 1 + (s[1] == '-' || s[1] == '+');
        if (*s < '0' || *s > '9') return 0;
        for (; *s >= '0' && *s <= '9' && most > 0; s++, most--) power = 10 * power + (*s - '0');
        exponent += down ? -power : power;
    }
    if (!scaled(found, exponent, out)) return 0;
    if (minus) *out = -*out;
    return s;
}

static const char *value(const char *s, int32_t kind, double *out) {
    if (*s == 'n') {
        *out = NAN;
        return kind & MAY_MISS && s[1] == 'u' && s[2] == 'l' && s[3] == 'l' ? s + 4 : 0;
    }
    s = number(s, out);
    if (!s || kind <= MAY_MISS) return s;
    return *out >= 0 && *out < (kind >> 1) && *out == (int32_t)*out ? s : 0;
}

static const char *expect(const char *s, char wanted) {
    s = space(s);
    return *s == wanted ? space(s + 1) : 0;
}

/* Reads rows x width numbers from a text that ends with a zero byte: a flat list, or one of a list for each row.
 * Returns 1, or 0 when another has to read it. */
#define ROWS(NAME, NUMBER)                                                                                      \
    int scan_##NAME(const char *s, int64_t rows, int64_t width, const int32_t *kinds, NUMBER *out) {            \
        double found;                                                                                           \
        if (!(s = expect(s, '['))) return 0;                                                                    \
        int nested = *s == '[';                                                                                 \
        for (int64_t row = 0; row < rows; row++) {                                                              \
            if (row && !(s = expect(s, ','))) return 0;                                                         \
            if (nested && !(s = expect(s, '['))) return 0;                                                      \
            for (int64_t column = 0; column < width; column++) {                                                \
                if (column && !(s = expect(s, ','))) return 0;                                                  \
                if (!(s = value(s, kinds[column], &found))) return 0;                                           \
                *out++ = (NUMBER)found;                                                                         \
            }                                                                                                   \
            if (nested && !(s = expect(s, ']'))) return 0;                                                      \
        }                                                                                                       \
        s = expect(s, ']');                                                                                     \
        return s && *s == 0;                                                                                    \
    }

ROWS(doubles, double)
ROWS(singles, float)
