/* A test that passes and leaks. Only planted_leak.sh runs it, to show that the way the tests are run would not let it through. */
#include <criterion/criterion.h>
#include <stdlib.h>

static void *volatile lost;

Test(planted, leak)
{
    lost = malloc(4321);
    cr_assert_not_null((void *)lost);
    lost = NULL;
}
