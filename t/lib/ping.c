/* Test program, static: sends one ping to 127.0.0.1 as any user may; exits with 0 when it is answered. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct icmphdr header = {.type = ICMP_ECHO};
	struct timeval patience = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0
	    || sendto(fd, &header, sizeof(header), 0, (struct sockaddr *)&address, sizeof(address)) < 0
	    || recv(fd, &header, sizeof(header), 0) < 0) {
		perror("ping");
		return 1;
	}
	puts("answered");
	return 0;
}
