/*
 * The monitor: keys on a serial console that show the kernel's state when nothing else works.
 */
#pragma once

#include "lib/types.h"

/*
 * A character came in on a console. True: it belongs to the monitor's key sequence (^T and a letter)
 * and goes nowhere else. Hard interrupt context.
 */
bool monitor_input(char c);
