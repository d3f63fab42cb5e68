/*
 * A client of pve-ocid in C, with nothing but the C library. It prints each reply as it is, a line
 * of JSON.
 *
 * usage: client inspect ARCHIVE | extract ARCHIVE ROOTFS | cancel JOB
 * Paths are absolute, and need no escapes in JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MAP "[{\"inside\":0,\"outside\":100000,\"count\":65536}]"
#define CALL(method, parameters) \
    "{\"method\":\"io.pve.oci." method "\",\"more\":true,\"parameters\":{" parameters "}}"

int main(int argc, char **argv)
{
    const char *path = getenv("PVE_OCI_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int connection = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s",
             path ? path : "/run/pve-ocid/io.pve.oci");
    if (connect(connection, (struct sockaddr *)&address, sizeof(address)) < 0) {
        perror(address.sun_path);
        return 69;
    }
    FILE *stream = fdopen(connection, "r+");
    if (argc == 3 && strcmp(argv[1], "inspect") == 0)
        fprintf(stream, CALL("InspectImage", "\"archivePath\":\"%s\""), argv[2]);
    else if (argc == 4 && strcmp(argv[1], "extract") == 0)
        fprintf(stream,
                CALL("ParseAndExtractImage", "\"archivePath\":\"%s\",\"rootDirectory\":\"%s\","
                                             "\"uidMap\":" MAP ",\"gidMap\":" MAP),
                argv[2], argv[3]);
    else if (argc == 3 && strcmp(argv[1], "cancel") == 0)
        fprintf(stream, CALL("CancelJob", "\"id\":\"%s\""), argv[2]);
    else
        return 2;
    fputc(0, stream);
    fflush(stream);

    /* Each reply ends with NUL. Ending this program early closes the connection and cancels the job. */
    char *reply = NULL;
    size_t size = 0;
    while (getdelim(&reply, &size, 0, stream) > 0) {
        puts(reply);
        fflush(stdout);
        if (!strstr(reply, "\"continues\":true"))
            return strstr(reply, "\"error\":") == NULL ? 0 : 1;
    }
    return 69;
}
