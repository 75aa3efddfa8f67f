/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See http.h. Redirects are followed here, not by libcurl, since each must be checked; headers are read here, too, with
 * limits. What a sink or a check finds wrong while libcurl calls us is kept in the hop and told once libcurl is back.
 */
#include "hub/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "hub/explain.h"

enum { MAX_HOPS = 8, MAX_HEADER_BYTES = 64 << 10, MAX_HEADERS = 200, MAX_IDLE_BODY = 1 << 20, MAX_WAIT = 300,
       CONNECT_SECONDS = 15, READ_BYTES = 256 << 10 };

typedef struct hop {
  hub_http *http;
  const hub_request *request;
  hub_response *response;
  bool ours;              /* of the endpoint: its headers count, it gets the token */
  bool begun;             /* the sink knows of this answer */
  bool hopeless;          /* more than we read; the answer itself is known */
  size_t header_bytes, headers, idle_bytes;
  ellm_error error;       /* .status ELLM_OK: none */
} hop;

/* ---------------------------------------------------------------- endpoints */

static bool url_part(CURLU *url, CURLUPart part, char *out, size_t room) {
  char *text = NULL;
  out[0] = '\0';
  if (curl_url_get(url, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) != CURLUE_OK) return false;
  const bool fits = strlen(text) < room;
  if (fits) strcpy(out, text);
  curl_free(text);
  return fits;
}

static bool is_scheme(CURLU *url, const char *wanted) {
  char scheme[16];
  return url_part(url, CURLUPART_SCHEME, scheme, sizeof scheme) && strcasecmp(scheme, wanted) == 0;
}

static bool is_loopback(CURLU *url) {
  char host[260];
  unsigned parts[4];
  int used = 0;
  if (!url_part(url, CURLUPART_HOST, host, sizeof host)) return false;
  if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) return true;
  return sscanf(host, "%3u.%3u.%3u.%3u%n", &parts[0], &parts[1], &parts[2], &parts[3], &used) == 4 &&
         host[used] == '\0' && parts[0] == 127;
}

static bool same_origin(CURLU *a, CURLU *b) {
  static const CURLUPart kinds[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char x[260], y[260];
    if (!url_part(a, kinds[i], x, sizeof x) || !url_part(b, kinds[i], y, sizeof y) || strcasecmp(x, y) != 0)
      return false;
  }
  return true;
}

static ellm_status open_endpoint(hub_http *http, ellm_error *err) {
  const char *text = http->options->endpoint != NULL ? http->options->endpoint : HUB_ENDPOINT;
  char part[8];
  size_t bytes = strlen(text);
  while (bytes > 0 && text[bytes - 1] == '/') bytes--;
  if (bytes == 0 || bytes >= sizeof http->base)
    return prog_failure(err, ELLM_ERR_USAGE, "the endpoint '%s' is not a URL", text);
  memcpy(http->base, text, bytes);
  http->base[bytes] = '\0';
  http->endpoint = curl_url();
  if (http->endpoint == NULL) return prog_failure_memory(err, 0, "a URL");
  const bool parsed = curl_url_set(http->endpoint, CURLUPART_URL, http->base, 0) == CURLUE_OK;
  if (!parsed || !(is_scheme(http->endpoint, "https") || is_scheme(http->endpoint, "http")))
    return prog_failure(err, ELLM_ERR_USAGE, "the endpoint '%s' is not a URL of https or http", text);
  if (url_part(http->endpoint, CURLUPART_USER, part, sizeof part) || part[0] != '\0' ||
      strpbrk(http->base, "?#@") != NULL)
    return prog_failure(err, ELLM_ERR_USAGE, "the endpoint must be scheme, host and path, nothing more");
  const ellm_notes *notes = &http->options->notes;
  if (http->options->token != NULL && is_scheme(http->endpoint, "http") && !is_loopback(http->endpoint) &&
      notes->take != NULL)
    notes->take(notes->user, "the endpoint does not use https: everybody could read the token");
  return ELLM_OK;
}

ellm_status hub_http_open(hub_http *http, const hub_options *options, ellm_error *err) {
  *http = (hub_http){.options = options};
  if (options->token != NULL)
    for (const char *c = options->token; *c != '\0'; c++)
      if (*c <= 0x20 || *c >= 0x7f)
        return prog_failure(err, ELLM_ERR_USAGE, "the token holds a character that no token has");
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return prog_failure(err, ELLM_ERR_IO, "libcurl does not start");
  http->curl = curl_easy_init();
  if (http->curl == NULL) return prog_failure_memory(err, 0, "libcurl");
  return open_endpoint(http, err);
}

void hub_http_close(hub_http *http) {
  if (http->curl != NULL) curl_easy_cleanup(http->curl);
  curl_url_cleanup(http->endpoint);
  *http = (hub_http){0};
}

/* ------------------------------------------------------------------ headers */

/* Of a line that is not NUL-terminated, without its end. */
static size_t shown_bytes(const char *line, size_t bytes) {
  size_t n = 0;
  while (n < bytes && n < 80 && line[n] != '\r' && line[n] != '\n') n++;
  return n;
}

static size_t on_header(char *line, size_t one, size_t bytes, void *user) {
  hop *h = user;
  (void)one;
  if (bytes > 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new answer: of an interim one nothing counts */
    h->response->location[0] = '\0';
    h->response->length = -1;
    h->response->ranged = false;
  }
  h->header_bytes += bytes;
  if (++h->headers > MAX_HEADERS || h->header_bytes > MAX_HEADER_BYTES)
    prog_set_error(&h->error, ELLM_ERR_INPUT, "%s: the server sends endless headers", h->request->what);
  if (h->error.status == ELLM_OK && !hub_read_header(h->response, h->ours, line, bytes))
    prog_set_error(&h->error, ELLM_ERR_INPUT, "%s: the server says '%.*s', which makes no sense", h->request->what,
                   (int)shown_bytes(line, bytes), line);
  return h->error.status == ELLM_OK ? bytes : 0;
}

/* --------------------------------------------------------------------- body */

static bool is_body(const hop *h) {
  long status = 0;
  curl_easy_getinfo(h->http->curl, CURLINFO_RESPONSE_CODE, &status);
  h->response->status = status;
  return h->request->sink != NULL && (status == 200 || status == 206);
}

static ellm_status begin_body(hop *h) {
  const hub_sink *sink = h->request->sink;
  if (h->begun) return ELLM_OK;
  h->begun = true;
  return sink->begin(sink->user, h->response, &h->error);
}

static size_t on_body(char *data, size_t one, size_t bytes, void *user) {
  hop *h = user;
  (void)one;
  if (!is_body(h)) { /* a page about an error or a redirect */
    h->idle_bytes += bytes;
    h->hopeless = h->idle_bytes > MAX_IDLE_BODY;
    return h->hopeless ? 0 : bytes;
  }
  const hub_sink *sink = h->request->sink;
  ellm_status status = begin_body(h);
  if (status == ELLM_OK) status = sink->take(sink->user, data, bytes, &h->error);
  return status == ELLM_OK ? bytes : 0;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
  const hub_http *http = user;
  (void)total, (void)now, (void)up_total, (void)up_now;
  return http->tick != NULL && !http->tick(http->tick_user);
}

/* --------------------------------------------------------------------- hops */

static struct curl_slist *add_token(const hub_http *http, struct curl_slist *list) {
  const size_t room = strlen(http->options->token) + 40;
  char *line = malloc(room);
  if (line == NULL) return NULL;
  snprintf(line, room, "Authorization: Bearer %s", http->options->token);
  struct curl_slist *longer = curl_slist_append(list, line);
  free(line);
  return longer;
}

static void set_up(hop *h, CURLU *url, uint64_t from) {
  CURL *curl = h->http->curl;
  const hub_options *options = h->http->options;
  curl_easy_reset(curl);
  curl_easy_setopt(curl, CURLOPT_CURLU, url);
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_NOBODY, h->request->sink == NULL ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)options->timeout);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)READ_BYTES);
  curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "entrollm");
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, h);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, h);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, h->http);
  if (is_loopback(url)) curl_easy_setopt(curl, CURLOPT_PROXY, "");
  if (options->ca_file != NULL) curl_easy_setopt(curl, CURLOPT_CAINFO, options->ca_file);
  if (from > 0) {
    char range[32];
    snprintf(range, sizeof range, "%llu-", (unsigned long long)from);
    curl_easy_setopt(curl, CURLOPT_RANGE, range);
  }
}

/* One answer of one host. `again`: what failed may do so for a moment only. */
static ellm_status take_hop(hop *h, CURLU *url, uint64_t from, bool *again, ellm_error *err) {
  CURL *curl = h->http->curl;
  char why[CURL_ERROR_SIZE] = "";
  struct curl_slist *headers = curl_slist_append(NULL, "Accept-Encoding: identity");
  struct curl_slist *more = headers != NULL && h->ours && h->http->options->token != NULL ? add_token(h->http, headers)
                                                                                           : headers;
  if (more == NULL) {
    curl_slist_free_all(headers);
    return prog_failure_memory(err, 0, "a request");
  }
  set_up(h, url, from);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, more);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
  const CURLcode code = curl_easy_perform(curl);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
  curl_slist_free_all(more);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &h->response->status);
  if (h->response->status != 0) h->http->reached = true;
  if (code == CURLE_OK && is_body(h)) begin_body(h); /* of a file without a byte */
  if (h->error.status != ELLM_OK) {
    if (err != NULL) *err = h->error;
    return h->error.status;
  }
  if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && h->hopeless)) return ELLM_OK;
  return hub_explain_curl(url, code, why, h->request->what, h->http->reached, again, err);
}

/* Where the answer sends: into `url`, if we go there. */
static ellm_status next_url(const hub_http *http, const hub_request *request, const hub_response *response, CURLU *url,
                            ellm_error *err) {
  char host[260] = "", user[8];
  if (response->location[0] == '\0')
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the server redirects (%ld) and does not say where to", request->what,
                        response->status);
  if (curl_url_set(url, CURLUPART_URL, response->location, 0) != CURLUE_OK)
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the server redirects to '%.100s', which is not a URL", request->what,
                        response->location);
  url_part(url, CURLUPART_HOST, host, sizeof host);
  if (url_part(url, CURLUPART_USER, user, sizeof user) || user[0] != '\0')
    return prog_failure(err, ELLM_ERR_INPUT, "%s: the server redirects to %s with a user's name: refused",
                        request->what, host);
  const bool local = is_scheme(url, "http") && is_loopback(url) && is_loopback(http->endpoint);
  if (is_scheme(url, "https") || local || same_origin(url, http->endpoint)) return ELLM_OK;
  return prog_failure(err, ELLM_ERR_INPUT, "%s: the server redirects to %s, and not by https: refused", request->what,
                      host);
}

static bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static ellm_status take_hops(hub_http *http, const hub_request *request, CURLU *url, uint64_t from,
                             hub_response *response, bool *again, ellm_error *err) {
  for (int count = 0; count < MAX_HOPS; count++) {
    hop h = {.http = http, .request = request, .response = response, .ours = same_origin(url, http->endpoint)};
    PROG_TRY(take_hop(&h, url, from, again, err));
    if (!is_redirect(response->status)) return ELLM_OK;
    PROG_TRY(next_url(http, request, response, url, err));
    response->elsewhere = !same_origin(url, http->endpoint);
    if (request->sink == NULL && response->elsewhere) return ELLM_OK;
  }
  return prog_failure(err, ELLM_ERR_INPUT, "%s: the server redirects endlessly", request->what);
}

/* ------------------------------------------------------------------- trying */

/* One try: an answer of success, or an error that says what came instead. */
static ellm_status try_once(hub_http *http, const hub_request *request, uint64_t from, hub_response *response,
                            bool *again, ellm_error *err) {
  CURLU *url = curl_url();
  *response = (hub_response){.linked_size = -1, .length = -1};
  *again = false;
  if (url == NULL || curl_url_set(url, CURLUPART_URL, request->url, 0) != CURLUE_OK) {
    curl_url_cleanup(url);
    return prog_failure(err, ELLM_ERR_USAGE, "%s: '%.200s' is not a URL", request->what, request->url);
  }
  ellm_status status = take_hops(http, request, url, from, response, again, err);
  curl_url_cleanup(url);
  PROG_TRY(status);
  const hub_sink *sink = request->sink;
  if (response->status == 200 || response->status == 206 || (sink == NULL && response->elsewhere)) {
    *again = sink != NULL && !sink->whole(sink->user);
    return *again ? prog_failure(err, ELLM_ERR_IO, "%s: the connection was cut", request->what) : ELLM_OK;
  }
  if (response->status == 416 && from > 0 && sink != NULL) {
    PROG_TRY(sink->begin(sink->user, response, err));
    *again = true;
  }
  *again = *again || response->status == 408 || response->status == 429 || response->status >= 500;
  return hub_explain_status(http->base, response->status, response->code, http->options->token != NULL, request->what,
                            err);
}

/* False: the caller stops. */
static bool pause_for(const hub_http *http, double seconds) {
  const struct timespec step = {.tv_nsec = 50000000};
  for (double passed = 0; passed < seconds; passed += 0.05) {
    if (http->tick != NULL && !http->tick(http->tick_user)) return false;
    nanosleep(&step, NULL);
  }
  return true;
}

/* Seconds until the next try: what the server asks for, or 0.5, 1, 2, ... up to 30. */
static double waiting_time(CURL *curl, int failures) {
  curl_off_t asked = 0;
  if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &asked) == CURLE_OK && asked > 0) return (double)asked;
  const double seconds = 0.5 * (double)(1 << (failures < 7 ? failures - 1 : 6));
  return seconds < 30 ? seconds : 30;
}

ellm_status hub_http_run(hub_http *http, const hub_request *request, hub_response *response, ellm_error *err) {
  const hub_sink *sink = request->sink;
  ellm_error local;
  if (err == NULL) err = &local;
  for (int failures = 0;;) {
    bool again;
    const uint64_t from = sink != NULL ? sink->have(sink->user) : 0;
    const ellm_status status = try_once(http, request, from, response, &again, err);
    if (status == ELLM_OK || !again) return status;
    failures = sink != NULL && sink->have(sink->user) > from ? 1 : failures + 1;
    char reason[sizeof err->message];
    strcpy(reason, err->message);
    const double seconds = waiting_time(http->curl, failures);
    if (failures > http->options->retries || seconds > MAX_WAIT) {
      if (seconds > MAX_WAIT)
        return prog_failure(err, status, "%.380s; it asks to wait %.0f s", reason, seconds);
      return prog_failure(err, status, "%.400s; gave up after %d tries", reason, failures);
    }
    if (http->options->notes.take != NULL) {
      char line[sizeof err->message + 60];
      snprintf(line, sizeof line, "%s; trying again in %.1f s", reason, seconds);
      http->options->notes.take(http->options->notes.user, line);
    }
    if (!pause_for(http, seconds)) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
  }
}
