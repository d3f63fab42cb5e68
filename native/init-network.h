/* What a container's network needs before its command starts. */
#ifndef INIT_NETWORK_H
#define INIT_NETWORK_H

/*
 * Brings the loopback device up, and lets every user open low ports and send pings. Does nothing in a network
 * namespace that the container shares with the host, nor where the kernel does not permit it.
 */
void prepare_network(void);

#endif
