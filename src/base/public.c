/* SPDX-License-Identifier: Apache-2.0 */
/* Small functions of the public header. */
#include "base/threads.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *ellm_version(void) {
  return TEXT(ELLM_VERSION_MAJOR) "." TEXT(ELLM_VERSION_MINOR) "." TEXT(ELLM_VERSION_PATCH);
}

int ellm_abi(void) { return ELLM_ABI; }

const char *ellm_scheme_name(ellm_scheme scheme) {
  static const char *const names[] = {
      [ELLM_SCHEME_MIXED] = "mixed", [ELLM_SCHEME_SYMMETRIC] = "symmetric", [ELLM_SCHEME_ASYMMETRIC] = "asymmetric"};
  return (unsigned)scheme < sizeof names / sizeof *names ? names[scheme] : "?";
}

int ellm_cpu_count(void) { return cpu_affinity_count(); }

static const struct {
  const char *name;
  size_t size;
} dtypes[] = {
    [ELLM_F32] = {"F32", 4}, [ELLM_F16] = {"F16", 2}, [ELLM_BF16] = {"BF16", 2}, [ELLM_F64] = {"F64", 8},
    [ELLM_I8] = {"I8", 1},   [ELLM_U8] = {"U8", 1},   [ELLM_I16] = {"I16", 2},   [ELLM_U16] = {"U16", 2},
    [ELLM_I32] = {"I32", 4}, [ELLM_U32] = {"U32", 4}, [ELLM_I64] = {"I64", 8},   [ELLM_U64] = {"U64", 8},
    [ELLM_BOOL] = {"BOOL", 1}, [ELLM_F8_E4M3] = {"F8_E4M3", 1}, [ELLM_F8_E5M2] = {"F8_E5M2", 1},
};

static bool known(ellm_dtype dtype) { return (unsigned)dtype < sizeof dtypes / sizeof dtypes[0]; }
const char *ellm_dtype_name(ellm_dtype dtype) { return known(dtype) ? dtypes[dtype].name : "?"; }
size_t ellm_dtype_size(ellm_dtype dtype) { return known(dtype) ? dtypes[dtype].size : 0; }
