/* Keeps a layer without sources a library. */
typedef int entrollm_empty;
