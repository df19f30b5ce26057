/* What the libraries that stand before the C library's calls have in common. */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>

#define EXPORT __attribute__((visibility("default")))

/* The mode that open() is given if it makes a file. O_TMPFILE would not do: it has the bit of O_DIRECTORY in it. */
#define MODE_ARGUMENT                            \
    mode_t mode = 0;                             \
    if (flags & (O_CREAT | __O_TMPFILE)) {       \
        va_list more;                            \
        va_start(more, flags);                   \
        mode = va_arg(more, mode_t);             \
        va_end(more);                            \
    }
