/* What the program says on standard error. */
#include "test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weft/base/log.h"

/* The line that 'text' becomes. */
static const char *logged(const char *text)
{
    static char line[4096];
    int file = memfd_create("log", MFD_CLOEXEC), before = dup(STDERR_FILENO);
    ssize_t size;

    assert_true(file >= 0 && before >= 0);
    dup2(file, STDERR_FILENO);
    log_error("port '%s' came", text);
    dup2(before, STDERR_FILENO);
    size = pread(file, line, sizeof(line) - 1, 0);
    close(file);
    close(before);
    assert_true(size > 0);
    line[size] = '\0';
    return strstr(line, "port '");
}

static void a_name_cannot_make_lines_or_move_the_cursor(void **state)
{
    assert_string_equal(logged("blue"), "port 'blue' came\n");
    assert_string_equal(logged("a\nerror: b\r\t\033[2J\177"), "port 'a error: b   [2J ' came\n");
    assert_string_equal(logged("\302\2332J\302\205"), "port '  2J  ' came\n");
    assert_string_equal(logged("f\303\274nf \302\240\346\274\242"), "port 'f\303\274nf \302\240\346\274\242' came\n");
}

static void a_long_line_is_cut_and_still_one(void **state)
{
    char text[5000];
    const char *line;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    line = logged(text);
    assert_true(strlen(line) > 1000 && strlen(line) < 2048);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_cannot_make_lines_or_move_the_cursor),
        cmocka_unit_test(a_long_line_is_cut_and_still_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
