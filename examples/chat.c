/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chat MODEL [TEMPLATE]: a line of standard input is a message, the model's answer is shown as it comes. TEMPLATE, a
 * file, takes the place of the model's chat template. What messages say cannot act as a token of the template.
 */
#include <entrollm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 20, LINE = 4096, LENGTH = 64 };

/* The conversation as JSON, [{"role": "user", "content": "..."}, ...] without the bracket at its end. */
static char conversation[MOST];
static size_t used;

static bool put(const char *text, size_t bytes) {
  if (used + bytes + 2 > MOST) return false;
  memcpy(conversation + used, text, bytes);
  used += bytes;
  return true;
}

static bool put_message(const char *role, const char *text, size_t bytes) {
  char piece[64];
  bool good = put(piece, (size_t)snprintf(piece, sizeof piece, "%s{\"role\": \"%s\", \"content\": \"",
                                          used > 1 ? ", " : "", role));
  for (size_t i = 0; good && i < bytes; i++) {
    const unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\' || c < 0x20) good = put(piece, (size_t)snprintf(piece, sizeof piece, "\\u%04x", c));
    else good = put(text + i, 1);
  }
  return good && put("\"}", 2);
}

static bool take(void *user, const ellm_answer *answer, const ellm_answer_part *part) {
  (void)user;
  (void)answer;
  fwrite(part->text, 1, part->bytes, stdout);
  fflush(stdout);
  return true;
}

/* One answer to all that was said. The sequence keeps what has been computed: only what is new is evaluated. */
static ellm_status answer(ellm_generator *generator, const ellm_chat *chat, ellm_sequence *sequence, ellm_error *err) {
  ellm_conversation what;
  ellm_request request;
  ellm_answer *made;
  uint32_t *ids = NULL;
  size_t n_ids = 0, bytes = 0;
  ellm_conversation_init(&what);
  conversation[used] = ']';
  what.json = conversation;
  what.bytes = used + 1;
  what.answer = true;
  ellm_status status = ellm_chat_encode(chat, &what, &ids, &n_ids, err);
  if (status != ELLM_OK) return status;
  ellm_request_init(&request);
  request.prompt = ids;
  request.n_prompt = n_ids;
  request.limit = LENGTH;
  request.n_end_ids = ellm_chat_end_ids(chat, &request.end_ids);
  request.sequence = sequence;
  request.take = take;
  status = ellm_generator_add(generator, &request, &made, err);
  free(ids);
  if (status != ELLM_OK) return status;
  status = ellm_generator_run(generator, NULL, NULL, err);
  if (status == ELLM_OK) status = ellm_answer_error(made, err);
  const char *text = ellm_answer_text(made, &bytes);
  if (status == ELLM_OK && !put_message("assistant", text, bytes)) status = ELLM_ERR_INPUT;
  printf("\n");
  ellm_answer_free(made);
  return status;
}

static ellm_status open_chat(ellm_model *model, const char *path, ellm_chat **chat, ellm_error *err) {
  static char source[1 << 16];
  ellm_chat_options options;
  ellm_chat_options_init(&options);
  if (path != NULL) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
      fprintf(stderr, "%s cannot be read\n", path);
      exit(ELLM_ERR_IO);
    }
    options.source = source;
    options.source_bytes = fread(source, 1, sizeof source, file);
    options.origin = path;
    fclose(file);
  }
  return ellm_chat_open(model, &options, chat, err);
}

int main(int argc, char **argv) {
  ellm_error err = {ELLM_ERR_INPUT, "the conversation is too long"};
  ellm_model *model = NULL;
  ellm_chat *chat = NULL;
  ellm_generator *generator = NULL;
  ellm_sequence *sequence = NULL;
  char line[LINE];
  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: chat MODEL [TEMPLATE] < LINES\n");
    return ELLM_ERR_USAGE;
  }
  ellm_status status = ellm_model_open(argv[1], NULL, &model, &err);
  if (status == ELLM_OK) status = open_chat(model, argc > 2 ? argv[2] : NULL, &chat, &err);
  if (status == ELLM_OK) status = ellm_generator_create(model, NULL, &generator, &err);
  if (status == ELLM_OK) status = ellm_sequence_create(model, &sequence, &err);
  put("[", 1);
  while (status == ELLM_OK && fgets(line, sizeof line, stdin) != NULL) {
    if (!put_message("user", line, strcspn(line, "\n"))) status = ELLM_ERR_INPUT;
    else status = answer(generator, chat, sequence, &err);
  }
  if (status != ELLM_OK) fprintf(stderr, "%s\n", err.message);
  ellm_generator_free(generator);
  ellm_sequence_free(sequence);
  ellm_chat_free(chat);
  ellm_model_close(model);
  return status;
}
