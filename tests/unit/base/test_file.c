/* Replacing a file. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "weft/base/file.h"

static char folder[] = "/tmp/weft-file-XXXXXX";

static int write_file(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_true(dprintf(fd, "%s", text) > 0);
    return fd;
}

static void assert_holds(const char *name, const char *text)
{
    char buffer[64] = "";
    FILE *file = fopen(name, "r");

    assert_non_null(file);
    assert_non_null(fgets(buffer, sizeof(buffer), file));
    fclose(file);
    assert_string_equal(text, buffer);
}

static void the_new_file_stands_in_the_place_of_the_old(void **state)
{
    int old, new;

    assert_int_equal(0, chdir(folder));
    old = write_file("target", "old");
    new = write_file("target.new", "new");
    assert_int_equal(0, file_replace(new, "target.new", "target"));
    assert_holds("target", "new");
    assert_int_equal(-1, access("target.new", F_OK));
    close(old);
    close(new);
}

static void a_target_may_be_new_and_its_path_absolute(void **state)
{
    char from[64], to[64];
    int fd;

    snprintf(from, sizeof(from), "%s/first.new", folder);
    snprintf(to, sizeof(to), "%s/first", folder);
    fd = write_file(from, "1");
    assert_int_equal(0, file_replace(fd, from, to));
    assert_holds(to, "1");
    close(fd);
}

static void what_fails_is_said_and_the_old_file_stays(void **state)
{
    int fd;

    assert_int_equal(0, chdir(folder));
    fd = write_file("target", "old");
    assert_int_equal(-ENOENT, file_replace(fd, "nothing", "target"));
    assert_int_equal(-EBADF, file_replace(-1, "target", "elsewhere"));
    assert_holds("target", "old");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_new_file_stands_in_the_place_of_the_old),
        cmocka_unit_test(a_target_may_be_new_and_its_path_absolute),
        cmocka_unit_test(what_fails_is_said_and_the_old_file_stays),
    };
    int failed;

    if (!mkdtemp(folder))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (chdir(folder) == 0) {
        unlink("target");
        unlink("first");
    }
    rmdir(folder);
    return failed;
}
