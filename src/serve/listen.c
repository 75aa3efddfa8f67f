/* SPDX-License-Identifier: Apache-2.0 */
/* See listen.h. */
#include "serve/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static ellm_status fail(ellm_error *err, ellm_status status, const char *where, const char *why) {
  snprintf(err->message, sizeof err->message, "cannot listen on %.200s: %.200s", where, why);
  err->status = status;
  return status;
}

static ellm_status open_unix(const char *path, int *listener, ellm_error *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct stat facts;
  if (strlen(path) >= sizeof address.sun_path) return fail(err, ELLM_ERR_USAGE, path, "the name is too long");
  strcpy(address.sun_path, path);
  if (lstat(path, &facts) == 0) {
    if (!S_ISSOCK(facts.st_mode)) return fail(err, ELLM_ERR_IO, path, "there is a file of this name");
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool served = probe >= 0 && connect(probe, (struct sockaddr *)&address, sizeof address) == 0;
    if (probe >= 0) close(probe);
    if (served) return fail(err, ELLM_ERR_IO, path, "another server listens there");
    unlink(path);
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, SOMAXCONN) != 0) {
    const int code = errno;
    if (fd >= 0) close(fd);
    return fail(err, ELLM_ERR_IO, path, strerror(code));
  }
  *listener = fd;
  return ELLM_OK;
}

static int try_address(const struct addrinfo *a) {
  const int yes = 1, fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
  const int code = errno;
  close(fd);
  errno = code;
  return -1;
}

static ellm_status open_host(const serve_options *o, int *listener, int *port, ellm_error *err) {
  char number[16], where[220];
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
  snprintf(number, sizeof number, "%d", o->port);
  snprintf(where, sizeof where, "%.180s, port %d", o->host, o->port);
  const int code = getaddrinfo(o->host, number, &hints, &found);
  if (code != 0) return fail(err, ELLM_ERR_USAGE, where, gai_strerror(code));
  int fd = -1, last = 0;
  for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
    fd = try_address(a);
    last = errno;
  }
  freeaddrinfo(found);
  if (fd < 0) return fail(err, ELLM_ERR_IO, where, strerror(last));
  union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; struct sockaddr_storage room; } own;
  socklen_t length = sizeof own;
  *port = o->port;
  if (getsockname(fd, &own.any, &length) == 0)
    *port = ntohs(own.any.sa_family == AF_INET6 ? own.v6.sin6_port : own.v4.sin_port);
  *listener = fd;
  return ELLM_OK;
}

ellm_status listen_open(const serve_options *o, int *listener, char place[256], ellm_error *err) {
  int port;
  if (o->unix_path) {
    snprintf(place, 256, "unix:%.200s", o->unix_path);
    return open_unix(o->unix_path, listener, err);
  }
  const ellm_status status = open_host(o, listener, &port, err);
  const char *open = strchr(o->host, ':') ? "[" : "", *close_ = *open ? "]" : "";
  if (status == ELLM_OK) snprintf(place, 256, "http://%s%.200s%s:%d", open, o->host, close_, port);
  return status;
}
