/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of the program share: messages, signals, output, finding
 * and opening models. Results go to standard output, everything else to
 * standard error.
 */
#ifndef ELLM_CLI_CLI_H
#define ELLM_CLI_CLI_H

#include "program/buffer.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/describe.h"
#include "cli/files.h"
#include "cli/input.h"
#include "cli/messages.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "program/utf8.h"

#endif
