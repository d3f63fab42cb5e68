/* Creates a Java virtual machine by native/jvm.c, forks, creates another, prints what that says: two-jvms LIBJVM */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jvm.h"

int main(int argc, char **argv)
{
    char *options[] = {"-Xmx16m", "-Xrs"};
    struct jvm_call call = {
        .library = argv[argc - 1], .options = options, .option_count = 2, .main_class = "no/such/Class"};

    if (jvm_run(&call) == NULL) /* fails, but behind the creation */
        return 1;
    if (fork() == 0) {
        const char *failed = jvm_run(&call);
        return puts(failed == NULL ? "created" : failed) < 0;
    }
    return wait(NULL) < 0;
}
