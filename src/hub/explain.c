/* SPDX-License-Identifier: Apache-2.0 */
/* See explain.h. */
#include "hub/explain.h"

#include <string.h>

ellm_status hub_explain_status(const char *endpoint, long status, const char *code, bool with_token, const char *what,
                               ellm_error *err) {
  const bool gated = strcmp(code, "GatedRepo") == 0;
  if (gated && with_token)
    return prog_failure(err, ELLM_ERR_IO, "%s: access is gated, and this token has no access (%ld): ask for it on the "
                        "model's page at %s", what, status, endpoint);
  if (gated)
    return prog_failure(err, ELLM_ERR_IO, "%s: access is gated (%ld): ask for it on the model's page at %s, then set "
                        "HF_TOKEN to a token of yours", what, status, endpoint);
  switch (status) {
    case 401:
      if (with_token)
        return prog_failure(err, ELLM_ERR_IO, "%s: the hub does not accept the token (401): make a new one at "
                            "%s/settings/tokens and set HF_TOKEN to it", what, endpoint);
      return prog_failure(err, ELLM_ERR_IO, "%s: the hub requires a token (401), since it "
                                            "is private or does not exist: "
                          "make one at %s/settings/tokens and set HF_TOKEN to it", what, endpoint);
    case 403:
      return prog_failure(err, ELLM_ERR_IO, "%s: access is denied (403): %s", what,
                          with_token ? "this token may not read it" : "set HF_TOKEN to a token that may read it");
    case 404:
      if (strcmp(code, "RevisionNotFound") == 0)
        return prog_failure(err, ELLM_ERR_IO, "%s: there is no such revision (404)", what);
      return prog_failure(err, ELLM_ERR_IO, "%s: is not at %s (404)", what, endpoint);
    case 416: return prog_failure(err, ELLM_ERR_IO, "%s: the hub has another number of bytes (416)", what);
    case 429: return prog_failure(err, ELLM_ERR_IO, "%s: the hub has had too many requests from here (429)", what);
    default: return prog_failure(err, ELLM_ERR_IO, "%s: the server answers %ld", what, status);
  }
}

static bool is_cut(CURLcode code) {
  switch (code) {
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY: return true;
    default: return false;
  }
}

static bool is_unreachable(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_CONNECT ||
         code == CURLE_OPERATION_TIMEDOUT || code == CURLE_SSL_CONNECT_ERROR;
}

ellm_status hub_explain_curl(CURLU *url, CURLcode code, const char *why, const char *what, bool reached, bool *again,
                             ellm_error *err) {
  char *host = NULL;
  if (code == CURLE_ABORTED_BY_CALLBACK) return prog_failure(err, ELLM_INTERRUPTED, "interrupted");
  if (code == CURLE_OUT_OF_MEMORY) return prog_failure_memory(err, 0, "a request");
  if (why[0] == '\0') why = curl_easy_strerror(code);
  *again = is_cut(code) || (reached && is_unreachable(code));
  if (is_cut(code)) return prog_failure(err, ELLM_ERR_IO, "%s: the connection was cut (%s)", what, why);
  if (!is_unreachable(code)) return prog_failure(err, ELLM_ERR_IO, "%s: %s", what, why);
  const bool named = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK;
  prog_set_error(err, ELLM_ERR_IO, "%s: cannot reach %s: %s", what, named ? host : "the hub", why);
  curl_free(host);
  return ELLM_ERR_IO;
}
