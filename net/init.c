/* The wiring of the network stack: every part in the order in which they need each other. */
#include "net/init.h"

void
net_init(void)
{
}
