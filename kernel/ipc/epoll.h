/* epoll's connection to files. */
#pragma once

struct file;

/* The last descriptor of a watched file is gone: its watches end. From file_put. */
void epoll_forget_file(struct file *f);
