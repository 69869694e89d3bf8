/* Connects to the port it is given, takes the snippet, and waits to be looked at. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **words)
{
    struct sockaddr_in peer = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (count != 2)
        return 2;
    peer.sin_port = htons((unsigned short)atoi(words[1]));
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) != 0 || set_keepalive(fd) != 0)
        return 1;
    pause();
    return 0;
}
