/*
 * Loopback, low ports and ping.
 *
 * Only a network namespace of the container's own may be changed. In an unprivileged container the kernel sees to
 * that, because the host's namespace does not belong to the container's user namespace. In a privileged one with
 * lxc.net.0.type = none this process could change the host's settings, so it looks for two signs of the host:
 *
 * - Some settings exist in the kernel's first network namespace alone, net.core.netdev_max_backlog is one.
 * - The host may itself run in a later namespace. Then the monitor of this container, lxc-start, listens on an abstract
 *   socket whose name ends with "/command", and /proc/net/unix lists the sockets of one's own namespace only.
 *
 * Without /proc neither can be seen, and nothing is changed.
 */

#include "init-network.h"

#include "init-system.h"

#define AF_INET 2
#define SOCK_DGRAM 2
#define SOCK_CLOEXEC 02000000
#define SIOCGIFFLAGS 0x8913
#define SIOCSIFFLAGS 0x8914
#define IFF_UP 1

#define MAX_SOCKETS_SIZE (1024 * 1024)
#define MAX_ID 2147483647UL

/* struct ifreq */
struct interface_request {
    char name[16];
    short flags;
    char rest[22];
};

static bool is_own_namespace(void)
{
    static char sockets[MAX_SOCKETS_SIZE];
    static const char ending[] = "/command\n";
    struct file_status status;
    if (get_status(AT_FDCWD, "/proc/sys/net/core/netdev_max_backlog", &status) != -ENOENT)
        return false;
    long size = read_file("/proc/net/unix", sockets, sizeof(sockets) - 1);
    if (size <= 0 || size == (long)sizeof(sockets) - 1)
        return false;
    bool is_abstract = false;
    for (const char *at = sockets; *at; at++) {
        if (*at == '\n')
            is_abstract = false;
        else if (*at == '@')
            is_abstract = true;
        if (is_abstract && starts_with(at, ending))
            return false;
    }
    return true;
}

static void raise_loopback(void)
{
    struct interface_request request = {.name = "lo"};
    long fd = system_call(SOCKET, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return;
    if (system_call(IOCTL, fd, SIOCGIFFLAGS, (long)&request, 0, 0) == 0 && !(request.flags & IFF_UP)) {
        request.flags |= IFF_UP;
        system_call(IOCTL, fd, SIOCSIFFLAGS, (long)&request, 0, 0);
    }
    system_call(CLOSE, fd, 0, 0, 0, 0);
}

static bool has_value(const char *path, const char *value)
{
    char now[32] = {0};
    return read_file(path, now, sizeof(now) - 1) > 0 && are_equal(now, value);
}

static bool write_value(const char *path, const char *value)
{
    long fd = system_call(OPENAT, AT_FDCWD, (long)path, O_WRONLY | O_CLOEXEC, 0, 0);
    if (fd < 0)
        return false;
    long written = system_call(WRITE, fd, (long)value, (long)length_of(value), 0, 0);
    system_call(CLOSE, fd, 0, 0, 0, 0);
    return written > 0;
}

/* Skips to the next number and reads it; 0 at the end of the text. */
static unsigned long next_number(const char **at)
{
    unsigned long value = 0;
    while (**at && (**at < '0' || **at > '9'))
        (*at)++;
    for (; **at >= '0' && **at <= '9'; (*at)++)
        value = value * 10 + (unsigned long)(**at - '0');
    return value;
}

/* The largest group id that the container has: its user namespace knows none beyond its map. */
static unsigned long largest_group(void)
{
    static char map[4096]; /* lines of: id inside, id outside, count */
    unsigned long largest = 0;
    if (read_file("/proc/self/gid_map", map, sizeof(map) - 1) < 0)
        return 0;
    for (const char *at = map; *at;) {
        unsigned long inside = next_number(&at);
        next_number(&at);
        unsigned long count = next_number(&at);
        if (count > 0 && inside + count - 1 > largest)
            largest = inside + count - 1;
    }
    return largest > MAX_ID ? MAX_ID : largest;
}

/* What is not the kernel's default was set by an administrator, as lxc.sysctl.net, and stays. */
static void open_ports(void)
{
    static const char path[] = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    if (has_value(path, "1024\n"))
        write_value(path, "0");
}

/* The default is an empty range; a user namespace that does not have these ids shows the overflow id for both. */
static void open_ping(void)
{
    static const char path[] = "/proc/sys/net/ipv4/ping_group_range";
    char number[24], range[2 + 24] = "0 ";
    if (!has_value(path, "1\t0\n") && !has_value(path, "65534\t65534\n"))
        return;
    if (write_value(path, "0 2147483647"))
        return;
    const char *digits = format_number(largest_group(), 10, number);
    for (size_t i = 0; i <= length_of(digits); i++)
        range[2 + i] = digits[i];
    write_value(path, range);
}

void prepare_network(void)
{
    if (!is_own_namespace())
        return;
    raise_loopback();
    open_ports();
    open_ping();
}
