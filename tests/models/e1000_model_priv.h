/* What the files of the e1000 model share. */
#pragma once

#include "tests/models/e1000_model.h"

#define REG(m, off) ((m)->regs[(off) / 4])

void model_violation(struct e1000_model *, const char *fmt, ...) PRINTF(2, 3);
